"""Jobs that people and sensors launch: the pipeline itself, and what admins ask for in the Launchpad.

What belongs here: what the Launchpad offers, and which files it means. What does not: what is done with them
(`operations.requests`), which the command line shares.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import dagster as dg
from pydantic import Field
from sqlalchemy import Engine

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.slices import Slice
from transcribe_pipeline.ledger.states import State
from transcribe_pipeline.operations import requests
from transcribe_pipeline.operations.requests import Answer
from transcribe_pipeline.options import parse_assignments
from transcribe_pipeline.resources.artifact_store import ArtifactStore
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import STAGES

process_media = dg.define_asset_job(
    "process_media",
    selection=dg.AssetSelection.groups("ingest", "speech", "delivery", "insight"),
    description="One recording, from the uploaded object to its downloadable transcript and what it says.",
)

# --- which files ----------------------------------------------------------------------------------------------------

# The Launchpad offers the names of enum members, so they are the values that are written everywhere else.
StateName = StrEnum("StateName", [state.value for state in State])  # type: ignore[misc]  # mypy wants them spelled out
StageName = StrEnum("StageName", list(STAGES))  # type: ignore[misc]

_SHOWN = 200
"""Rows of the table in a run's page; the counts are of all files."""


class NamedFiles(dg.Config):
    files: list[str] = Field(default=[], description="File names, object keys, partition keys or ids.")
    owner: str | None = Field(default=None, description="Only files of this owner.")

    def choose(self, ledger: Engine) -> tuple[list[FileView], list[Answer]]:
        """The files that are named, and the refusals of names that name none, or several.

        :raises PipelineError: BAD_REQUEST, if it is not said which files are meant.
        """
        if not self.files:
            raise PipelineError(ErrorCode.BAD_REQUEST, "name the files")
        found, refused = [], []
        for name in dict.fromkeys(self.files):
            named = files.find(ledger, name, owner=self.owner)
            if len(named) == 1:
                found += named
                continue
            error = PipelineError(ErrorCode.FILE_UNKNOWN)
            if named:
                error = PipelineError(ErrorCode.BAD_REQUEST, f"{len(named)} files are called so; use a partition key")
            refused.append(requests.refused(name, error))
        return found, refused


class ChosenFiles(NamedFiles):
    """Files by name; or, without any, all that meet the conditions."""

    every: bool = Field(default=False, description="All files (of the owner): needed where nothing else is chosen.")
    names: str | None = Field(default=None, description="Pattern of file names, such as `*.mp3`.")
    since: str | None = Field(default=None, description="Added at or after this time (ISO 8601, UTC).")
    until: str | None = Field(default=None, description="Added before this time.")
    states: list[StateName] = Field(
        default=[], description="In one of these states. Default: those for which it makes sense."
    )
    codes: list[ErrorCode] = Field(default=[], description="Ended with one of these errors.")
    state_since: str | None = Field(default=None, description="In their state from this time on, or a later one.")
    language: str | None = Field(default=None, description="Language of the current transcript, such as `de`.")
    model: str | None = Field(default=None, description="Model that heard the current transcript, such as `base`.")
    apply: bool = Field(
        default=False, description="Do it. Files that are not named are only shown without; named ones need no word."
    )

    @property
    def default_states(self) -> Sequence[State]:
        """What is meant if nothing is said of states; none for any."""
        return ()

    def _slice(self) -> Slice:
        return Slice(
            owner=self.owner,
            names=self.names,
            since=_moment(self.since),
            until=_moment(self.until),
            states=tuple(State(state.value) for state in self.states),
            codes=tuple(self.codes),
            state_since=_moment(self.state_since),
            language=self.language,
            model=self.model,
        )

    def choose(self, ledger: Engine) -> tuple[list[FileView], list[Answer]]:
        wanted = self._slice()
        if bool(self.files) == (self.every or wanted.is_narrowed):
            raise PipelineError(ErrorCode.BAD_REQUEST, "name files, or say what they have in common, or `every: true`")
        if self.files:
            return super().choose(ledger)
        return files.every(ledger, replace(wanted, states=wanted.states or self.default_states)), []


def _moment(text: str | None) -> datetime | None:
    """:raises PipelineError: BAD_REQUEST, if it is no time."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PipelineError(ErrorCode.BAD_REQUEST, "times are written as 2026-03-01 or 2026-03-01T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# --- what to do with them -------------------------------------------------------------------------------------------


class CancelConfig(ChosenFiles):
    @property
    def default_states(self) -> Sequence[State]:
        return requests.CANCELLABLE


class RedriveConfig(ChosenFiles):
    from_stage: StageName | None = Field(
        default=None, description="Stage to begin with; what earlier ones made is used again. None: where each ended."
    )

    @property
    def default_states(self) -> Sequence[State]:
        return requests.REDRIVABLE


class ReprocessConfig(ChosenFiles):
    options: dict[str, str] = Field(
        default={}, description="As in `transcribe reprocess --option NAME=VALUE`; they stay with the files."
    )
    clear: bool = Field(default=False, description="Forget the options of earlier requests first.")
    from_stage: StageName | None = Field(default=None, description="Stage to begin with. None: the first.")


def _carry_out(
    context: dg.OpExecutionContext,
    config: NamedFiles,
    ledger: Engine,
    act: Callable[[Sequence[str], str], Sequence[Answer]],
) -> None:
    """:param act: does it, for partition keys and an actor."""
    try:
        chosen, refused = config.choose(ledger)
        if isinstance(config, ChosenFiles) and not (config.apply or config.files):
            context.log.warning("Nothing is done: %d files are meant. Launch with `apply: true` to go on.", len(chosen))
            answers = [Answer(file.partition_key, f"none, without `apply`: {file.state.value}") for file in chosen]
        else:
            answers = [*act([file.partition_key for file in chosen], f"run:{context.run_id}"), *refused]
    except PipelineError as error:
        raise dg.Failure(error.sentence, {"error_code": error.code.value, "remedy": error.remedy}) from None
    for answer in answers:
        if answer.is_refused:
            context.log.warning("%s: %s", answer.partition_key, answer.reason)
    rows = [
        dg.TableRecord({"file": a.partition_key, "found": a.found or "", "done": a.action, "why": a.reason or ""})
        for a in answers[:_SHOWN]
    ]
    counts: dict[str, Any] = {action.replace(" ", "_"): number for action, number in requests.counts(answers).items()}
    context.add_output_metadata({"files": len(answers), **counts, "answers": dg.MetadataValue.table(rows)})


# Without a value: Dagster would keep it as a pickle.
_NOTHING = dg.Out(dg.Nothing)


@dg.op(out=_NOTHING)
def cancel(context: dg.OpExecutionContext, config: CancelConfig, ledger: dg.ResourceParam[Engine]) -> None:
    """What waits never begins, what runs ends; earlier transcripts stay."""
    _carry_out(
        context, config, ledger, lambda keys, actor: requests.cancel(ledger, context.instance, keys, actor=actor)
    )


@dg.op(out=_NOTHING)
def redrive(
    context: dg.OpExecutionContext,
    config: RedriveConfig,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> None:
    """Files that have ended go on from a stage, with all their tries; what earlier stages made is used again."""
    artifacts = ArtifactStore(store, settings().artifacts_prefix)
    stage = config.from_stage and config.from_stage.value
    _carry_out(
        context,
        config,
        ledger,
        lambda keys, actor: requests.redrive(ledger, artifacts, keys, from_stage=stage, actor=actor),
    )


@dg.op(out=_NOTHING)
def reprocess(
    context: dg.OpExecutionContext,
    config: ReprocessConfig,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> None:
    """Each file gets a new version of its transcript, with other options or after a change of settings."""
    configured = settings()
    artifacts = ArtifactStore(store, configured.artifacts_prefix)
    stage = config.from_stage and config.from_stage.value

    def act(keys: Sequence[str], actor: str) -> list[Answer]:
        wishes = parse_assignments([f"{name}={value}" for name, value in config.options.items()])
        return requests.reprocess(
            ledger, artifacts, configured, keys, wishes, clear=config.clear, from_stage=stage, actor=actor
        )

    _carry_out(context, config, ledger, act)


@dg.op(out=_NOTHING)
def recover(
    context: dg.OpExecutionContext,
    config: NamedFiles,
    ledger: dg.ResourceParam[Engine],
    store: dg.ResourceParam[ObjectStore],
) -> None:
    """What is wrong with each file is named and acted upon, without the rests and limits of `stuck_files`."""
    configured = settings()
    _carry_out(
        context,
        config,
        ledger,
        lambda keys, actor: requests.emergency_recovery(ledger, context.instance, store, configured, keys, actor=actor),
    )


def _admin_job(name: str, op: dg.OpDefinition) -> dg.JobDefinition:
    @dg.job(
        name=name,
        description=op.description,
        executor_def=dg.in_process_executor,
        # Before all recordings in the queue. No retries: each does all it can at once, and says of what is left why.
        tags={"dagster/max_runtime": "3600", "dagster/max_retries": "0", "dagster/priority": "10"},
    )
    def job() -> None:
        op()

    return job


admin_jobs = [
    _admin_job("cancel_files", cancel),
    _admin_job("redrive_files", redrive),
    _admin_job("reprocess_files", reprocess),
    _admin_job("emergency_recovery", recover),
]
all_jobs: list[Any] = [process_media, *admin_jobs]
"""Dagster has no public type for what `define_asset_job` gives."""
