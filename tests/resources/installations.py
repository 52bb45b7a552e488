"""A whole installation in which two owners have files of the same name and bytes, done and searchable."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from tests.ledger.samples import nobody_finished, transcript
from transcribe_pipeline.artifacts import FileFacts, MediaMetadata, Options, Transcript
from transcribe_pipeline.insights import Chapter, Chapters, Provenance
from transcribe_pipeline.language_models.port import Call
from transcribe_pipeline.ledger import files, insights, language_model_calls, leases, timings, transcripts, voices
from transcribe_pipeline.partitions import media_files, partition_key
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.results import publish
from transcribe_pipeline.search.documents import MediaDocument, passages
from transcribe_pipeline.search.index import SearchIndex
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import GENERATION_TAG, OWNER_TAG

NAME = "zorblax.wav"
"""What nothing else on a machine is called."""
WORD = "Quuxify"
"""What nothing else says."""
SHA256 = "ab" * 32

_files = dg.DynamicPartitionsDefinition(name=str(media_files.name))


@dg.asset(partitions_def=_files, name="transcript")
def a_transcript(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    print(f"{WORD} on stdout")
    context.log.info("%s in the log", WORD)
    return dg.MaterializeResult(metadata={"preview": dg.MetadataValue.md(WORD)})


@dg.asset_check(asset=a_transcript)
def a_check() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True, metadata={"words": WORD})


@dataclass(frozen=True)
class Installation:
    configured: Settings
    ledger: Engine
    store: ObjectStore
    instance: dg.DagsterInstance
    index: SearchIndex
    upload: Any
    """Puts a file into the store as a person does: (key, bytes)."""

    def done(self, owner: str, name: str = NAME, *, really: bool = False) -> str:
        """A file with everything that a successful run leaves, if `really` with a run. Returns its partition key."""
        object_key = f"uploads/{owner}/{name}"
        self.upload(object_key, b"RIFF")
        key = self.register(object_key)
        run_id = self.materialise(key, owner) if really else "run-1"
        claim = leases.claim(self.ledger, key, None, run_id, lease_seconds=90, holder_finished=nobody_finished)
        leases.record_sha256(self.ledger, claim, SHA256)
        self._artifacts(key, name)
        spoken = transcript(first_word=WORD)
        record = transcripts.save(self.ledger, claim, spoken, artifact_key="x", provenance={})
        moment = datetime.now(UTC)
        timings.record(self.ledger, claim, "transcription", started_at=moment, finished_at=moment)
        self._insight(claim, record.transcript_id, f"={owner}'s {WORD} chapter", moment)
        voices.confirm(self.ledger, owner, record.transcript_id, "SPEAKER_00", name=f"{owner}'s {WORD}")
        publish(self.ledger, self.store, "results", key)
        self._index(files.get(self.ledger, key), spoken)
        leases.complete(self.ledger, claim)
        return key

    def register(self, object_key: str) -> str:
        for page in self.store.list_uploads("uploads"):
            files.register(self.ledger, page.uploads, settle_seconds=0)
        return partition_key(object_key)

    def materialise(self, key: str, owner: str) -> str:
        """A real run of a cheap asset; returns its id."""
        self.instance.add_dynamic_partitions(str(media_files.name), [key])
        result = dg.materialize(
            [a_transcript, a_check],
            instance=self.instance,
            partition_key=key,
            tags={OWNER_TAG: owner, GENERATION_TAG: "1", "transcribe/file": NAME},
        )
        self.instance.get_status_by_partition(dg.AssetKey("transcript"), [key], _files)  # fills Dagster's cache
        return result.run_id

    def _index(self, file: files.FileView, spoken: Transcript) -> None:
        self.index.put(
            MediaDocument(
                partition_key=file.partition_key,
                owner=file.owner,
                file_name=file.file_name,
                generation=file.generation,
                transcript_id=file.current_transcript_id or "",
                language=spoken.language,
                added_at=file.registered_at,
                seconds=spoken.audio_seconds,
                names={},
                passages=passages(spoken, {}),
            )
        )

    def _insight(self, claim: leases.Claim, transcript_id: str, title: str, moment: datetime) -> None:
        chapter = Chapter(start=0.0, end=15.0, title=title, first_segment=0, last_segment=2)
        made_by = Provenance(method="language model", provider="ollama", model=f"={WORD}:8b", prompt_hash="cd" * 32)
        value = Chapters(transcript_id=transcript_id, language="en", made_by=made_by, chapters=(chapter,))
        insights.save(self.ledger, claim, "chapters", value)
        call = Call("chapters", "ollama", f"={WORD}:8b", moment, 1.5, "answered", 0, 1200, 1000, 200, None)
        language_model_calls.record(self.ledger, claim, "chapters", call)

    def _artifacts(self, key: str, name: str) -> None:
        artifacts = ArtifactStore(self.store, "artifacts")
        version = FileVersion(content_id(SHA256), 1)
        metadata = MediaMetadata(file=FileFacts(name=name, size_bytes=4), raw={"XMP:Title": f"=cmd|{WORD}"})
        artifacts.save(key, version, "media_metadata", metadata)
        artifacts.save(key, version, "options", Options(prompt=WORD, sources={"prompt": "sidecar"}))
        artifacts.save_partial(key, version.content, "transcription", "0001", metadata)


def traces(folder: Path, *wanted: str) -> list[str]:
    """Every file below a folder whose name or bytes hold one of these: in UTF-8 or as JSON writes it, in any case."""
    patterns = {form.lower() for text in wanted for form in (text.encode(), json.dumps(text)[1:-1].encode())}
    found = []
    for path in sorted(folder.rglob("*")):
        place = str(path.relative_to(folder))
        content = path.read_bytes() if path.is_file() else b""
        if any(pattern in place.encode().lower() or pattern in content.lower() for pattern in patterns):
            found.append(place)
    return found
