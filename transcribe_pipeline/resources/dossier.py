"""Everything known of a file, or of all files of an owner, as JSON for programs and CSV for people.

    manifest.json                                  what there is: counts, size and SHA-256 of each file
    files/<partition key>/file.json                state, versions, speakers, timings, calls of models, events, runs
    files/<partition key>/transcripts/v1.json      a transcript version, whole
    files/<partition key>/insights/v1/...json      what was made of that version: each version of each insight
    files/<partition key>/artifacts/...json        what each stage made: metadata, options, quality, turns, voices
    voices.json                                    what was decided about the owner's voices, and who is known from it
    tables/*.csv                                   the same for spreadsheets, all files in one table

What belongs here: gathering and laying out. What does not: the recordings themselves and the result files, which their
people have already; `objects` lists them. Files are taken one at a time, so an owner may have many.
"""

import csv
import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol

from sqlalchemy import Engine

from transcribe_pipeline.artifacts import SpeakerIdentities, Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.cells import harmless
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.ledger import events, insights, language_model_calls, timings, transcripts, voices
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.transcripts import VersionView
from transcribe_pipeline.resources.artifact_store import ArtifactStore
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.run_history import RunView
from transcribe_pipeline.settings import Settings

_ARTIFACT = re.compile(r"/(?P<content>[0-9a-f]{1,64})/(?P<generation>g\d{4,})/(?P<stage>[a-z0-9_]+)\.json\.zst$")
"""The part of an artifact's key that is a safe path."""

_TABLES: dict[str, tuple[str, ...]] = {
    "files": (
        "file", "owner", "file_name", "object_key", "size_bytes", "sha256", "registered_at", "status", "error_code",
        "generation", "attempts", "started_at", "finished_at", "degraded",
    ),
    "metadata": ("file", "fact", "value"),
    "options": ("file", "option", "value", "decided_by"),
    "versions": (
        "file", "version", "generation", "created_at", "is_current", "held_back", "language", "recogniser", "diarizer",
        "word_times", "text_source", "words", "speakers", "run_id",
    ),
    "quality": ("file", "version", "figure", "value"),
    "speakers": ("file", "version", "speaker", "name", "band", "similarity", "seconds", "words"),
    "segments": ("file", "version", "segment", "start", "end", "speaker", "confidence", "doubts", "text"),
    "insights": (
        "file", "version", "stage", "insight_version", "created_at", "method", "provider", "model", "prompt_hash",
        "run_id",
    ),
    "language_model_calls": (
        "file", "run_id", "generation", "stage", "provider", "model", "started_at", "seconds", "outcome", "turn",
        "tokens_counted", "tokens_in", "tokens_out", "cost_usd", "detail",
    ),
    "timings": (
        "file", "run_id", "generation", "stage", "started_at", "finished_at", "seconds", "cpu_seconds", "gpu_seconds",
        "outcome", "error_code",
    ),
    "events": ("file", "id", "generation", "kind", "created_at", "delivered_at", "payload"),
    "runs": ("file", "run_id", "job", "status", "created_at", "started_at", "ended_at"),
    "objects": ("file", "kind", "object_key", "size_bytes"),
    "voice_decisions": (
        "number", "decided_at", "kind", "name", "profile_id", "transcript_id", "label", "merged_id", "undoes",
    ),
}  # fmt: skip
"""Table -> columns. `file` is the partition key."""


@dataclass(frozen=True)
class Sources:
    """Where everything is known."""

    configured: Settings
    ledger: Engine
    store: ObjectStore
    runs: Callable[[str], Sequence[RunView]] | None
    """Partition key -> runs; None where Dagster's instance is not at hand."""


@dataclass
class Manifest:
    made_at: datetime
    owner: str | None
    """None: of single files."""
    counts: dict[str, int] = field(default_factory=dict)
    """Table -> rows."""
    unreadable: list[str] = field(default_factory=list)
    """Keys of artifacts that are damaged or have gone."""
    without: list[str] = field(default_factory=list)
    """What could not be asked."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Path -> size_bytes, sha256."""


def write(sources: Sources, files: Iterable[FileView], destination: Path, *, owner: str | None = None) -> Manifest:
    """Write the dossier of `files`, all of one owner if it is given, to a new folder, or to a file named *.zip.

    A ZIP appears under its name when it is complete.

    :raises PipelineError: BAD_EXPORT, if there is something at `destination` already; as the ledger and the store do.
    """
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise PipelineError(ErrorCode.BAD_EXPORT, "there is something under that name already; name a new one")
    manifest = Manifest(datetime.now(UTC), owner)
    if sources.runs is None:
        manifest.without.append("runs: Dagster's instance is not at hand (DAGSTER_HOME)")
    with _opened(destination) as target:
        put = _Noting(target, manifest)
        with _tables(put) as tables:
            for file in files:
                _File(sources, file, put, tables).write()
                if owner is None:
                    _decisions(sources, file.owner, put, tables, of_file=file)
            if owner is not None:
                _decisions(sources, owner, put, tables)
        target.put("manifest.json", _json(asdict(manifest)))
    return manifest


# --- where it goes --------------------------------------------------------------------------------------------------


class _Target(Protocol):
    """A folder or an archive on its way."""

    def put(self, path: str, content: bytes) -> None: ...

    def put_file(self, path: str, file: Path) -> None: ...


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, path: str, content: bytes) -> None:
        self._made(path).write_bytes(content)

    def put_file(self, path: str, file: Path) -> None:
        shutil.copyfile(file, self._made(path))

    def _made(self, path: str) -> Path:
        (self._root / path).parent.mkdir(parents=True, exist_ok=True)
        return self._root / path


class _Archive:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def put(self, path: str, content: bytes) -> None:
        self._archive.writestr(path, content)

    def put_file(self, path: str, file: Path) -> None:
        self._archive.write(file, path)


@contextmanager
def _opened(destination: Path) -> Iterator[_Target]:
    if destination.suffix.lower() != ".zip":
        destination.mkdir(parents=True, exist_ok=True)
        yield _Folder(destination)
        return
    unfinished = destination.with_name(f"{destination.name}.part")
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            yield _Archive(archive)
        unfinished.replace(destination)
    finally:
        unfinished.unlink(missing_ok=True)


@dataclass
class _Noting:
    """Puts things where they belong, and into the manifest."""

    target: _Target
    manifest: Manifest

    def __call__(self, path: str, content: bytes) -> None:
        self.target.put(path, content)
        self._note(path, len(content), hashlib.sha256(content).hexdigest())

    def file(self, path: str, file: Path) -> None:
        self.target.put_file(path, file)
        with file.open("rb") as content:
            self._note(path, file.stat().st_size, hashlib.file_digest(content, "sha256").hexdigest())

    def _note(self, path: str, size_bytes: int, sha256: str) -> None:
        self.manifest.files[path] = {"size_bytes": size_bytes, "sha256": sha256}


class _Tables:
    """All CSV files, side by side on disk: a ZIP takes one member at a time."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.counts = dict.fromkeys(_TABLES, 0)
        self._files: dict[str, IO[str]] = {
            # With a byte order mark, without which Excel takes UTF-8 for something else.
            name: stack.enter_context((folder / f"{name}.csv").open("w", encoding="utf-8-sig", newline=""))
            for name in _TABLES
        }
        self._writers = {name: csv.writer(file, lineterminator="\r\n") for name, file in self._files.items()}
        for name, columns in _TABLES.items():
            self._writers[name].writerow(columns)

    def add(self, table: str, values: Mapping[str, Any]) -> None:
        self._writers[table].writerow([_cell(values.get(column)) for column in _TABLES[table]])
        self.counts[table] += 1


@contextmanager
def _tables(put: _Noting) -> Iterator[_Tables]:
    with TemporaryDirectory() as folder:
        with ExitStack() as stack:
            tables = _Tables(Path(folder), stack)
            yield tables
        put.manifest.counts = tables.counts
        for name in _TABLES:
            put.file(f"tables/{name}.csv", Path(folder) / f"{name}.csv")


def _cell(value: Any) -> Any:
    """Numbers as they are; whatever people may have written as a cell that no spreadsheet runs."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(value, default=_encoded, ensure_ascii=False)
    return harmless(clean(text))


def _json(value: Any) -> bytes:
    return json.dumps(value, default=_encoded, ensure_ascii=False, indent=1).encode()


def _encoded(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


# --- what there is --------------------------------------------------------------------------------------------------


@dataclass
class _File:
    sources: Sources
    file: FileView
    put: _Noting
    tables: _Tables

    def write(self) -> None:
        ledger, key = self.sources.ledger, self.file.partition_key
        versions = transcripts.history(ledger, key)
        identities = {v.version: voices.last_said(ledger, self.file.owner, v.transcript_id) for v in versions}
        document: dict[str, Any] = {
            "file": asdict(self.file),
            "versions": [asdict(version) for version in versions],
            "speakers": {number: said.model_dump() for number, said in identities.items()},
            "timings": [asdict(timing) for timing in timings.of_file(ledger, self.file.id)],
            "language_model_calls": [asdict(call) for call in language_model_calls.of_file(ledger, self.file.id)],
            "events": events.of_file(ledger, self.file.id),
            "runs": [asdict(run) for run in self.sources.runs(key)] if self.sources.runs else None,
            "objects": list(self._objects()),
        }
        self.put(f"files/{key}/file.json", _json(document))
        self._add("files", asdict(self.file))
        for table in ("versions", "timings", "language_model_calls", "events", "runs", "objects"):
            for row in document[table] or ():
                self._add(table, row)
        for version in versions:
            self._version(version, identities[version.version])
            self._insights(version)
        self._artifacts()

    def _add(self, table: str, values: Mapping[str, Any]) -> None:
        self.tables.add(table, {"file": self.file.partition_key, **values})

    def _version(self, version: VersionView, identities: SpeakerIdentities) -> None:
        transcript = transcripts.load(self.sources.ledger, version.transcript_id)
        path = f"files/{self.file.partition_key}/transcripts/v{version.version}.json"
        self.put(path, transcript.model_dump_json(indent=1).encode())
        of_version = {"version": version.version}
        for figure, value in version.quality.items():
            self._add("quality", of_version | {"figure": figure, "value": value})
        for row in _speakers(transcript, identities):
            self._add("speakers", of_version | row)
        for segment in transcript.segments:
            self._add("segments", of_version | {"segment": segment.id} | segment.model_dump(exclude={"id", "words"}))

    def _insights(self, version: VersionView) -> None:
        folder = f"files/{self.file.partition_key}/insights/v{version.version}"
        for insight in insights.history(self.sources.ledger, version.transcript_id):
            path = f"{folder}/{insight.stage}.v{insight.version}.json"
            self.put(path, insight.value.model_dump_json(indent=1).encode())
            self._add("insights", vars(insight) | {"version": version.version, "insight_version": insight.version})

    def _artifacts(self) -> None:
        configured, key = self.sources.configured, self.file.partition_key
        artifacts = ArtifactStore(self.sources.store, configured.artifacts_prefix)
        newest: dict[str, bytes] = {}
        for artifact in artifacts.of_file(key):
            place = _ARTIFACT.search(artifact)
            try:
                content = artifacts.read_json(artifact)
            except PipelineError as error:
                if error.code is not ErrorCode.ARTIFACT_MISSING:
                    raise
                self.put.manifest.unreadable.append(artifact)
                continue
            if place:
                self.put("/".join(["files", key, "artifacts", *place.groups()]) + ".json", content)
                if place["stage"] in ("media_metadata", "options"):
                    newest[place["stage"]] = content
        for fact, value in _flat(json.loads(newest.get("media_metadata", b"{}"))):
            self._add("metadata", {"fact": fact, "value": value})
        options = json.loads(newest.get("options", b"{}"))
        decided_by = options.pop("sources", {})
        for option, value in options.items():
            decided = decided_by.get(option, "default")
            self._add("options", {"option": option, "value": value, "decided_by": decided})

    def _objects(self) -> Iterator[dict[str, Any]]:
        configured, store, file = self.sources.configured, self.sources.store, self.file
        upload = store.find_upload(configured.uploads_prefix, file.object_key)
        if upload:
            yield {"kind": "upload", "object_key": upload.object_key, "size_bytes": upload.size_bytes}
        beside = store.beside(configured.uploads_prefix, file.object_key)
        folders = {
            "sidecar": beside,
            "result": store.entries(f"{configured.results_prefix}/{file.owner}/{file.partition_key}"),
            "artifact": store.entries(f"{configured.artifacts_prefix}/{file.partition_key}"),
        }
        for kind, entries in folders.items():
            for entry in entries:
                yield {"kind": kind, "object_key": entry.key, "size_bytes": entry.size_bytes}


def _speakers(transcript: Transcript, identities: SpeakerIdentities) -> Iterator[dict[str, Any]]:
    said = {each.label: each for each in identities.speakers}
    for speaker in transcript.speakers:
        known = said[speaker.label].model_dump(include={"name", "band", "similarity"}) if speaker.label in said else {}
        yield {"speaker": speaker.label, "seconds": speaker.seconds, "words": speaker.words, **known}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """'video.width' -> 1920, and so on through nested objects; empty values left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else name)
    elif value not in (None, "", []):
        yield path, value


def _decisions(sources: Sources, owner: str, put: _Noting, tables: _Tables, *, of_file: FileView | None = None) -> None:
    """The owner's voices; of a single file only what was decided about its speakers."""
    known = voices.known(sources.ledger, owner)
    decisions, profiles = known.decisions, known.profiles
    path = "voices.json"
    if of_file:
        ids = {version.transcript_id for version in transcripts.versions(sources.ledger, of_file.partition_key)}
        decisions = tuple(each for each in decisions if each.transcript_id in ids)
        profiles = tuple(each for each in profiles if ids & {transcript_id for transcript_id, _ in each.samples})
        path = f"files/{of_file.partition_key}/voices.json"
    put(
        path,
        _json({"decisions": [asdict(each) for each in decisions], "profiles": [asdict(each) for each in profiles]}),
    )
    for decision in decisions:
        tables.add("voice_decisions", asdict(decision))
