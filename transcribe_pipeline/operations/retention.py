"""Retention: files past their time are forgotten, truly and everywhere, as their owner's policy says.

A policy is YAML, `TRANSCRIBE_RETENTION_FILE`:

    version: 1
    default:                   # whatever is left out is as the settings have it; null stands for never
      failed_days: 30          # failed, cancelled, orphaned or quarantined, and without any transcript
      completed_days: null     # completed, recording and transcript together
      originals_days: null     # the upload alone: a cleanup plan then offers it, for a person to name
    owners:
      ann: {completed_days: 365}

Counted from when the work on a file ended. Left alone, whatever the policy says: files under legal hold, and files at
work. A file that failed but has a transcript from before counts as completed: nothing good is lost.

What belongs here: the policy, and what is due by it. What does not: how a file is forgotten (`resources.forgetting`).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Engine

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import cleanup, files, operations
from transcribe_pipeline.ledger.cleanup import Ended, FileFacts
from transcribe_pipeline.ledger.database import write
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.operations import Operation
from transcribe_pipeline.partitions import PARTITION_KEY, partition_key
from transcribe_pipeline.resources.forgetting import Places
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.quarantine import PLAN, RECEIPT, Quarantine
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.text import plain_yaml

_FAILED = (Status.ERROR, Status.CANCELLED, Status.ORPHANED, Status.QUARANTINED)
_BATCH = 25
"""Files forgotten together. Every batch rewrites the SQLite files once, which takes most of its time."""
_INTERRUPTED = timedelta(hours=1)
"""A forgetting that began so long ago, and did not end, is taken up."""
_UNAPPLIED = timedelta(days=7)
"""Plans that nobody can apply any more go: they name keys."""

Days = Annotated[float | None, Field(gt=0)]
Rule = Literal["failed_days", "completed_days", "originals_days"]


# --- the policy -----------------------------------------------------------------------------------------------------


class Rules(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    failed_days: Days = None
    completed_days: Days = None
    originals_days: Days = None


class _PolicyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Literal[1]
    default: Rules = Rules()
    owners: dict[str, Rules] = {}


class Group(NamedTuple):
    """Files that share a number of days."""

    owner: str | None
    """None: all but those `besides`."""
    besides: tuple[str, ...]
    days: float


@dataclass(frozen=True)
class Policy:
    default: Rules
    owners: dict[str, Rules]

    @classmethod
    def load(cls, configured: Settings) -> "Policy":
        """The policy of this installation; without a file, what the settings say.

        :raises PipelineError: CONFIGURATION, with everything that is wrong with the file at once.
        """
        failed_days = configured.retention_failed_days or None
        if configured.retention_file is None:
            return cls(Rules(failed_days=failed_days), {})
        read = _read(configured.retention_file)
        default = read.default
        if "failed_days" not in default.model_fields_set:
            default = default.model_copy(update={"failed_days": failed_days})
        return cls(default, read.owners)

    def days(self, rule: Rule, owner: str) -> float | None:
        """None: never."""
        rules = self.owners.get(owner)
        chosen = rules if rules is not None and rule in rules.model_fields_set else self.default
        days: float | None = getattr(chosen, rule)
        return days

    def groups(self, rule: Rule) -> Iterator[Group]:
        """Every owner with a rule of their own, and all others together; those left out to whom it never applies."""
        special = tuple(owner for owner, rules in self.owners.items() if rule in rules.model_fields_set)
        for owner in special:
            if (days := self.days(rule, owner)) is not None:
                yield Group(owner, (), days)
        default: float | None = getattr(self.default, rule)
        if default is not None:
            yield Group(None, special, default)


def _read(path: Path) -> _PolicyFile:
    try:
        return _PolicyFile.model_validate(plain_yaml.load(path.read_bytes()) or {})
    except OSError as error:
        raise PipelineError(
            ErrorCode.CONFIGURATION, f"TRANSCRIBE_RETENTION_FILE cannot be read: {error.strerror}"
        ) from None
    except plain_yaml.BadYaml as error:
        raise PipelineError(ErrorCode.CONFIGURATION, f"TRANSCRIBE_RETENTION_FILE{error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise PipelineError(ErrorCode.CONFIGURATION, f"TRANSCRIBE_RETENTION_FILE: {problems}") from None


# --- what is due ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Due:
    file: FileFacts
    reason: str
    """Such as 'error, 30 days', for people."""


@dataclass(frozen=True)
class Overview:
    due: Sequence[Due]
    held: int
    """Past their time, and under legal hold."""
    interrupted: Sequence[FileFacts]
    """Files whose forgetting was begun and did not end."""


def look(places: Places, policy: Policy, *, limit: int, now: datetime | None = None) -> Overview:
    """What would go, the longest ended first; at most `limit` files, the rest is for the next pass."""
    now = now or datetime.now(UTC)
    due: list[Due] = []
    held = 0
    kinds: list[tuple[Rule, Sequence[Status], bool]] = [
        ("failed_days", _FAILED, False),
        ("completed_days", (Status.COMPLETED, *_FAILED), True),
    ]
    for rule, statuses, has_transcript in kinds:
        for owner, besides, days in policy.groups(rule):
            which = Ended(statuses, now - timedelta(days=days), owner, besides, has_transcript)
            old = cleanup.ended(places.ledger, which, limit=limit)
            due += [Due(file, f"{file.status.value}, {days:g} days") for file in old]
            held += cleanup.count_held(places.ledger, which)
    due.sort(key=lambda each: each.file.finished_at or now)
    interrupted = cleanup.sealed_before(places.ledger, now - _INTERRUPTED, limit=limit)
    return Overview(due[:limit], held, interrupted)


# --- what goes ------------------------------------------------------------------------------------------------------


@dataclass
class Forgotten:
    files: int = 0
    left_alone: int = 0
    """Changed, or at work, by the time that it was their turn."""
    counts: Counter[str] = field(default_factory=Counter)
    """Kind of thing -> how many; see `resources.forgetting`."""
    bytes: int = 0
    unproven: int = 0
    """Batches of which something was found when everything was looked at again."""
    receipts: list[str] = field(default_factory=list)
    is_complete: bool = True
    """False: the time was up; the rest is for the next pass."""


def forget_due(
    places: Places, overview: Overview, actor: str, *, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Forgotten:
    """Forget what is due, everywhere, batch by batch until `seconds` are up. Each leaves a receipt and an audit entry.

    A file that somebody has asked for again, put under legal hold or begun to work on since it was looked at is left
    alone: its row says so, or is sealed, in one statement.
    """
    done = Forgotten()
    reasons = {each.file.id: each.reason for each in overview.due}
    pending = [*overview.interrupted, *(each.file for each in overview.due)]
    deadline = clock() + seconds
    for start in range(0, len(pending), _BATCH):
        if clock() > deadline:
            done.is_complete = False
            break
        _forget_batch(places, pending[start : start + _BATCH], reasons, actor, done)
    return done


def _forget_batch(
    places: Places, batch: Sequence[FileFacts], reasons: dict[str, str], actor: str, done: Forgotten
) -> None:
    targets, why = [], Counter[str]()
    for file in batch:
        is_sealed = file.id not in reasons
        if not _is_idle(places, file) or not (is_sealed or cleanup.seal_unchanged(places.ledger, file)):
            done.left_alone += 1
            continue
        targets.append(places.target(files.get(places.ledger, file.partition_key)))
        why["a forgetting that was interrupted" if is_sealed else reasons[file.id]] += 1
    if not targets:
        return
    outcome = places.forget(targets)
    done.files += len(targets)
    done.counts.update(outcome.forgotten.counts)
    done.bytes += sum(outcome.forgotten.sizes.values())
    done.unproven += not outcome.is_proven
    done.receipts.append(outcome.receipt_key)
    write(
        places.ledger,
        lambda connection: operations.note(
            connection,
            Operation.RETENTION,
            cause="; ".join(f"{count} x {reason}" for reason, count in sorted(why.items())),
            action=f"forgot {len(targets)} files",
            actor=actor,
            detail={"receipt": outcome.receipt_key, "is_proven": outcome.is_proven},
        ),
    )


def _is_idle(places: Places, file: FileFacts) -> bool:
    try:
        places.history.refuse_work(file.partition_key)
    except PipelineError as error:
        if error.code is ErrorCode.LEASE_HELD:
            return False
        raise
    return True


# --- quarantine -----------------------------------------------------------------------------------------------------


@dataclass
class Expired:
    plans: int = 0
    objects: int = 0
    bytes: int = 0
    held_plans: int = 0
    """Left alone, since something that they have moved belongs to a file under legal hold."""


def expired_quarantine(
    ledger: Engine, store: ObjectStore, configured: Settings, *, apply: bool, now: datetime | None = None
) -> Expired:
    """What cleanup has moved, once it has been in quarantine for its days, goes for good; so do plans that nobody
    applied. Their receipts stay. With `apply` False it is only counted."""
    now = now or datetime.now(UTC)
    quarantine = Quarantine(store, configured.artifacts_prefix)
    expired = Expired()
    for plan_id in quarantine.plan_ids():
        if not _has_expired(quarantine, plan_id, configured, now):
            continue
        held = list(quarantine.holds(plan_id))
        owners = cleanup.facts(ledger, {_partition_key(key) for key, _ in held}).values()
        if any(file.legal_hold is not None for file in owners):
            expired.held_plans += 1
            continue
        expired.plans += 1
        expired.objects += len(held)
        expired.bytes += sum(entry.size_bytes for _, entry in held)
        if apply:
            quarantine.empty(plan_id)
    return expired


def _partition_key(key: str) -> str:
    """Of the file that an object belongs to, be it an upload, an artifact or a result."""
    return next(filter(PARTITION_KEY.fullmatch, key.split("/")), partition_key(key))


def _has_expired(quarantine: Quarantine, plan_id: str, configured: Settings, now: datetime) -> bool:
    if not quarantine.store.exists(quarantine.document(plan_id, PLAN)):
        return False  # emptied before; the receipt stays
    receipt = quarantine.read(plan_id, RECEIPT)
    if receipt is not None:
        return datetime.fromisoformat(receipt["restorable_until"]) <= now
    made_at = datetime.strptime(plan_id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    # An apply that was interrupted has moved things without leaving a receipt.
    return now - made_at > _UNAPPLIED + timedelta(days=configured.cleanup_quarantine_days)
