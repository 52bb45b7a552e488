"""A cleanup plan: what would go and why. What it is, where it lies, and what people see of it."""

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Engine

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.quarantine import PLAN, RECEIPT, Quarantine
from transcribe_pipeline.settings import Settings

MAX_AGE = timedelta(days=7)
"""An older plan is refused: nobody remembers what it was about."""
_EXAMPLES = 3


class Kind(StrEnum):
    UNKNOWN_FILE = "unknown file"
    SUPERSEDED = "superseded"
    PARTIAL = "partial"
    HALF_RESULT = "half result"
    AUDIO = "audio"
    UNFINISHED_WRITE = "unfinished write"
    ORIGINAL = "original"


REASONS: dict[Kind, str] = {
    Kind.UNKNOWN_FILE: "The ledger knows no file that this belongs to.",
    Kind.SUPERSEDED: "A later run has made it anew; no version, rollback, recovery or redrive would read it.",
    Kind.PARTIAL: "Part of a stage's work, of a file whose work has ended and will not be taken up.",
    Kind.HALF_RESULT: "Results of a file that has no transcript.",
    Kind.AUDIO: "Audio that the stage 'audio' makes again from the upload, should it be wanted.",
    Kind.UNFINISHED_WRITE: "A write that was begun and never ended. It holds no object, and cannot be put back.",
    Kind.ORIGINAL: "The owner's retention lets the upload go; the transcript stays. Goes only if it is named by key.",
}


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Item(_Stored):
    """Something that would go, and by what it is recognised as unchanged."""

    kind: Kind
    key: str
    size_bytes: int
    etag: str = ""
    partition_key: str = ""
    generation: int | None = None
    """Of the file, when the plan was made; None for what belongs to no file."""
    upload_id: str = ""
    """Of an unfinished write in S3."""


class Wishes(_Stored):
    """What an admin may choose about a plan."""

    audio_days: float | None = None
    """Also the audio of files completed so many days ago; None: no audio."""


class Plan(_Stored):
    id: str
    made_at: datetime
    store: str
    """Fingerprint of the store's URL and the three prefixes."""
    wishes: Wishes
    items: tuple[Item, ...]
    objects: int
    """Everything that lies under the prefixes for artifacts and results, whether it would go or not."""
    held_files: int
    """Left alone because of a legal hold."""
    working_files: int
    """Left alone because work on them is going on, or to come."""
    unrecognised: int
    """Objects left alone because this program would not have written them there."""
    is_complete: bool
    """False: there is more, for another plan after this one."""

    @classmethod
    def load(cls, quarantine: Quarantine, plan_id: str) -> Self:
        """Raises PLAN_UNKNOWN; PLAN_REFUSED for what is no plan."""
        document = quarantine.read(plan_id, PLAN)
        if document is None:
            raise PipelineError(ErrorCode.PLAN_UNKNOWN)
        try:
            plan = cls.model_validate(document)
        except ValidationError:
            raise PipelineError(ErrorCode.PLAN_REFUSED, "the plan is damaged") from None
        if plan.id != plan_id:
            raise PipelineError(ErrorCode.PLAN_REFUSED, "the plan is damaged")
        return plan

    def save(self, quarantine: Quarantine) -> None:
        quarantine.store.put_bytes(quarantine.document(self.id, PLAN), self.model_dump_json().encode())

    @property
    def digest(self) -> str:
        """An approval is for exactly this."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def size_bytes(self) -> int:
        return sum(item.size_bytes for item in self.items)

    def summary(self) -> "list[Line]":
        """A line for each kind that there is."""
        counts, sizes = Counter[Kind](), Counter[Kind]()
        examples: dict[Kind, list[str]] = {}
        for item in self.items:
            counts[item.kind] += 1
            sizes[item.kind] += item.size_bytes
            found = examples.setdefault(item.kind, [])
            if len(found) < _EXAMPLES:
                found.append(item.key)
        return [Line(kind, counts[kind], sizes[kind], REASONS[kind], examples[kind]) for kind in Kind if counts[kind]]


@dataclass(frozen=True)
class Line:
    kind: Kind
    count: int
    size_bytes: int
    reason: str
    examples: list[str]
    """Keys of objects."""


@dataclass(frozen=True)
class Site:
    """The installation that is cleaned."""

    configured: Settings
    ledger: Engine
    store: ObjectStore

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.store, self.configured.artifacts_prefix)

    @property
    def fingerprint(self) -> str:
        c = self.configured
        place = [c.resolved_store_url, c.uploads_prefix, c.results_prefix, c.artifacts_prefix]
        return hashlib.sha256(json.dumps(place).encode()).hexdigest()


def new_id(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def all_plans(quarantine: Quarantine) -> Iterator[tuple[Plan, dict[str, Any] | None]]:
    """Every plan that can be read, newest first, with its receipt."""
    for plan_id in reversed(quarantine.plan_ids()):
        try:
            yield Plan.load(quarantine, plan_id), quarantine.read(plan_id, RECEIPT)
        except PipelineError as error:
            if error.code not in (ErrorCode.PLAN_UNKNOWN, ErrorCode.PLAN_REFUSED):
                raise
