"""What is compared: ways to set up the pipeline, each put through the real one in a process and a home of its own.

A new process for each candidate makes cold starts and peak memory honest; a temporary home keeps its store, ledger and
runs away from those that people use. The process itself is `transcribe_pipeline/corpus.py`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.options import Layer, parse_assignments, resolve
from transcribe_pipeline.scratch import open_scratch
from transcribe_pipeline.settings import Settings

_OWNER = "evaluation"
_END_SECONDS = 20.0
"""What a cancelled run is given to end."""
_COMPARABLE = frozenset(
    {
        "device",
        "cpu_threads",
        "alignment_model",
        "pyannote_pipeline",
        "openai_base_url",
        "options_file",
    }
)
"""Settings that are no options of a file, and that change what comes out or how fast."""
_ISOLATED = {
    "STORE_URL": "",
    "DATABASE_URL": "",
    "UPLOADS_PREFIX": "uploads",
    "RESULTS_PREFIX": "results",
    "ARTIFACTS_PREFIX": "artifacts",
    "SETTLE_SECONDS": "0",
    "INSIGHTS": "none",  # it is speech that is judged
}
_DAGSTER_YAML = "telemetry:\n  enabled: false\n"


@dataclass(frozen=True)
class Candidate:
    """A way to set up the pipeline: the present settings, but for these."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """As people may give them (`options.OPTIONS`), for every recording, over all other defaults."""
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Candidate":
        """'faster-whisper base', or 'name=fast,model=base,beam_size=1,vocabulary=Ann,Bob,device=cpu'.

        :raises PipelineError: BAD_OPTIONS, with every option or setting that does not exist or has no such value.
        """
        given = dict(part.split("=", 1) for part in _assignments(text))
        name = given.pop("name", text)
        settings = {key: given.pop(key) for key in given.keys() & _COMPARABLE}
        try:
            options = parse_assignments([f"{key}={value}" for key, value in given.items()])
            resolve(Settings.model_validate(settings), [Layer("candidate", options)])
        except ValidationError as error:
            problems = (f"{p['loc'][0]}: {p['msg']}" for p in error.errors(include_input=False))
            raise _unusable(text, "; ".join(problems)) from None
        except PipelineError as error:
            raise _unusable(text, error.detail) from None
        return cls(name, options, settings)


def _assignments(text: str) -> list[str]:
    """'OPTION=VALUE' each; a part without '=' goes on with the value before it, which is a list."""
    if "=" not in text:
        words = text.split()
        if not 1 <= len(words) <= 2:
            raise _unusable(text, "neither 'ENGINE', 'ENGINE MODEL' nor 'OPTION=VALUE,...'")
        return [f"{key}={word}" for key, word in zip(("recogniser", "model"), words, strict=False)]
    parts: list[str] = []
    for part in map(str.strip, text.split(",")):
        if "=" not in part and parts:
            parts[-1] += f",{part}"
        elif "=" in part:
            parts.append(part)
        else:
            raise _unusable(text, f"{part!r} is no assignment")
    return parts


def _unusable(text: str, problem: str) -> PipelineError:
    return PipelineError(ErrorCode.BAD_OPTIONS, f"candidate {text!r}: {problem}")


class Outcome(BaseModel):
    """What became of one recording."""

    name: str
    transcript: Transcript | None = None
    """None if the run failed."""
    error: str | None = None
    """Code and sentence of its error."""
    seconds: float = 0.0
    """RUN_START to RUN_SUCCESS."""
    stages: dict[str, float] = {}
    """Seconds by stage, loading of models included."""
    peak_bytes: int = 0
    """Resident memory of the process while it worked on this recording, at its highest."""


class Plan(BaseModel):
    """What the process of a candidate is told."""

    recordings: dict[str, Path]
    """Object key -> file."""
    options: dict[str, Any] = {}


def outcomes(candidate: Candidate, recordings: Mapping[str, Path], configured: Settings) -> Iterator[Outcome]:
    """Put the recordings (name -> file) through the pipeline, one after the other, in the order given.

    A recording that kills the process (out of memory, crash of native code) is a failed one, and a new process goes on
    with the next. What the process prints is appended to `<home>/logs/evaluate.log`.

    :raises PipelineError: INTERNAL, if the process cannot work at all.
    """
    log = configured.home.resolve() / "logs" / "evaluate.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # People's names of files may be anything; an upload's may not.
    names = {
        f"{_ISOLATED['UPLOADS_PREFIX']}/{_OWNER}/{number:05d}{path.suffix}": name
        for number, (name, path) in enumerate(recordings.items())
    }
    waiting = {key: recordings[name].resolve() for key, name in names.items()}
    with open_scratch(configured.home).folder() as home:
        environment = _environment(candidate, configured, home)
        while waiting:
            for outcome in _process(Plan(recordings=waiting, options=dict(candidate.options)), environment, log):
                del waiting[outcome.name]
                yield outcome.model_copy(update={"name": names[outcome.name]})
            if waiting:  # it died over the first of these
                key = next(iter(waiting))
                del waiting[key]
                yield Outcome(name=names[key], error=_text(PipelineError(ErrorCode.WORKER_LOST)))


def _process(plan: Plan, environment: Mapping[str, str], log: Path) -> Iterator[Outcome]:
    """Outcomes as they come, until all are done or a signal ends the process."""
    command = [sys.executable, "-m", "transcribe_pipeline.corpus"]
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            text=True,
            start_new_session=True,  # a terminal's interrupt reaches it through us, once
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(plan.model_dump_json())
            process.stdin.close()
            for line in process.stdout:
                yield Outcome.model_validate_json(line)
            process.wait()
        finally:
            _end(process)
    if process.returncode > 0:
        raise PipelineError(ErrorCode.INTERNAL, "the evaluation's process failed; see logs/evaluate.log")


def _end(process: "subprocess.Popen[str]") -> None:
    """Nothing of it stays behind, whatever ended the evaluation."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)  # the run says in its ledger that it was cancelled, and ends its tools
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _environment(candidate: Candidate, configured: Settings, home: Path) -> dict[str, str]:
    """The present environment with the candidate's settings, and a home of its own that shares only the models."""
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text(_DAGSTER_YAML)
    models = configured.home.resolve() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (home / "models").symlink_to(models)
    settings = {key.upper(): value for key, value in candidate.settings.items()} | _ISOLATED | {"HOME": str(home)}
    return (
        {key: value for key, value in os.environ.items() if not key.startswith("DAGSTER_")}
        | {f"TRANSCRIBE_{key}": value for key, value in settings.items()}
        | {"DAGSTER_HOME": str(home / "dagster")}
    )


def _text(error: PipelineError) -> str:
    return f"{error.code}: {error.sentence}"
