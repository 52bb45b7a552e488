"""Finding files that are stuck, naming the cause, and acting by cause.

What belongs here: telling what is stuck from what waits, and which act each cause calls for. What does not: the query
and the acts themselves (`ledger.recovery`), runs of Dagster (`operations.runs`), when it happens (`schedules`).

Every act is conditional on the file being as it was seen, so a recoverer that is slow, that comes second or that looks
at a run which only paused does nothing. The ledger goes first and Dagster second: a recoverer that dies in between
leaves a run that can write nothing any more, and that `runs.end_lost` ends.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import groupby, islice, takewhile

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.insights import INSIGHTS
from transcribe_pipeline.ledger import recovery as rows
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Cause as Trigger
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.recovery import Act, Suspect
from transcribe_pipeline.ledger.states import NEXT, UNFINISHED
from transcribe_pipeline.operations import runs
from transcribe_pipeline.partitions import PARTITION_KEY
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.scratch import sweep
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import TRIGGER_TAG, generation_of, is_own, stages_from

UNANSWERED_SECONDS = 120.0
"""A request, or a retry, that no run has answered by then may have died with the daemon."""
_FILES_PER_PASS = 500
_LOOKING_SECONDS = 20.0
"""A schedule's tick must end within 60 s; each suspect's runs are asked for (up to 0.1 s on a busy machine)."""
_ACTING_SECONDS = 120.0
_SCANNED_FILES = 10_000
_KEYS_PER_QUERY = 1_000
_LISTING_SECONDS = 120.0
_RUNS_OF_A_FILE = 100
_WILL_RETRY_TAG = "dagster/will_retry"
_READ_FROM_UPLOAD = frozenset({"upload", "options", "media_metadata", "audio"})
"""Stages that need the uploaded object; those after them go on without it."""
_FIRST = stages_from(None)[0]
_BEFORE_THE_RECORD = frozenset(takewhile(lambda stage: stage != "transcript_record", stages_from(None)))


class Cause(StrEnum):
    """Why a file is stuck. `SENTENCES` says it for people."""

    RUN_DEAD = "run_dead"
    RUN_LOST = "run_lost"
    NEVER_BEGAN = "never_began"
    RETRY_LOST = "retry_lost"
    CANCEL_LOST = "cancel_lost"
    LEDGER_BEHIND = "ledger_behind"
    FAILED_FOR_NOW = "failed_for_now"
    DEGRADED = "degraded"
    OBJECT_GONE = "object_gone"


SENTENCES: dict[Cause, str] = {
    Cause.RUN_DEAD: "Its run ended without a word: killed, or cut off from the ledger.",
    Cause.RUN_LOST: "Dagster takes its run to be at work, but nothing has been heard of it: its machine was restarted,"
    " or its process is frozen.",
    Cause.NEVER_BEGAN: "Its run was requested and never began to work, and none is under way.",
    Cause.RETRY_LOST: "Its run failed in a way that may pass, and the retry never came.",
    Cause.CANCEL_LOST: "It was to be cancelled, and its run is gone.",
    Cause.LEDGER_BEHIND: "Everything is made, but the ledger was never told.",
    Cause.FAILED_FOR_NOW: "It failed in a way that may pass, and has tries left.",
    Cause.DEGRADED: "Its transcript is there, but later stages are missing.",
    Cause.OBJECT_GONE: "The uploaded object is no longer there.",
}


class Action(StrEnum):
    """What is done about it."""

    WENT_AGAIN = "went_again"
    """Another generation, which makes what is missing."""
    COMPLETED = "completed"
    GIVEN_BACK = "given_back"
    """It is what it was before a person had something of it run again."""
    CANCELLED = "cancelled"
    ORPHANED = "orphaned"
    QUARANTINED = "quarantined"
    REPEATED = rows.REPEATED
    """The missing stages alone are run again, as a backfill."""


class Wait(StrEnum):
    """Why a file that is not done is not stuck either."""

    IN_QUEUE = "in_queue"
    """Its run waits in Dagster's queue, or is about to be retried."""
    AT_WORK = "at_work"
    IN_BACKLOG = "in_backlog"
    """In the ledger: other files come first, Dagster's queue is full, or intake is paused."""
    SETTLING = "settling"
    """It may still be being written."""


@dataclass(frozen=True)
class Stuck:
    """A file that does not go on by itself."""

    suspect: Suspect
    cause: Cause
    zombies: tuple[str, ...] = ()
    """Runs that Dagster takes to be at work on it, and that are not."""
    unclaimed: int = 0
    """Runs that began and failed before they claimed it."""


@dataclass(frozen=True)
class Findings:
    stuck: tuple[Stuck, ...]
    waiting: Mapping[Wait, int]
    left: int = 0
    """Suspects that there was no time to look at."""

    def __str__(self) -> str:
        """'12 in_queue, 3 settling; nothing is stuck'"""
        waits = ", ".join(f"{count} {wait.replace('_', ' ')}" for wait, count in self.waiting.items() if count)
        causes = Counter(each.cause for each in self.stuck)
        found = ", ".join(f"{count} {cause.replace('_', ' ')}" for cause, count in causes.items())
        return f"{waits or 'nothing waits'}; {found or 'nothing is stuck'}"


@dataclass
class Pass:
    """What one pass found and did."""

    done: Counter[tuple[Cause, Action]] = field(default_factory=Counter)
    waiting: Mapping[Wait, int] = field(default_factory=dict)
    failed_runs: int = 0
    """Runs that Dagster took to be at work, and that were failed."""
    overtaken: int = 0
    """Files that went on by themselves, or in other hands, before anything was done about them."""
    left: int = 0
    """Files that were found, and that the next pass sees to: time ran out, or a place did not answer."""
    orphaned_folders: Mapping[str, int] | None = None
    """Prefix -> folders in the store that no file of the ledger has; None where nobody looked."""


# --- looking --------------------------------------------------------------------------------------------------------


def look(
    ledger: Engine, instance: dg.DagsterInstance, configured: Settings, *, only: Sequence[str] | None = None
) -> Findings:
    """What is stuck and what waits; changes nothing. Where nothing is wrong, two queries; bounded to 20 s.

    :param only: partition keys to look at; also at those that rest after a failure, or were requested just now.
    """
    waits = rows.waiting(ledger)
    suspects = rows.suspects(
        ledger,
        _FILES_PER_PASS + configured.max_runs_queued,  # those that only wait must not hide the others
        lease_seconds=configured.lease_seconds,
        unanswered_seconds=UNANSWERED_SECONDS,
        max_tries=configured.max_tries,
        only=only,
    )
    examiner = _Examiner(instance, configured.lease_seconds) if suspects else None
    stuck, left = [], 0
    deadline = time.monotonic() + _LOOKING_SECONDS
    for number, suspect in enumerate(suspects):
        if time.monotonic() > deadline:
            left = len(suspects) - number
            break
        if examiner and (found := examiner.examine(suspect)):
            stuck.append(found)
    waiting = {
        Wait.IN_QUEUE: waits.in_queue - sum(each.suspect.status is Status.QUEUED for each in stuck),
        Wait.AT_WORK: waits.at_work,
        Wait.IN_BACKLOG: waits.unrequested,
        Wait.SETTLING: waits.settling,
    }
    return Findings(tuple(stuck), waiting, left)


class _Examiner:
    """Tells suspects that are stuck from those that wait. Asks Dagster once for all runs that are under way."""

    def __init__(self, instance: dg.DagsterInstance, lease_seconds: float) -> None:
        self._instance = instance
        self._lease_seconds = lease_seconds
        self._unfinished = runs.unfinished(instance)
        self._in_line: set[str] | None = None

    def examine(self, suspect: Suspect) -> Stuck | None:
        under_way = [
            run
            for run in self._unfinished.get(suspect.partition_key, ())
            if generation_of(run) in (None, suspect.generation)
        ]
        zombies = tuple(run.run_id for run in under_way if self._is_zombie(run, suspect))
        if len(zombies) < len(under_way):
            return None
        if suspect.status is Status.COMPLETED:
            return Stuck(suspect, Cause.DEGRADED)
        history = self._history(suspect)
        if history and _is_about_to_be_retried(history[0]):
            return None
        return Stuck(suspect, _cause(suspect, zombies, history), zombies, _unclaimed(suspect, history))

    def _history(self, suspect: Suspect) -> list[dg.RunRecord]:
        """The runs of this generation and those that people launched, newest first."""
        of_file = dg.RunsFilter(tags={runs.PARTITION_TAG: suspect.partition_key})
        records = self._instance.get_run_records(of_file, limit=_RUNS_OF_A_FILE)
        return [each for each in records if generation_of(each.dagster_run) in (None, suspect.generation)]

    def _is_zombie(self, run: dg.DagsterRun, suspect: Suspect) -> bool:
        """Is nobody behind this run, although Dagster takes it to be at work?"""
        if not runs.is_at_work(run):
            return False
        if runs.process_of(self._instance, run) is runs.Process.GONE:
            return True
        if run.run_id != suspect.lease_owner or not suspect.is_overdue:
            return False
        if self._in_line is None:
            self._in_line = runs.waiting_for_pool(self._instance, lease_seconds=self._lease_seconds)
        return run.run_id not in self._in_line


def _cause(suspect: Suspect, zombies: tuple[str, ...], history: Sequence[dg.RunRecord]) -> Cause:
    last = history[0].dagster_run.status if history else None
    is_cancelled = last in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELING)
    if suspect.status is Status.CANCELLING or (is_cancelled and suspect.status in UNFINISHED):
        return Cause.CANCEL_LOST
    if suspect.status is Status.QUEUED:
        return Cause.RETRY_LOST if suspect.attempts else Cause.NEVER_BEGAN
    if suspect.status is not Status.PROCESSING:
        return Cause.FAILED_FOR_NOW
    if zombies:
        return Cause.RUN_LOST
    return Cause.LEDGER_BEHIND if last is dg.DagsterRunStatus.SUCCESS else Cause.RUN_DEAD


def _is_about_to_be_retried(record: dg.RunRecord) -> bool:
    """Has Dagster said just now that it will start this run again?"""
    if record.dagster_run.tags.get(_WILL_RETRY_TAG) != "true" or record.end_time is None:
        return False
    return time.time() - record.end_time < UNANSWERED_SECONDS


def _unclaimed(suspect: Suspect, history: Sequence[dg.RunRecord]) -> int:
    """Runs of the pipeline's own that began and failed before a claim could count them."""
    # Claims of a quarantined file, whose tries were given back, are not counted again.
    if suspect.attempts or suspect.status is Status.QUARANTINED:
        return 0
    began = (each.dagster_run for each in history if not runs.is_waiting(each.dagster_run))
    return sum(is_own(run) for run in began)


# --- acting ---------------------------------------------------------------------------------------------------------


def recover(
    ledger: Engine,
    instance: dg.DagsterInstance,
    store: ObjectStore,
    configured: Settings,
    *,
    actor: str,
    scan_orphans: bool = False,
    only: Sequence[str] | None = None,
) -> Pass:
    """Look, and act on everything that is stuck. Bounded: some 500 files and 2 minutes; the rest is for the next pass.

    :param scan_orphans: also compare uploads and results with the ledger, which costs a listing of the store.
    :param only: partition keys, as for `look`.
    """
    findings = look(ledger, instance, configured, only=only)
    made = Pass(waiting=findings.waiting, left=findings.left)
    recoverer = _Recoverer(ledger, instance, store, configured, actor, made)
    deadline = time.monotonic() + _ACTING_SECONDS
    lacking: list[Stuck] = []
    for number, stuck in enumerate(findings.stuck):
        if time.monotonic() > deadline:
            made.left += len(findings.stuck) - number
            break
        if stuck.cause is Cause.DEGRADED:
            lacking.append(stuck)
        else:
            recoverer.act(stuck)
    recoverer.repeat(lacking)
    sweep(configured.home)  # a killed run that is not tried again leaves its scratch to no run
    if scan_orphans:
        recoverer.orphan_files()
        made.orphaned_folders = orphaned_folders(ledger, store, configured)
    return made


@dataclass
class _Recoverer:
    ledger: Engine
    instance: dg.DagsterInstance
    store: ObjectStore
    configured: Settings
    actor: str
    made: Pass

    def act(self, stuck: Stuck) -> None:
        try:
            action = self._act(stuck)
        except PipelineError:
            # The store or the database does not answer; the next pass asks again.
            self.made.left += 1
            return
        if action is None:
            self.made.overtaken += 1
            return
        self.made.done[stuck.cause, action] += 1
        for run_id in stuck.zombies:
            self.made.failed_runs += runs.fail(self.instance, run_id, SENTENCES[stuck.cause], retry=False)

    def _act(self, stuck: Stuck) -> Action | None:
        """None: the file is no longer as it was seen."""
        suspect = stuck.suspect
        if stuck.cause is Cause.CANCEL_LOST:
            return self._done(stuck, Action.CANCELLED, rows.cancel)
        if stuck.cause is Cause.OBJECT_GONE:
            return self._done(stuck, Action.ORPHANED, rows.orphan)
        if suspect.ended_as is not None and suspect.status in (Status.PROCESSING, Status.QUEUED):
            return self._give_back(stuck, suspect.ended_as)
        missing = first_missing(self.ledger, self._artifacts, suspect)
        if missing is None:
            return self._done(stuck, Action.COMPLETED, rows.finish)
        if suspect.tries + stuck.unclaimed >= self.configured.max_tries:
            return self._done(stuck, Action.QUARANTINED, rows.quarantine)
        is_quarantined = suspect.status is Status.QUARANTINED
        if missing in _READ_FROM_UPLOAD and not is_quarantined and not self.store.exists(suspect.object_key):
            return self._done(stuck, Action.ORPHANED, rows.orphan)
        resume_from = None if missing == _FIRST else missing
        again = partial(rows.go_again, resume_from=resume_from, charge=stuck.unclaimed)
        return self._done(stuck, Action.WENT_AGAIN, again, resume_from=missing)

    def _give_back(self, stuck: Stuck, ended_as: Status) -> Action | None:
        """A run that a person wanted is gone; what there was before it is still there."""
        if ended_as in NEXT[stuck.suspect.status]:
            return self._done(stuck, Action.GIVEN_BACK, partial(rows.give_back, ended_as=ended_as))
        return self._done(stuck, Action.COMPLETED, rows.finish)

    def _done(
        self, stuck: Stuck, action: Action, act: Callable[[Engine, Suspect, Act], bool], **detail: object
    ) -> Action | None:
        told = {"tries": stuck.suspect.tries + stuck.unclaimed, "zombies": list(stuck.zombies), **detail}
        return action if act(self.ledger, stuck.suspect, Act(stuck.cause, action, self.actor, told)) else None

    @property
    def _artifacts(self) -> ArtifactStore:
        return ArtifactStore(self.store, self.configured.artifacts_prefix)

    def repeat(self, lacking: Sequence[Stuck]) -> None:
        """Ask for the stages that completed files lack: one backfill for all files that lack the same."""
        from transcribe_pipeline import backfills  # Dagster's internals of them: 0.08 s, and seldom needed

        wanted: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for stuck in lacking:
            lacks = stages_to_repeat(stuck.suspect.degraded)
            if not lacks:
                continue  # stages of another version of this program
            action = self._done(stuck, Action.REPEATED, rows.note_repeat, stages=lacks)
            if action is None:
                self.made.overtaken += 1
                continue
            self.made.done[stuck.cause, action] += 1
            wanted[tuple(lacks)].append(stuck.suspect.partition_key)
        for stages, partition_keys in wanted.items():
            title = f"Recovery of {stages[0]}" + (f" and {len(stages) - 1} more" if len(stages) > 1 else "")
            tags = {TRIGGER_TAG: Trigger.RECOVERY.value}
            backfills.launch(self.instance, stages, partition_keys, title=title, tags=tags)

    def orphan_files(self) -> None:
        """Mark the files whose uploads are gone: those that wait for a run, and those that failed."""
        candidates = {each.object_key: each for each in rows.maybe_gone(self.ledger, _SCANNED_FILES)}
        for entry in self.store.entries(self.configured.uploads_prefix) if candidates else ():
            candidates.pop(entry.key, None)
        for suspect in candidates.values():
            is_gone = not self.store.exists(suspect.object_key)  # it may have come since the listing began
            if is_gone and first_missing(self.ledger, self._artifacts, suspect) in _READ_FROM_UPLOAD:
                self.act(Stuck(suspect, Cause.OBJECT_GONE))


# --- what is missing ------------------------------------------------------------------------------------------------


def first_missing(ledger: Engine, artifacts: ArtifactStore, suspect: Suspect | FileView) -> str | None:
    """The first stage of the present work whose value is not in the store; None if all of them are.

    The work begins with the file's `resume_from`. What counts is what was stored since its `base_generation`; only a
    stage of insight may have run and stored nothing, where the file's options leave it out.
    """
    stages = stages_from(suspect.resume_from)
    if suspect.sha256 is None:
        return stages[0]
    version = FileVersion(content_id(suspect.sha256), suspect.generation)
    inherited = artifacts.inherited(suspect.partition_key, version)
    missing = [stage for stage in stages if inherited.get(stage, 0) < suspect.base_generation]
    if all(stage in INSIGHTS for stage in missing):
        left_out = rows.left_out(ledger, suspect, missing) if missing else set()
        missing = [stage for stage in missing if stage not in left_out]
    return missing[0] if missing else None


def stages_to_repeat(degraded: Sequence[str]) -> list[str]:
    """What is run again for a file that lacks these stages, in flow order.

    A stage of delivery or insight stands alone. One of speech takes all that follows with it: the transcript is built
    from what it makes.
    """
    lacking = [stage for stage in stages_from(None) if stage in degraded]
    return stages_from(lacking[0]) if lacking and lacking[0] in _BEFORE_THE_RECORD else lacking


# --- what nobody owns -----------------------------------------------------------------------------------------------


def orphaned_folders(ledger: Engine, store: ObjectStore, configured: Settings) -> dict[str, int]:
    """Folders of artifacts and of results that no file of the ledger has: prefix -> how many. Deletes nothing.

    Counts what can be listed in two minutes.
    """
    deadline = time.monotonic() + _LISTING_SECONDS
    found = {}
    for prefix, named in ((configured.artifacts_prefix, 0), (configured.results_prefix, 1)):
        keys = takewhile(lambda _: time.monotonic() < deadline, store.list_keys(prefix))
        # In order, so the keys of one folder follow each other. `<prefix>/<partition key>/`, results by owner first.
        parts = (key.removeprefix(f"{prefix}/").split("/") for key in keys)
        folders = groupby(part[named] for part in parts if len(part) > named + 1)
        names = (name for name, _ in folders if PARTITION_KEY.fullmatch(name))  # others are not files'
        found[prefix] = 0
        while batch := set(islice(names, _KEYS_PER_QUERY)):
            found[prefix] += len(batch - rows.known_keys(ledger, list(batch)))
    return found
