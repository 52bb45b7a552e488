"""The whole pipeline in this process, without models: what people drop, the sensor's own steps, the real job.

For faults of what people upload, where a daemon would add three seconds a file and nothing else. Speech is recognised
by a service on this machine, in OpenAI's wire format, that hears the same words in whatever it is sent.
"""

import io
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
import soundfile
from sqlalchemy import text

from tests.faults import invariants
from tests.faults.harness import Speech
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.definitions import build_defs
from transcribe_pipeline.errors import CATALOGUE, ErrorClass, ErrorCode
from transcribe_pipeline.jobs import process_media
from transcribe_pipeline.ledger import backlog, timings, transcripts
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.states import AT_WORK
from transcribe_pipeline.partitions import media_files, partition_key
from transcribe_pipeline.sensors import Listing, register_uploads, run_request, runs_to_request
from transcribe_pipeline.settings import settings


@dataclass
class Pipeline:
    """An embedded installation at work."""

    world: World
    heard: Speech
    put_object: Callable[[str, bytes], object] | None = None
    """Where the store is no folder: puts (key, bytes) as a person does."""
    results: dict[str, dg.ExecuteInProcessResult] = field(default_factory=dict)
    """The last run of each partition."""

    def put(self, name: str, data: bytes | None = None) -> str:
        """Drop a file, speech unless said otherwise: `name` is '<owner>/<file>'. Gives its partition key."""
        content = call() if data is None else data
        if self.put_object is None:
            return self.world.put(name, content)
        self.put_object(f"uploads/{name}", content)
        return partition_key(f"uploads/{name}")

    def tick(self) -> Listing:
        """What a tick of the sensor does, and then, one after the other, the runs that it requests."""
        listing = register_uploads(self.world.store, self.world.ledger, settings(), None)
        needed = runs_to_request(self.world.ledger, settings())
        self.world.instance.add_dynamic_partitions(str(media_files.name), [run.partition_key for run in needed])
        backlog.mark_queued(self.world.ledger, needed)
        job = build_defs().resolve_job_def(process_media.name)
        for run in needed:
            request = run_request(run)
            self.results[run.partition_key] = job.execute_in_process(
                partition_key=run.partition_key,
                instance=self.world.instance,
                tags=dict(request.tags),
                asset_selection=request.asset_selection,
                raise_on_error=False,
            )
        return listing

    def file(self, key: str) -> FileView:
        return self.world.file(key)

    def stages(self, key: str) -> list[str]:
        """The stages that this file came to, in their order."""
        return [timing.stage for timing in timings.of_file(self.world.ledger, self.file(key).id)]

    def figures(self, key: str, stage: str) -> dict[str, Any]:
        """What the stage reported of this file."""
        for event in self.results[key].get_asset_materialization_events():
            if event.asset_key == dg.AssetKey(stage):
                return {name: each.value for name, each in event.materialization.metadata.items()}
        raise AssertionError(f"{stage} made nothing")

    def transcript(self, key: str) -> Transcript:
        file = self.file(key)
        assert file.current_transcript_id, file.error_text
        return transcripts.load(self.world.ledger, file.current_transcript_id)

    def results_of(self, key: str) -> list[str]:
        return sorted(self.world.store.list_keys(f"results/{self.file(key).owner}/{key}"))


@contextmanager
def pipeline(home: Path, monkeypatch: pytest.MonkeyPatch, speech: Speech, **variables: str) -> Iterator[Pipeline]:
    """`variables` are settings, without their prefix."""
    quick = {"diarizer": "none", "aligner": "none", "insights": "none", "search_model": "none", "language": "en"}
    recogniser = {"recogniser": "openai", "openai_base_url": speech.service.url}
    speech.service.requests.clear()
    with embedded_world(home, monkeypatch, **(quick | recogniser | variables)) as world:
        yield Pipeline(world, speech)


@cache
def call(seconds: float = 3.0) -> bytes:
    """The beginning of a real telephone call, as WAV; pyannote.audio's wheel carries it."""
    spec = find_spec("pyannote.audio")
    assert spec
    assert spec.origin
    path = Path(spec.origin).parent / "sample/sample.wav"
    rate = soundfile.info(path).samplerate
    samples, _ = soundfile.read(path, dtype="int16", start=6 * rate, frames=int(seconds * rate))
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


# --- what holds after every fault -----------------------------------------------------------------------------------

_NOT_FOR_PEOPLE = re.compile(r'Traceback|File "|line \d+, in |/(tmp|home|work|usr|proc)/|[A-Z]\w+(Error|Exception)\b')


def assert_sound(found: Pipeline) -> None:
    """The invariants of the fault matrix, over everything that lies in the store and the ledger."""
    invariants.CHECKS += 1
    world = found.world
    listed = [upload.object_key for page in world.store.list_uploads("uploads") for upload in page.uploads]
    with world.ledger.connect() as connection:
        keys = connection.execute(text("SELECT object_key FROM media_file")).scalars().all()
        work = connection.execute(text("SELECT partition_key, status, lease_owner FROM media_file")).all()
        per_version = connection.execute(
            text("SELECT media_file_id, source_sha256, COUNT(*) FROM transcript GROUP BY media_file_id, source_sha256")
        ).all()
        announced = connection.execute(
            text(
                "SELECT media_file_id, generation, COUNT(*) FROM outbox_event WHERE kind IN ('completed', 'failed')"
                " GROUP BY media_file_id, generation"
            )
        ).all()
    assert sorted(keys) == sorted(listed), "I1: each object has exactly one row"
    assert [row for row in per_version if row[2] != 1] == [], "I2: no version twice"
    assert [row for row in work if row.status in {s.value for s in AT_WORK} or row.lease_owner] == [], "I3: no zombie"
    assert [child.name() for child in psutil.Process().children(recursive=True) if _is_tool(child)] == [], "I4"
    assert [row for row in announced if row[2] != 1] == [], "I7: one announcement for each end"
    for row in work:
        assert_explained(found, row.partition_key)


def assert_explained(found: Pipeline, key: str) -> None:
    """I5: an error is one of the list, in a sentence for people, with a remedy; and without one, there is a result."""
    file = found.file(key)
    if file.status is Status.COMPLETED:
        assert (file.error_code, file.error_text, file.progress) == (None, None, 1.0)
        assert found.results_of(key)
        return
    assert file.error_code, file
    entry = CATALOGUE[ErrorCode(file.error_code)]
    assert file.error_code != ErrorCode.INTERNAL, "nobody has thought of this one"
    assert entry.remedy
    told = [file.error_text or "", *_descriptions(found, key)]
    for sentence in told:
        assert sentence.startswith(entry.sentence[:-1]), sentence
        assert not _NOT_FOR_PEOPLE.search(sentence), sentence
        for name in (file.object_key, file.file_name, file.partition_key, str(found.world.home)):
            assert name not in sentence
    if entry.error_class is ErrorClass.PERMANENT:
        assert (file.status, file.attempts) == (Status.ERROR, 1), "I6: what can never succeed is not tried again"
        assert found.world.store.exists(file.object_key), "the upload itself is never touched"
        assert found.results_of(key) == []


def _descriptions(found: Pipeline, key: str) -> list[str]:
    """What Dagster shows of the failed steps."""
    events = [event for event in found.results[key].all_events if event.is_step_failure]
    details = [event.step_failure_data.user_failure_data for event in events]
    assert events
    assert all(details)
    return [str(detail.description) for detail in details if detail]


def _is_tool(process: psutil.Process) -> bool:
    """Media tools; this process has servers among its children as well."""
    try:
        return (process.name() or "") in {"ffmpeg", "ffprobe", "exiftool", "perl", "setpriv", "prlimit"}
    except psutil.Error:
        return False


def ffmpeg(target: Path, *arguments: str) -> bytes:
    """Let ffmpeg make a small recording and give its bytes: `target` tells the container by its suffix."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, os.fspath(target)]
    subprocess.run(command, check=True, timeout=120)
    return target.read_bytes()
