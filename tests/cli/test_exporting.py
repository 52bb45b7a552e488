import base64
import io
import json
import re
import typing
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from sqlalchemy import Engine, update

from tests.cli.conftest import Run
from tests.export.insights import insights_of
from tests.ledger.samples import take, transcript, upload
from transcribe_pipeline import cli
from transcribe_pipeline.artifacts import Audio, InsightStage
from transcribe_pipeline.cli import exporting
from transcribe_pipeline.cli.output import ExitCode
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.formats import FORMATS, difference
from transcribe_pipeline.export.insight_files import INSIGHT_FILES
from transcribe_pipeline.export.options import DEFAULT_OPTIONS, ExportOptions
from transcribe_pipeline.insights import Chapters
from transcribe_pipeline.ledger import files, insights, leases, transcripts
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.models import MediaFile
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.search.documents import Kind


def export_all(
    destination: Path | None, formats: list[str], owner: str | None = None, options: ExportOptions = DEFAULT_OPTIONS
) -> None:
    exporting.export(None, formats, every=True, owner=owner, destination=destination, options=options)


def opened(content: bytes) -> zipfile.ZipFile:
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return archive


@pytest.fixture
def call(ledger: Engine) -> str:
    """Partition key of bob's 'John Smith.wav', transcribed."""
    register(ledger, [upload("John Smith.wav", owner="bob")], settle_seconds=0)
    claim = take(ledger, key=upload("John Smith.wav", owner="bob").partition_key)
    transcripts.save(ledger, claim, transcript(first_word="Smith"), artifact_key="y", provenance={})
    leases.complete(ledger, claim)
    return claim.partition_key


def test_the_options_offer_what_there_is() -> None:
    assert tuple(cli.FormatName) == (*FORMATS, *INSIGHT_FILES, exporting.ZIP, exporting.PAGE)
    assert cli.StageName == InsightStage
    assert tuple(cli.KindName) == typing.get_args(Kind)


# --- one file -------------------------------------------------------------------------------------------------------


def test_every_format_holds_the_transcript(run: Run, meeting: str, tmp_path: Path) -> None:
    for name in FORMATS:
        printed = run("export", meeting, "--format", name)
        assert difference(transcript(), name, printed.stdout_bytes) is None
        assert run("export", meeting, "-f", name, "-o", tmp_path / "out").exit_code == 0
        assert difference(transcript(), name, (tmp_path / "out").read_bytes()) is None
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out"]


def test_a_zip_holds_all_formats(run: Run, meeting: str) -> None:
    archive = opened(run("export", meeting, "-f", "zip").stdout_bytes)
    for name, export in FORMATS.items():
        content = archive.read(f"ann/{meeting}/transcript.{export.extension}")
        assert difference(transcript(), name, content) is None
    assert len(archive.namelist()) == len(FORMATS)


def test_a_file_without_transcript_has_nothing_to_export(run: Run, waiting: str) -> None:
    result = run("export", "interview.wav", "--format", "txt")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "no transcript yet" in result.stderr


def test_a_folder_that_is_not_there_is_one_line(run: Run, meeting: str, tmp_path: Path) -> None:
    result = run("export", meeting, "-f", "srt", "-o", tmp_path / "nowhere" / "out.srt")
    assert result.exit_code == 1
    assert result.stderr == "No such file or directory (out.srt).\n"


def test_what_is_no_file_is_written_to_and_not_replaced(run: Run, meeting: str, tmp_path: Path) -> None:
    (tmp_path / "nothing").symlink_to("/dev/null")
    (tmp_path / "out.srt").symlink_to(tmp_path / "real.srt")
    assert run("export", meeting, "-f", "srt", "-o", tmp_path / "nothing").exit_code == 0
    assert run("export", meeting, "-f", "srt", "-o", tmp_path / "out.srt").exit_code == 0
    assert (tmp_path / "nothing").resolve().is_char_device()
    assert (tmp_path / "out.srt").is_symlink()
    assert difference(transcript(), "srt", (tmp_path / "real.srt").read_bytes()) is None


@pytest.mark.parametrize(("name", "formats", "every"), [(None, ["srt"], False), ("x", ["srt"], True), ("x", [], False)])
def test_a_contradiction_is_wrong_usage(home: Path, name: str | None, formats: list[str], every: bool) -> None:
    with pytest.raises(typer.Exit) as exit_:
        exporting.export(name, formats, every=every, owner=None, destination=None, options=DEFAULT_OPTIONS)
    assert exit_.value.exit_code == 2


# --- many -----------------------------------------------------------------------------------------------------------


def test_all_files_in_an_archive(meeting: str, call: str, waiting: str, tmp_path: Path) -> None:
    export_all(tmp_path / "all.zip", ["srt", "docx"])
    archive = opened((tmp_path / "all.zip").read_bytes())
    assert sorted(archive.namelist()) == sorted(
        [f"{folder}/transcript.{name}" for folder in (f"ann/{meeting}", f"bob/{call}") for name in ("srt", "docx")]
        + ["skipped.txt"]
    )
    assert difference(transcript(), "docx", archive.read(f"ann/{meeting}/transcript.docx")) is None
    skipped = archive.read("skipped.txt").decode()
    assert skipped.startswith("bob/interview.wav: ")
    assert "no transcript yet" in skipped
    assert len(skipped.splitlines()) == 1


def test_those_of_one_owner_in_a_folder_which_may_be_there(meeting: str, call: str, tmp_path: Path) -> None:
    for _ in range(2):
        export_all(tmp_path / "out", ["json"], owner="ann")
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [
        tmp_path / "out" / "ann" / meeting / "transcript.json"
    ]


def test_to_standard_output_which_cannot_seek(
    meeting: str, call: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    export_all(None, ["srt"])
    captured = capfdbinary.readouterr()
    assert len(opened(captured.out).namelist()) == 2
    assert captured.err.count(b" of 2: ") == 2


def test_more_files_than_a_page(ledger: Engine, meeting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporting, "_PAGE", 3)
    register(ledger, [upload(f"{n}.wav", owner="bob") for n in range(7)], settle_seconds=0)
    export_all(tmp_path / "all.zip", ["txt"])
    archive = opened((tmp_path / "all.zip").read_bytes())
    assert len(archive.read("skipped.txt").decode().splitlines()) == 7
    assert f"ann/{meeting}/transcript.txt" in archive.namelist()


def test_what_is_interrupted_leaves_no_file(
    meeting: str, call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = exporting.archive.members

    def interrupted(*arguments: typing.Any) -> Iterator[tuple[str, bytes]]:
        yield from real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting.archive, "members", interrupted)
    out = tmp_path / "exports"
    out.mkdir()
    (out / "all.zip").write_bytes(b"the one before")
    with pytest.raises(KeyboardInterrupt):
        export_all(out / "all.zip", ["srt"])
    assert [path.name for path in out.iterdir()] == ["all.zip"]
    assert (out / "all.zip").read_bytes() == b"the one before"


def test_what_is_interrupted_on_standard_output_is_no_archive(
    meeting: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    real = exporting.archive.members

    def interrupted(*arguments: typing.Any) -> Iterator[tuple[str, bytes]]:
        yield from real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting.archive, "members", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_all(None, ["srt"])
    written = capfdbinary.readouterr().out
    assert written.startswith(b"PK")
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(written))


def test_what_is_hidden_is_nowhere_in_the_archive(
    meeting: str, call: str, waiting: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export_all(tmp_path / "all.zip", list(FORMATS), options=ExportOptions(redact=("Smith", "interview")))
    archive = opened((tmp_path / "all.zip").read_bytes())
    texts = [name + archive.read(name).decode(errors="replace") for name in archive.namelist()]
    assert len(texts) == 2 * len(FORMATS) + 1
    assert [text for text in texts if "smith" in text.lower() or "interview" in text.lower()] == []
    assert any(f"bob/john-redacted-wav-{call[-12:]}/transcript.srt" in text for text in texts)
    assert "smith" not in capfd.readouterr().err


def test_a_file_that_cannot_be_had_as_asked_for_is_named(
    ledger: Engine, meeting: str, call: str, tmp_path: Path
) -> None:
    french = transcript().model_copy(update={"language": "fr"})
    listed = upload("entretien.wav", owner="zoé")
    register(ledger, [listed], settle_seconds=0)
    claim = take(ledger, key=listed.partition_key)
    transcripts.save(ledger, claim, french, artifact_key="z", provenance={})
    leases.complete(ledger, claim)
    export_all(tmp_path / "all.zip", ["json"], options=ExportOptions(language="en"))
    archive = opened((tmp_path / "all.zip").read_bytes())
    assert len(archive.namelist()) == 3
    assert "zoé/entretien.wav: " in archive.read("skipped.txt").decode()
    assert "no English translation" in archive.read("skipped.txt").decode()
    assert all(json.loads(archive.read(n))["media"]["language"] == "en" for n in archive.namelist() if "json" in n)


# --- from the command line ------------------------------------------------------------------------------------------


def test_the_options_reach_the_files(run: Run, meeting: str, call: str, tmp_path: Path) -> None:
    done = run("export", "--all", "--owner", "bob", "-f", "srt", "-f", "txt", "--no-names", "--words-per-cue", "1",
               "--redact", "smith", "--placeholder", "***", "-o", tmp_path / "bob.zip")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    archive = opened((tmp_path / "bob.zip").read_bytes())
    folder = f"bob/john-wav-{call[-12:]}"
    assert archive.namelist() == [f"{folder}/transcript.srt", f"{folder}/transcript.txt"]
    assert archive.read(f"{folder}/transcript.srt").decode().split("\n")[2] == "***"
    assert archive.read(f"{folder}/transcript.txt").decode().startswith("[00:00:00]\n*** ")


def test_what_cannot_be_had_is_said_in_one_line(run: Run, meeting: str, tmp_path: Path) -> None:
    result = run("export", meeting, "-f", "srt", "--redact", "...", "-o", tmp_path / "out.srt")
    assert result.exit_code != 0
    assert "needs letters or digits" in result.stderr
    assert not (tmp_path / "out.srt").exists()
    assert run("export").exit_code == run("export", meeting).exit_code == run("export", "--all", meeting).exit_code == 2


# --- insights -------------------------------------------------------------------------------------------------------


@pytest.fixture
def chapters(ledger: Engine, meeting: str) -> Chapters:
    """Of the meeting, which has no other insight."""
    claim = take(ledger, "insight", key=meeting)
    made = insights_of(transcript(), "SPEAKER_00 sells").chapters
    assert made
    made = made.model_copy(update={"transcript_id": files.get(ledger, meeting).current_transcript_id})
    insights.save(ledger, claim, "chapters", made)
    leases.complete(ledger, claim)
    return made


def export_one(name: str, formats: list[str], destination: Path, options: ExportOptions = DEFAULT_OPTIONS) -> None:
    exporting.export(name, formats, every=False, owner=None, destination=destination, options=options)


def test_a_file_of_an_insight_alone(meeting: str, chapters: Chapters, tmp_path: Path) -> None:
    export_one(meeting, ["ffmetadata"], tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text().count("title=SPEAKER_00 sells") == 2
    with pytest.raises(PipelineError, match="nothing for 'summary' yet") as missing:
        export_one(meeting, ["summary"], tmp_path / "summary.md")
    assert missing.value.code is ErrorCode.ARTIFACT_MISSING
    assert not (tmp_path / "summary.md").exists()


def test_insights_beside_transcripts(meeting: str, call: str, chapters: Chapters, tmp_path: Path) -> None:
    export_all(tmp_path / "all.zip", ["srt", "chapters"])
    archive = opened((tmp_path / "all.zip").read_bytes())
    assert {f"ann/{meeting}/transcript.srt", f"ann/{meeting}/chapters.vtt"} <= set(archive.namelist())
    assert "nothing for 'chapters' yet" in archive.read("skipped.txt").decode()
    export_all(tmp_path / "everything.zip", [])
    there = {name.rpartition("/")[2] for name in opened((tmp_path / "everything.zip").read_bytes()).namelist()}
    there -= {f"transcript.{export.extension}" for export in FORMATS.values()}
    assert there == {"insights.json", "chapters.vtt", "chapters.ffmetadata", "chapters.json"}


@pytest.mark.parametrize("options", [ExportOptions(redact=("sells",)), ExportOptions(language="en")])
def test_insights_hide_nothing(meeting: str, chapters: Chapters, tmp_path: Path, options: ExportOptions) -> None:
    with pytest.raises(typer.Exit):
        export_one(meeting, ["chapters"], tmp_path / "out.vtt", options)
    export_all(tmp_path / "all.zip", [], options=options)
    names = opened((tmp_path / "all.zip").read_bytes()).namelist()
    assert not [name for name in names if "chapters" in name or "insights" in name]


# --- a page to pass on ------------------------------------------------------------------------------------------------


def test_a_page_has_its_recording_inside(run: Run, meeting: str, ledger: Engine, home: Path, tmp_path: Path) -> None:
    """Sound of 3 s in, sound of 3 s out: as a browser would decode it."""
    tone = np.sin(np.arange(3 * SAMPLE_RATE) * 0.1).astype(np.float32) / 2
    soundfile.write(tmp_path / "tone.flac", tone, SAMPLE_RATE)
    with ledger.begin() as connection:
        connection.execute(update(MediaFile).values(sha256="ab" * 32))
    store = open_store((home / "store").as_uri())
    store.put_file("artifacts/sound.flac", tmp_path / "tone.flac")
    audio = Audio(
        object_key="artifacts/sound.flac", size_bytes=1, sha256="cd" * 32, seconds=3.0,
        stream_index=0, track_rule="only track", downmix="mono",
    )  # fmt: skip
    version = FileVersion(content_id("ab" * 32), files.get(ledger, meeting).generation)
    ArtifactStore(store, "artifacts").save(meeting, version, "audio", audio)
    assert run("export", meeting, "-f", "html", "-o", tmp_path / "page.html").exit_code == 0
    (sound,) = re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', (tmp_path / "page.html").read_text())
    (tmp_path / "sound.mp3").write_bytes(base64.b64decode(sound))
    assert soundfile.info(tmp_path / "sound.mp3").duration == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize("options", [["--redact", "hello"], ["-f", "srt"], ["--language", "en"]])
def test_a_page_hides_nothing_and_comes_alone(run: Run, meeting: str, options: list[str]) -> None:
    result = run("export", meeting, "-f", "html", *options)
    assert result.exit_code == ExitCode.USAGE
    assert "alone" in result.stderr
