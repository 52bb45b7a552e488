"""Characters that databases, terminals and XML refuse, from everywhere that text comes from: row 40."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.faults.harness import Speech, new_database, row
from tests.faults.pipeline import Pipeline, assert_sound, call, ffmpeg, pipeline
from tests.servers.scripted_model import Scripted, scripted_model
from transcribe_pipeline.artifacts import MediaMetadata
from transcribe_pipeline.cli import app
from transcribe_pipeline.insights import Chapters
from transcribe_pipeline.ledger import insights
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id

HOSTILE = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ud800-\\udfff]")
SAID = "The qu\x00ick \x1b[31mbrown \x7ffox ju\ud83dmps\x08 over"
HEARD = ["The", "quick", "[31mbrown", "fox", "ju?mps", "over"]
TITLE = "Quick\x00 brown\x1b fox"


@pytest.fixture(params=["sqlite", "postgresql"])
def found(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Speech
) -> Iterator[Pipeline]:
    """An installation with a language model that answers with a title, and a recogniser that says what it is told."""
    variables = {"insights": "chapters", "llm": "compatible/any", "llm_context_tokens": "8000"}
    if request.param == "postgresql":
        variables["database_url"] = new_database(request.getfixturevalue("postgres_url"))
        migrate(connect(variables["database_url"]))
    with scripted_model() as model:
        answer = json.dumps({"titles": [{"chapter": 1, "title": TITLE}]})
        model.says(Scripted({"choices": [{"message": {"content": answer}, "finish_reason": "stop"}]}))
        variables["llm_compatible_url"] = f"{model.url}/v1"
        monkeypatch.setattr(speech, "says", SAID)
        with pipeline(tmp_path / "home", monkeypatch, speech, **variables) as made:
            yield made


@row(40)
def test_nothing_unprintable_gets_in(found: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(call())
    tags = ("-metadata", "title=TITLE", "-metadata", "artist=ARTIST", "-metadata", "comment=COMMENT")
    film = ffmpeg(tmp_path / "film.mkv", "-i", str(tmp_path / "call.wav"), *tags)
    for written, hostile in (
        (b"TITLE", b"T\x00\x07\x1bE"),
        (b"ARTIST", b"A\xff\xfe\xed\xa0T"),
        (b"COMMENT", b"\x00" * 7),
    ):
        film = film.replace(written, hostile)
    key = found.put("ann/film.mkv", film)
    found.tick()
    file = found.file(key)
    assert (file.status, file.degraded, file.error_text) == (Status.COMPLETED, [], None)

    transcript = found.transcript(key)
    assert [word.text for word in transcript.words] == HEARD
    (chapter,) = chapters(found, key).chapters
    assert not HOSTILE.search(chapter.title)
    store = ArtifactStore(found.world.store, "artifacts")
    metadata = store.load(key, FileVersion(content_id(file.sha256 or ""), 1), "media_metadata", MediaMetadata)
    assert not HOSTILE.search(metadata.model_dump_json(indent=None).encode().decode("unicode_escape", "ignore"))
    for path in found.results_of(key):
        assert not HOSTILE.search(found.world.store.get_bytes(path).decode("utf-8")), path
    assert_every_format_can_be_written(key, tmp_path)
    assert_sound(found)


def chapters(found: Pipeline, key: str) -> Chapters:
    current = found.file(key).current_transcript_id
    assert current
    value = insights.latest(found.world.ledger, current)["chapters"].value
    assert isinstance(value, Chapters)
    assert value.made_by.method != "offline", value.made_by.fallback_reason
    return value


def assert_every_format_can_be_written(key: str, folder: Path) -> None:
    """Word documents and annotation files are XML, which has no place for these characters."""
    wanted = ["srt", "vtt", "ass", "txt", "md", "docx", "json", "csv", "textgrid", "eaf", "ffmetadata"]
    options = [argument for name in wanted for argument in ("-f", name)]
    target = folder / "all.zip"
    done = CliRunner().invoke(app, ["export", key, *options, "-o", str(target)])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(target) as packed:
        assert len(packed.namelist()) >= len(wanted)
        for name in packed.namelist():
            if not name.endswith(".docx"):
                assert not HOSTILE.search(packed.read(name).decode("utf-8-sig")), name
