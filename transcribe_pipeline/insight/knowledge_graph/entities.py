"""What a recording speaks of, before it becomes a node."""

from dataclasses import dataclass, replace

from transcribe_pipeline.insights import NodeKind


@dataclass(frozen=True)
class Entity:
    kind: NodeKind | None
    """None: a name, and nothing tells of what."""
    label: str
    segments: tuple[int, ...]
    """Where it occurs, rising."""
    aliases: tuple[str, ...] = ()
    """Other forms of it."""

    @property
    def forms(self) -> tuple[str, ...]:
        return (self.label, *self.aliases)

    def of_kind(self, kind: NodeKind) -> "Entity":
        return replace(self, kind=kind)
