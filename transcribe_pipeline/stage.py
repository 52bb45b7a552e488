"""What every per-media asset shares: lease and fence, heartbeat, progress, timing, and the translation of errors.

    with Stage(context, ledger) as stage:
        ...                       # plain work; stage.progress(0.4) now and then
        stage.report(words=123)   # figures for the asset's metadata
        return artifact

Inside, the run holds the file's lease: a second run is refused, a superseded one is stopped at its next sign of life.
Every exception leaves as an entry of the closed error list: permanent ones are never retried, transient and resource
ones by a run retry from the failed stage. The lease outlives the stage, since the run's next stage goes on with it; the
IO manager below gives it back once the value of the run's last stage is stored.
"""

import errno
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NoReturn, Self

import dagster as dg
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from transcribe_pipeline.errors import ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.insights import INSIGHTS
from transcribe_pipeline.ledger import files, leases, timings
from transcribe_pipeline.resources.artifact_store import ArtifactIOManager, ArtifactStore, FileVersion, content_id
from transcribe_pipeline.scratch import sweep
from transcribe_pipeline.settings import settings
from transcribe_pipeline.speech.hardware import Meter, is_out_of_memory

STAGES: dict[str, float] = {
    "upload": 3,
    "options": 1,
    "media_metadata": 2,
    "audio": 4,
    "transcription": 50,
    "given_transcript": 1,
    "alignment": 3,
    "diarization": 24,
    "transcript": 1,
    "transcript_record": 2,
    "speaker_identities": 1,
    "subtitles": 1,
    "transcript_page": 1,
    "search_document": 1,
    "analytics": 0.5,
    "semantic_chunks": 2,
    "chapters": 0.5,
    "knowledge_graph": 0.5,
    "questions": 0.5,
    "speaker_names": 0.5,
    "summary": 0.5,
}
"""Per-media stages in flow order, and their share of the work (percent, as measured with Whisper base on 2 cores)."""

_DELIVERY = frozenset({"speaker_identities", "subtitles", "transcript_page", "search_document", *INSIGHTS})
"""Stages after the record: when one fails the transcript is there already, so the file is done but degraded."""

_STOPPED = frozenset({ErrorCode.LEASE_LOST, ErrorCode.CANCELLED, ErrorCode.INTERRUPTED})
"""Says nothing about the stage: the work was stopped from outside."""

GENERATION_TAG = "transcribe/generation"
OWNER_TAG = "transcribe/owner"
TRIGGER_TAG = "transcribe/trigger"
RETRY_NUMBER_TAG = "dagster/retry_number"
"""Dagster's own, on runs that its daemon re-executes by itself."""
NO_RETRY_TAG = "dagster/retry_on_asset_or_op_failure"

_BEATS_PER_LEASE = 6
_PROGRESS_SECONDS = 1.0


class Stage:
    """One stage of one run on one file."""

    def __init__(self, context: dg.AssetExecutionContext, ledger: Engine) -> None:
        self.name = context.asset_key.to_python_identifier()
        self._context = context
        self._ledger = ledger
        self._lease_seconds = settings().lease_seconds
        self._metadata: dict[str, Any] = {}
        self._started_at = self._worked_from = datetime.now(UTC)
        self._meter = Meter()
        self._fraction = 0.0
        self._is_degraded = False
        self._is_left_out = False
        self._lost: PipelineError | None = None
        """Why the work must stop."""
        self._finished = threading.Event()

    def __enter__(self) -> Self:
        instance = self._context.instance

        def holder_finished(run_id: str) -> bool:
            run = instance.get_run_by_id(run_id)
            return run is None or run.is_finished

        try:
            self.claim = leases.claim(
                self._ledger,
                self._context.partition_key,
                generation_of(self._context.run),
                self._context.run.run_id,
                lease_seconds=self._lease_seconds,
                holder_finished=holder_finished,
                max_tries=settings().max_tries if is_own(self._context.run) else None,
            )
            self._beat()
        except PipelineError as error:
            _note_cancel(self._ledger, self._context, self._context.run, self._context.partition_key, error)
            raise_failure(error, self._context)
        self._heart = threading.Thread(target=self._keep_beating, name=f"heartbeat-{self.name}", daemon=True)
        self._heart.start()
        return self

    def progress(self, fraction: float) -> None:
        """How much of this stage is done, 0..1. Cheap: the heartbeat writes it. Raises LEASE_LOST, CANCELLED."""
        if self._lost:
            raise self._lost
        self._fraction = fraction

    def loaded(self) -> None:
        """Say that the models are loaded: the real-time factor counts from here."""
        self._worked_from = datetime.now(UTC)

    def rtf(self, audio_seconds: float) -> float:
        """Real-time factor: seconds of work since `loaded` (or the stage's start) per second of audio."""
        return round((datetime.now(UTC) - self._worked_from).total_seconds() / max(audio_seconds, 0.001), 4)

    def degrade(self, error: PipelineError) -> None:
        """The file goes on without what this stage makes. Raises LEASE_LOST."""
        self._context.log.warning("Stage %s failed; the file goes on without it: %s", self.name, error)
        self._is_degraded = True
        leases.note_degraded(self._ledger, self.claim, self.name, degraded=True)
        self.report(error_code=error.code.value, remedy=error.remedy)

    def report(self, **metadata: Any) -> None:
        """Figures and pictures for the asset's metadata; numbers stay numbers, since the UI plots them."""
        self._metadata |= metadata

    def leave_out(self) -> None:
        """The stage makes nothing this time, because nobody asked for it: it is skipped, not failed."""
        self._is_left_out = True

    def complete(self) -> None:
        """The file needs no later stage: give its lease back as completed. Raises LEASE_LOST."""
        self._stop_heart()  # it would take the lease that we give back for a lost one
        leases.complete(self._ledger, self.claim)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_heart()
        failure = self._failure(error) or self._note_recovery()
        finished_at = datetime.now(UTC)
        self._record_timing(finished_at, failure)
        if failure is None and self._is_left_out:
            failure = self._give_back()
        if failure is None:
            seconds = (finished_at - self._started_at).total_seconds()
            self._context.add_output_metadata({**self._metadata, "stage_seconds": round(seconds, 3), **self._used()})
            return
        self._record_failure(failure)
        if error is not None and not isinstance(error, Exception):
            return  # a cancel or an interrupt goes on as what it is
        if failure.code is ErrorCode.INTERNAL:
            self._context.log.exception("Unexpected error in stage %s", self.name)
        raise_failure(failure, self._context)

    def _failure(self, error: BaseException | None) -> PipelineError | None:
        if self._lost or error is None:
            return self._lost
        if isinstance(error, Exception):
            return translate(error)
        # An interrupt is a cancel only if somebody asked for one. Any other (a machine is drained or shut down)
        # Dagster takes for a failure, and retries.
        run = self._context.instance.get_run_by_id(self._context.run.run_id)
        is_cancel = run is None or run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
        return PipelineError(ErrorCode.CANCELLED if is_cancel else ErrorCode.INTERRUPTED)

    def _stop_heart(self) -> None:
        self._finished.set()
        self._heart.join()

    def _record_timing(self, finished_at: datetime, failure: PipelineError | None) -> None:
        try:
            timings.record(
                self._ledger,
                self.claim,
                self.name,
                started_at=self._started_at,
                finished_at=finished_at,
                error_code=failure.code if failure else None,
                **self._used(),
            )
        except PipelineError as error:  # a missing figure must not cost the stage
            self._context.log.warning("The timing of stage %s is lost: %s", self.name, error)

    def _used(self) -> dict[str, float]:
        """Seconds of processors, of the GPU only where there is one."""
        used = {"cpu_seconds": self._meter.cpu_seconds, "gpu_seconds": self._meter.gpu_seconds}
        return {name: round(seconds, 3) for name, seconds in used.items() if seconds is not None}

    def _note_recovery(self) -> PipelineError | None:
        """A stage that had degraded the file has now succeeded."""
        if self._is_degraded or self.name not in self.claim.degraded:
            return None
        try:
            leases.note_degraded(self._ledger, self.claim, self.name, degraded=False)
        except PipelineError as error:
            return error
        return None

    def _give_back(self) -> PipelineError | None:
        """What storing a value does, where there is none to store. Raises nothing: gives the failure."""
        try:
            if self.name == stages_of(self._context.run)[-1]:
                give_back(self._ledger, self.claim, self.name)
        except PipelineError as error:
            return error
        return None

    def _record_failure(self, failure: PipelineError) -> None:
        try:
            if self.name in _DELIVERY and failure.code not in _STOPPED:
                leases.complete(self._ledger, self.claim, degraded=[self.name])
                return
            leases.fail(
                self._ledger,
                self.claim,
                failure,
                final=failure.error_class is ErrorClass.PERMANENT,
                max_tries=settings().max_tries,
                charged=failure.code is not ErrorCode.INTERRUPTED,
            )
        except PipelineError as error:
            # Superseded, or no database: the run fails all the same, and the failure sensor or the lease's end tell.
            self._context.log.warning("The ledger could not note the failure of stage %s: %s", self.name, error)

    def _keep_beating(self) -> None:
        """Renew the lease and write progress until the stage ends; on a lost lease, leave word for `progress`."""
        told, waited = self._fraction, 0.0
        while not self._finished.wait(_PROGRESS_SECONDS):
            waited += _PROGRESS_SECONDS
            if self._fraction == told and waited < self._lease_seconds / _BEATS_PER_LEASE:
                continue
            told, waited = self._fraction, 0.0
            try:
                self._beat()
            except PipelineError as error:
                if error.code in _STOPPED:
                    self._lost = error
                    return

    def _beat(self) -> None:
        names = list(STAGES)
        before = sum(STAGES[name] for name in names[: names.index(self.name)])
        done = (before + STAGES[self.name] * min(self._fraction, 1.0)) / sum(STAGES.values())
        if not leases.heartbeat(self._ledger, self.claim, progress=done, stage=self.name):
            raise PipelineError(ErrorCode.CANCELLED)


def is_own(run: dg.DagsterRun) -> bool:
    """Has the pipeline itself started this run, by request or as a retry? Re-executions and backfills are people's."""
    if GENERATION_TAG not in run.tags:
        return False
    return run.parent_run_id is None or RETRY_NUMBER_TAG in run.tags


def generation_of(run: dg.DagsterRun) -> int | None:
    """The generation a run was requested for; None (the present one) for runs that people launch."""
    tag = run.tags.get(GENERATION_TAG)
    return int(tag) if tag else None


def stages_from(first: str | None) -> list[str]:
    """The per-media stages from this one on, in flow order; all of them without one."""
    stages = list(STAGES)
    return stages[stages.index(first) :] if first else stages


def stages_of(run: dg.DagsterRun) -> list[str]:
    """The per-media stages that a run comes to, in flow order. A retry comes only to those that were not done."""
    selected = {key.to_python_identifier() for key in run.asset_selection or ()} & STAGES.keys() or STAGES.keys()
    steps = set((run.parent_run_id and run.step_keys_to_execute) or STAGES)
    return [stage for stage in STAGES if stage in selected and stage in steps]


def give_back(ledger: Engine, claim: leases.Claim, last: str) -> None:
    """Give the lease back after a run's last stage.

    The whole pipeline ends in COMPLETED; a run of a few stages, as people launch them, leaves the verdict alone.
    """
    if last == list(STAGES)[-1]:
        leases.complete(ledger, claim)
    else:
        leases.release(ledger, claim)


class FencedArtifacts:
    """Ties the artifact store to the ledger: which version of a file a run reads and writes, and may it still write."""

    def __init__(self, ledger: Engine, *, lease_seconds: float) -> None:
        self._ledger = ledger
        self._lease_seconds = lease_seconds

    def version_of(self, context: dg.InputContext | dg.OutputContext) -> FileVersion:
        """The run's generation (the present one for runs that people launch) of the bytes that the ledger knows."""
        try:
            file = files.get(self._ledger, context.asset_partition_key)
            generation = generation_of(context.step_context.dagster_run) or file.generation
            if generation != file.generation:
                raise PipelineError(ErrorCode.LEASE_LOST, f"generation {generation}; the file is at {file.generation}")
            if file.sha256 is None:
                raise PipelineError(ErrorCode.ARTIFACT_MISSING, "stage 'upload'")
        except PipelineError as error:
            raise_failure(error, context)
        return FileVersion(content_id(file.sha256), generation)

    def before_write(self, context: dg.OutputContext) -> None:
        """Renew the lease, or refuse."""
        self._claim(context)

    def after_write(self, context: dg.OutputContext) -> None:
        """The value of a stage is safe in the store."""
        run, name = context.step_context.dagster_run, context.asset_key.to_python_identifier()
        if name == stages_of(run)[-1]:
            give_back(self._ledger, self._claim(context), name)

    def _claim(self, context: dg.OutputContext) -> leases.Claim:
        run = context.step_context.dagster_run
        try:
            return leases.claim(
                self._ledger,
                context.asset_partition_key,
                generation_of(run),
                run.run_id,
                lease_seconds=self._lease_seconds,
                holder_finished=lambda run_id: False,  # this run must hold the lease already, so it counts no more
            )
        except PipelineError as error:
            _note_cancel(self._ledger, context, run, context.asset_partition_key, error)
            raise_failure(error, context)


def _note_cancel(
    ledger: Engine,
    context: dg.AssetExecutionContext | dg.OutputContext,
    run: dg.DagsterRun,
    partition_key: str,
    error: PipelineError,
) -> None:
    """If a claim was refused for a cancel: what the run held must not stay CANCELLING until somebody misses it."""
    if error.code is not ErrorCode.CANCELLED:
        return
    try:
        leases.fail_abandoned(ledger, partition_key, generation_of(run), run.run_id, error)
    except PipelineError as unknown:  # the sensor that follows failed runs will tell it once more
        context.log.warning("The ledger could not note the cancel: %s", unknown)


class TranslatingArtifactIOManager(ArtifactIOManager):
    """`ArtifactIOManager` whose errors reach Dagster like those of a stage."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        try:
            super().handle_output(context, obj)
        except PipelineError as error:
            raise_failure(error, context)

    def load_input(self, context: dg.InputContext) -> BaseModel:
        try:
            return super().load_input(context)
        except PipelineError as error:
            raise_failure(error, context)


@dg.io_manager(required_resource_keys={"store", "ledger"})
def artifact_io_manager(context: dg.InitResourceContext) -> TranslatingArtifactIOManager:
    """What assets return, in the artifact store, fenced by the ledger."""
    configured = settings()
    sweep(configured.home)  # a killed run leaves its scratch to the next run, which may need none of its own
    fenced = FencedArtifacts(context.resources.ledger, lease_seconds=configured.lease_seconds)
    artifacts = ArtifactStore(context.resources.store, configured.artifacts_prefix)
    return TranslatingArtifactIOManager(artifacts, fenced.version_of, fenced.before_write, fenced.after_write)


def translate(error: Exception) -> PipelineError:
    """Any exception as an entry of the closed list, by type and errno, never by words in a message."""
    if isinstance(error, PipelineError):
        return error
    if is_out_of_memory(error):
        return PipelineError(ErrorCode.OUT_OF_MEMORY)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PipelineError(ErrorCode.DISK_FULL)
    if isinstance(error, DBAPIError):
        return PipelineError(ErrorCode.DATABASE_UNAVAILABLE)
    return PipelineError(ErrorCode.INTERNAL, type(error).__name__)


def raise_failure(
    error: PipelineError, context: dg.AssetExecutionContext | dg.InputContext | dg.OutputContext
) -> NoReturn:
    """Raise `error` the way Dagster shows it best, and make sure that a permanent one is never retried.

    `Failure(allow_retries=False)` stops only retries of the step; run retries read the run's tags.

    A cancel ends the run as if it had been terminated in the UI: after a failure Dagster would go on with the stages
    that do not need this one.
    """
    step = context if isinstance(context, dg.AssetExecutionContext) else context.step_context
    run = step.run if isinstance(step, dg.AssetExecutionContext) else step.dagster_run
    if error.code is ErrorCode.CANCELLED:
        step.instance.report_run_canceling(run)
        raise dg.DagsterExecutionInterruptedError from None
    if error.error_class is ErrorClass.PERMANENT:
        step.instance.add_run_tags(run.run_id, {NO_RETRY_TAG: "false"})
    raise dg.Failure(
        description=error.sentence,
        metadata={"error_code": error.code.value, "error_class": error.error_class.value, "remedy": error.remedy},
        allow_retries=False,
    ) from None
