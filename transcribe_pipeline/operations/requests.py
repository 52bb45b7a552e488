"""What admins ask for: cancel, redrive, reprocess, and emergency recovery of named files.

What belongs here: whether it can be done, the ledger's and Dagster's side of it, and a word for each file on what came
of it. A file that is refused never stops the others. What does not: which files are meant (`ledger.slices`), the words
of commands, and recovery itself (`recovery`), which needs nobody to ask.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline import options as file_options
from transcribe_pipeline.errors import CATALOGUE, ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.ledger import files, intake, leases, requests
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.operations import Operation
from transcribe_pipeline.ledger.states import ENDED, State
from transcribe_pipeline.operations import recovery
from transcribe_pipeline.operations.values import lacking, lacks_upload
from transcribe_pipeline.resources.artifact_store import ArtifactStore
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import STAGES, stages_from

CANCELLABLE = (State.PENDING, State.QUEUED, State.PROCESSING, State.CANCELLING)
REDRIVABLE = (State.ERROR, State.QUARANTINED, State.ORPHANED)
"""What is meant where files are chosen by anything but their state. Named ones may be in others."""

_OPTIONS = "options"
"""The stage that reads what is requested for a file."""


@dataclass(frozen=True)
class Answer:
    """What came of a request, for one file."""

    partition_key: str
    action: str
    """What was done, in a few words; 'refused'."""
    reason: str | None = None
    """Why it was refused: a sentence, and what to do instead."""
    found: str | None = None
    """What was wrong with it: a sentence; of emergency recovery only."""

    @property
    def is_refused(self) -> bool:
        return self.reason is not None


def counts(answers: Iterable[Answer]) -> dict[str, int]:
    """Action -> files, most frequent first."""
    return dict(Counter(answer.action for answer in answers).most_common())


def refused(partition_key: str, error: PipelineError) -> Answer:
    """For a file, or a name, that nothing can be done about."""
    return Answer(partition_key, "refused", f"{error.sentence} {error.remedy} [{error.code.value}]")


# --- cancel ---------------------------------------------------------------------------------------------------------


def cancel(
    ledger: Engine, instance: dg.DagsterInstance | None, partition_keys: Sequence[str], *, actor: str
) -> list[Answer]:
    """Stop the work on these files: what waits never begins, what runs ends; earlier transcripts stay.

    A run that Dagster cannot terminate any more (its launcher is gone) stops by itself at its next sign of life.
    Without an `instance` all runs stop like that.
    """
    return [_cancelled(ledger, instance, key, actor) for key in partition_keys]


def _cancelled(ledger: Engine, instance: dg.DagsterInstance | None, partition_key: str, actor: str) -> Answer:
    try:
        stopped = requests.cancel(ledger, partition_key, actor=actor)
    except PipelineError as error:
        return refused(partition_key, error)
    if stopped.before in ENDED:
        reason = f"the work on it has ended: {stopped.before.value}"
        return refused(partition_key, PipelineError(ErrorCode.BAD_REQUEST, reason))
    if instance is not None:
        from transcribe_pipeline.resources.run_history import RunHistory  # Dagster's storages: 0.3 s

        history = RunHistory(instance)
        history.terminate(partition_key)
        if stopped.holder and history.has_finished(stopped.holder):
            # Nobody else would end it: neither the run nor a sensor that heard of the run's end long ago.
            cancelled = PipelineError(ErrorCode.CANCELLED)
            leases.fail_abandoned(ledger, partition_key, stopped.generation, stopped.holder, cancelled)
    now = files.get(ledger, partition_key)
    if now.generation != stopped.generation:
        return Answer(partition_key, Status.CANCELLED.value)  # and begun again since, for new content
    return Answer(partition_key, now.status.value)


# --- redrive, reprocess ---------------------------------------------------------------------------------------------


def redrive(
    ledger: Engine,
    artifacts: ArtifactStore,
    partition_keys: Sequence[str],
    *,
    actor: str,
    from_stage: str | None = None,
) -> list[Answer]:
    """Continue files that have ended, with all their tries, from a stage on; what earlier stages made is used again.

    Without `from_stage` each goes on where it ended: with the first stage that has made nothing, or, if its result is
    degraded, the first that is lacking.
    """
    return [_redriven(ledger, artifacts, key, from_stage, actor) for key in partition_keys]


def _redriven(
    ledger: Engine,
    artifacts: ArtifactStore,
    partition_key: str,
    from_stage: str | None,
    actor: str,
    operation: Operation = Operation.REDRIVE,
) -> Answer:
    try:
        file = files.get(ledger, partition_key)
        _require_ended(file)
        stages = _require_values(artifacts, file, from_stage or _where_it_ended(ledger, artifacts, file))
        seen = (file.generation, file.status)
        if not requests.redrive(ledger, partition_key, *seen, stages, actor=actor, operation=operation):
            raise PipelineError(ErrorCode.BAD_REQUEST, "it has changed this very moment; look at it and ask again")
    except PipelineError as error:
        return refused(partition_key, error)
    return Answer(partition_key, f"redriven from {stages[0]}")


_NOT_ENDED = {
    Status.PENDING: "it waits to be processed already",
    Status.QUEUED: "it waits to be processed already",
    Status.PROCESSING: "a run is working on it; wait for it, or cancel it first",
    Status.CANCELLING: "its run has not ended yet; ask again when it is cancelled",
}


def _require_ended(file: FileView) -> None:
    if file.status in _NOT_ENDED:
        raise PipelineError(ErrorCode.BAD_REQUEST, _NOT_ENDED[file.status])


def _where_it_ended(ledger: Engine, artifacts: ArtifactStore, file: FileView) -> str:
    if file.status is Status.COMPLETED:
        lacking_stage = next((stage for stage in STAGES if stage in file.degraded), None)
        if lacking_stage is None:
            raise PipelineError(ErrorCode.BAD_REQUEST, "nothing is lacking; name the stage to begin with")
        return lacking_stage
    stage = recovery.first_missing(ledger, artifacts, file) or list(STAGES)[-1]
    # What was there when it was made may be gone since.
    while earlier := lacking(artifacts, file, stages_from(stage)):
        stage = earlier[0]
    return stage


def _require_values(artifacts: ArtifactStore, file: FileView, from_stage: str) -> list[str]:
    """The stages from this one on, whose inputs are all there. Raises ARTIFACT_MISSING, SOURCE_GONE, BAD_REQUEST."""
    if from_stage not in STAGES:
        raise PipelineError(ErrorCode.BAD_REQUEST, f"there is no stage '{from_stage}'")
    stages = stages_from(from_stage)
    if missing := lacking(artifacts, file, stages):
        raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"stage '{missing[0]}'")
    if lacks_upload(artifacts, file, stages):
        raise PipelineError(ErrorCode.SOURCE_GONE)
    return stages


def reprocess(
    ledger: Engine,
    artifacts: ArtifactStore,
    configured: Settings,
    partition_keys: Sequence[str],
    wishes: Mapping[str, Any],
    *,
    actor: str,
    clear: bool = False,
    from_stage: str | None = None,
) -> list[Answer]:
    """Process files again, whatever their state, for a new version of each transcript. A run at work is superseded.

    :param wishes: options for this and later generations, over those requested before or, with `clear`, in their place.
    :param from_stage: what earlier stages made is used again.
    :raises PipelineError: BAD_OPTIONS, if they cannot be right for one of the files; then none is touched.
        BAD_REQUEST, if `from_stage` comes after the stage that reads them.
    """
    stages = stages_from(from_stage) if from_stage in STAGES else None
    if from_stage and not stages:
        raise PipelineError(ErrorCode.BAD_REQUEST, f"there is no stage '{from_stage}'")
    if stages and (wishes or clear) and _OPTIONS not in stages:
        raise PipelineError(ErrorCode.BAD_REQUEST, f"options are read by stage '{_OPTIONS}', which comes before")
    found = [files.get(ledger, key) for key in partition_keys]
    for file in found:
        requested = ({} if clear else file.requested_options) | dict(wishes)
        file_options.resolve(configured, [file_options.Layer("--option", requested)])
    answers, good = [], []
    for file in found:
        try:
            if from_stage:
                _require_values(artifacts, file, from_stage)
            good.append(file.partition_key)
        except PipelineError as error:
            answers.append(refused(file.partition_key, error))
    begun = requests.request_again(ledger, good, wishes, clear=clear, stages=stages or (), actor=actor)
    action = f"to be processed again{f' from {from_stage}' if from_stage else ''}"
    gone = [refused(key, PipelineError(ErrorCode.FILE_UNKNOWN)) for key in good if key not in set(begun)]
    return [Answer(key, action) for key in begun] + answers + gone


# --- emergency recovery ---------------------------------------------------------------------------------------------


def emergency_recovery(
    ledger: Engine,
    instance: dg.DagsterInstance,
    store: ObjectStore,
    configured: Settings,
    partition_keys: Sequence[str],
    *,
    actor: str,
) -> list[Answer]:
    """Say of each file what is wrong, and act at once: without the rests and limits that recovery keeps by itself.

    A live run is never disturbed, a cancel never taken back, and a failure that would repeat is left to people.
    """
    recoverer = _Emergency(ledger, instance, store, configured, actor)
    answers = []
    for key in partition_keys:
        try:
            answers.append(recoverer.attend(files.get(ledger, key)))
        except PipelineError as error:
            answers.append(refused(key, error))
    return answers


_WAITS = {
    Status.PENDING: "It waits for its turn in the backlog.",
    Status.QUEUED: "Its run waits in Dagster's queue.",
    Status.PROCESSING: "A run is at work on it.",
    Status.CANCELLING: "A run is at work on it, and has been told to stop.",
}
_LEFT_ALONE = "left alone"
_MENDED_ELSEWHERE = {"search_document"}


@dataclass(frozen=True)
class _Emergency:
    ledger: Engine
    instance: dg.DagsterInstance
    store: ObjectStore
    configured: Settings
    actor: str

    def attend(self, file: FileView) -> Answer:
        answer = self._act(file)
        is_waiting = files.get(self.ledger, file.partition_key).status is Status.PENDING
        if is_waiting and (pause := intake.status(self.ledger)):
            return replace(answer, found=f"{answer.found} {pause}")
        return answer

    def _act(self, file: FileView) -> Answer:
        match file.state:
            case State.COMPLETED:
                return _alone(file, "Nothing is wrong with it.")
            case State.CANCELLED:
                return _alone(file, "It was cancelled. When you want the result: 'transcribe redrive FILE'.")
            case State.DEGRADED if set(file.degraded) <= _MENDED_ELSEWHERE:
                return _alone(file, "Only the search index lacks it. 'transcribe index reconcile' brings it back.")
            case State.ERROR if not _may_pass(file):
                return _alone(file, f"It would fail again. {file.error_text} {_remedy(file)}")
            case State.ERROR | State.QUARANTINED | State.ORPHANED:
                return self._redriven(file, f"It had ended: {file.state.value}, {file.error_code}.")
            case _:
                return self._recovered(file)

    def _recovered(self, file: FileView) -> Answer:
        key = [file.partition_key]
        done = recovery.recover(
            self.ledger, self.instance, self.store, self.configured, actor=self.actor, only=key
        ).done
        for cause, action in done:
            found = recovery.SENTENCES[cause]
            if action is recovery.Action.QUARANTINED:  # its tries are used up: a person's word gives it new ones
                return self._redriven(file, found)
            return Answer(file.partition_key, action.value.replace("_", " "), found=found)
        if file.state is State.DEGRADED:
            return self._redriven(file, "Its transcript is there, but later stages are missing.")
        return _alone(file, _WAITS[file.status])

    def _redriven(self, file: FileView, found: str) -> Answer:
        artifacts = ArtifactStore(self.store, self.configured.artifacts_prefix)
        operation = Operation.EMERGENCY_RECOVERY
        return replace(_redriven(self.ledger, artifacts, file.partition_key, None, self.actor, operation), found=found)


def _alone(file: FileView, found: str) -> Answer:
    return Answer(file.partition_key, _LEFT_ALONE, found=found)


def _may_pass(file: FileView) -> bool:
    """Is another run worth it? A value that is missing is made again."""
    code = ErrorCode(file.error_code or ErrorCode.INTERNAL)
    return CATALOGUE[code].error_class is not ErrorClass.PERMANENT or code is ErrorCode.ARTIFACT_MISSING


def _remedy(file: FileView) -> str:
    return CATALOGUE[ErrorCode(file.error_code or ErrorCode.INTERNAL)].remedy
