"""The dossier of a file and of an owner, read back by other means than it was written with."""

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.resources.installations import NAME, WORD, Installation
from transcribe_pipeline.artifacts import MediaMetadata, Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import Chapters
from transcribe_pipeline.ledger import files, insights, transcripts
from transcribe_pipeline.resources import dossier
from transcribe_pipeline.resources.dossier import Manifest, Sources
from transcribe_pipeline.resources.run_history import RunHistory


def write(installation: Installation, destination: Path, *, owner: str | None = None, key: str = "") -> Manifest:
    sources = Sources(
        installation.configured, installation.ledger, installation.store, RunHistory(installation.instance).runs
    )
    found = [files.get(installation.ledger, key)] if key else files.list_files(installation.ledger, owner=owner)
    return dossier.write(sources, found, destination, owner=owner)


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_a_file_is_told_whole(installation: Installation, tmp_path: Path):
    key = installation.done("anne", really=True)
    installation.upload(f"uploads/anne/{NAME}.options.yaml", b"prompt: x")
    to = tmp_path / "dossier"

    manifest = write(installation, to, key=key)

    told = json.loads((to / "files" / key / "file.json").read_bytes())
    assert told["file"]["file_name"] == NAME
    assert [version["version"] for version in told["versions"]] == [1]
    assert told["speakers"]["1"]["speakers"] == []
    assert [timing["stage"] for timing in told["timings"]] == ["transcription"]
    assert {event["kind"] for event in told["events"]} == {"transcribed", "completed"}
    assert [run["status"] for run in told["runs"]] == ["SUCCESS"]
    assert {each["kind"] for each in told["objects"]} == {"upload", "sidecar", "result", "artifact"}
    current = transcripts.current(installation.ledger, key)
    assert current
    whole = Transcript.model_validate_json((to / "files" / key / "transcripts/v1.json").read_bytes())
    assert whole == transcripts.load(installation.ledger, current.transcript_id)
    metadata = next((to / "files" / key / "artifacts").rglob("media_metadata.json"))
    assert MediaMetadata.model_validate_json(metadata.read_bytes()).file.name == NAME
    (chapters,) = (to / "files" / key / "insights/v1").iterdir()
    assert chapters.name == "chapters.v1.json"
    kept = insights.latest(installation.ledger, current.transcript_id)["chapters"].value
    assert Chapters.model_validate_json(chapters.read_bytes()) == kept
    assert [(call["stage"], call["tokens_in"]) for call in told["language_model_calls"]] == [("chapters", 1000)]
    decided = json.loads((to / "files" / key / "voices.json").read_bytes())
    assert [profile["name"] for profile in decided["profiles"]] == [f"anne's {WORD}"]
    assert manifest.counts["segments"] == 3
    assert manifest.counts["runs"] == 1


def test_tables_hold_the_same_and_no_spreadsheet_runs_them(installation: Installation, tmp_path: Path):
    key = installation.done("anne")
    to = tmp_path / "dossier"
    write(installation, to, key=key)
    tables = {path.stem: table(path.read_bytes()) for path in (to / "tables").glob("*.csv")}
    assert [row["text"].split()[0] for row in tables["segments"]] == [WORD] * 3
    assert {row["fact"]: row["value"] for row in tables["metadata"]}["raw.XMP:Title"] == f"'=cmd|{WORD}"
    assert {"option": "prompt", "value": WORD, "decided_by": "sidecar", "file": key} in tables["options"]
    assert {"figure": "speech_seconds", "value": "10.5", "version": "1", "file": key} in tables["quality"]
    assert [(row["version"], row["stage"], row["insight_version"]) for row in tables["insights"]] == [
        ("1", "chapters", "1")
    ]
    assert tables["insights"][0]["model"] == tables["language_model_calls"][0]["model"] == f"'={WORD}:8b"
    assert tables["language_model_calls"][0]["tokens_out"] == "200"
    assert tables["files"][0]["owner"] == "anne"
    assert tables["voice_decisions"][0]["name"] == f"anne's {WORD}"
    counts = json.loads((to / "manifest.json").read_bytes())["counts"]
    assert counts == {name: len(rows) for name, rows in tables.items()}


def test_an_owner_is_told_alone_in_a_zip_whose_manifest_holds(installation: Installation, tmp_path: Path):
    annes = {installation.done("anne"), installation.done("anne", "second.wav")}
    installation.done("bob")
    to = tmp_path / "anne.zip"

    write(installation, to, owner="anne")

    with zipfile.ZipFile(to) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert {*manifest["files"], "manifest.json"} == set(archive.namelist())
        for path, noted in manifest["files"].items():
            content = archive.read(path)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (noted["size_bytes"], noted["sha256"])
            assert b"bob" not in content
        assert {path.split("/")[1] for path in manifest["files"] if path.startswith("files/")} == annes
        assert len(json.loads(archive.read("voices.json"))["decisions"]) == 2
    assert manifest["owner"] == "anne"
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_artifact_is_named_and_the_rest_goes_on(installation: Installation, tmp_path: Path):
    key = installation.done("anne")
    damaged = next(entry.key for entry in installation.store.entries(f"artifacts/{key}") if "options" in entry.key)
    installation.store.put_bytes(damaged, b"not zstd")
    manifest = write(installation, tmp_path / "dossier", key=key)
    assert manifest.unreadable == [damaged]
    assert manifest.counts["options"] == 0
    assert manifest.counts["metadata"] > 0


def test_what_cannot_be_asked_is_said(installation: Installation, tmp_path: Path):
    key = installation.done("anne")
    sources = Sources(installation.configured, installation.ledger, installation.store, None)
    manifest = dossier.write(sources, [files.get(installation.ledger, key)], tmp_path / "dossier")
    assert manifest.without
    assert json.loads((tmp_path / "dossier/files" / key / "file.json").read_bytes())["runs"] is None


@pytest.mark.parametrize("existing", ["full/x", "dossier.zip"])
def test_nothing_is_overwritten(installation: Installation, tmp_path: Path, existing: str):
    key = installation.done("anne")
    (tmp_path / existing).parent.mkdir(exist_ok=True)
    (tmp_path / existing).write_bytes(b"mine")
    with pytest.raises(PipelineError) as refusal:
        write(installation, tmp_path / existing.split("/")[0], key=key)
    assert refusal.value.code is ErrorCode.BAD_EXPORT
    assert (tmp_path / existing).read_bytes() == b"mine"


def test_an_interrupted_zip_leaves_nothing(installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    key = installation.done("anne")

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(transcripts, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(installation, tmp_path / "dossier.zip", key=key)
    assert not list(tmp_path.glob("dossier*"))
