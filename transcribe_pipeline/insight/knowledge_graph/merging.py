"""Which names are of the same: 'Ann', 'Ann Lee', 'Ms Lee' and 'ann lee'; 'Catherine Jones' and 'Katherine Jones'.

What does not belong here: finding names, and telling of what they are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from transcribe_pipeline.insight.knowledge_graph.entities import Entity
from transcribe_pipeline.insight.name_cues import TITLES

_LIKE: Final = 88
"""rapidfuzz's ratio from which two names of several words are spellings of one: one letter in eight differs. Single
words are left apart: 'Martin' and 'Martina' are two."""
_MOST_COMPARED: Final = 300
"""Names that are compared with each other, those in most segments: this takes 0.1 s at most."""

Key = tuple[str, ...]


def merged(names: Iterable[Entity], words: Callable[[str], Key]) -> list[Entity]:
    """One entity for each thing that is named, with its other names as aliases; of more than 300, the most frequent.

    A short name joins a longer one of a person by its first or last words, and one of an organisation by its first,
    if there is only one such: with two Lees, 'Ms Lee' may be either.

    :param words: of a name as they are compared: folded, without endings.
    """
    alike: dict[Key, list[Entity]] = {}
    for name in names:
        alike.setdefault(key(name.label, words), []).append(name)
    ranked = sorted(
        ((each, _same(group)) for each, group in alike.items() if each), key=lambda one: (-_size(one[1]), one[0])
    )
    entities = dict(ranked[:_MOST_COMPARED])
    for each in sorted(entities, key=lambda each: (len(each), _size(entities[each]), each)):
        target = _fuller(each, entities) or _other_spelling(each, entities)
        if target:
            entities[target] = _absorbed(entities.pop(each), into=entities[target])
    return list(entities.values())


def key(label: str, words: Callable[[str], Key]) -> Key:
    """What a name is compared by: without titles, case, endings and marks."""
    untitled = [word for word in label.split() if word.rstrip(".").lower() not in TITLES]
    return words(" ".join(untitled or [label]))


def _same(group: Sequence[Entity]) -> Entity:
    """Forms that differ in case, endings and titles: the most frequent is the label."""
    best = max(group, key=lambda each: (_size(each), each.label))
    rest = [each for each in group if each is not best]
    for each in rest:
        best = _absorbed(each, into=best)
    return best


def _absorbed(other: Entity, *, into: Entity) -> Entity:
    forms = dict.fromkeys([*into.aliases, *other.forms])
    return replace(
        into,
        kind=into.kind or other.kind,
        segments=tuple(sorted({*into.segments, *other.segments})),
        aliases=tuple(form for form in forms if form != into.label),
    )


def _fuller(each: Key, entities: dict[Key, Entity]) -> Key | None:
    fits = [
        other
        for other, entity in entities.items()
        if len(other) > len(each) and entities[each].kind in (None, entity.kind) and _is_part(each, other, entity)
    ]
    return fits[0] if len(fits) == 1 else None


def _is_part(short: Key, long: Key, entity: Entity) -> bool:
    begins, ends = long[: len(short)] == short, long[-len(short) :] == short
    return (entity.kind == "person" and (begins or ends)) or (entity.kind == "organisation" and begins)


def _other_spelling(each: Key, entities: dict[Key, Entity]) -> Key | None:
    """The more frequent of two."""
    if len(each) < 2:
        return None
    from rapidfuzz import fuzz, process

    mine = entities[each]
    choices = {
        other: " ".join(other)
        for other, entity in entities.items()
        if len(other) == len(each) and other != each and _size(entity) >= _size(mine)
        if None in (entity.kind, mine.kind) or entity.kind == mine.kind
    }
    found = process.extractOne(" ".join(each), choices, scorer=fuzz.ratio, score_cutoff=_LIKE)
    return found[2] if found else None


def _size(entity: Entity) -> int:
    return len(entity.segments)
