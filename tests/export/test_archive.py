import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.export.archive import Folders, Member, Recording, members, whole_file, write_folder, write_zip
from transcribe_pipeline.export.formats import FORMATS
from transcribe_pipeline.export.options import DEFAULT_OPTIONS, ExportOptions
from transcribe_pipeline.export.script import Script


def test_a_file_is_in_the_archive_before_the_next_is_made() -> None:
    out = io.BytesIO()
    written = []

    def files() -> Iterator[Member]:
        for number in range(5):
            written.append(len(out.getvalue()))
            yield f"{number}.txt", bytes(range(256)) * 100 * (number + 1)

    write_zip(files(), out)
    assert written == sorted(set(written))
    with zipfile.ZipFile(out) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"{number}.txt" for number in range(5)]


def test_a_format_is_written_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script.of(transcript_of([(None, timed("Hello."))]), file_name="a", names={})
    files = members(script, ["srt", "no such format"], "a/b")
    assert next(files) == ("a/b/transcript.srt", FORMATS["srt"].write(script))
    with pytest.raises(KeyError):
        next(files)


@pytest.mark.parametrize(
    ("owner", "file_name", "redact", "expected"),
    [
        ("ann", "Board Meeting.mp3", (), "ann/board-meeting-mp3-0123456789ab"),
        ("../..", "x", (), "owner/board-meeting-mp3-0123456789ab"),
        ("CON \x00/\\:*", "x", (), "con/board-meeting-mp3-0123456789ab"),
        ("zoé", "Board Meeting.mp3", ("board",), "zoe/redacted-meeting-mp3-0123456789ab"),
        ("board", "Board.mp3", ("board", "mp3"), "redacted/redacted-redacted-0123456789ab"),
    ],
)
def test_folders_are_safe_and_tell_nothing(owner: str, file_name: str, redact: tuple[str, ...], expected: str) -> None:
    recording = Recording(owner=owner, file_name=file_name, partition_key="board-meeting-mp3-0123456789ab")
    assert Folders(ExportOptions(redact=redact)).name(recording) == expected


def test_a_skipped_file_is_one_line() -> None:
    recording = Recording(owner="ann", file_name="a\nb.mp3", partition_key="a-b-mp3-0")
    assert Folders(DEFAULT_OPTIONS).line(recording, "no\ntranscript") == "ann/a b.mp3: no transcript\n"


def test_an_interrupted_folder_has_whole_files_only(tmp_path: Path) -> None:
    def files() -> Iterator[Member]:
        yield "a/x.txt", b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(files(), tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.txt"]


def test_a_file_keeps_its_content_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "b.txt"
    path.write_bytes(b"old")

    def half() -> None:
        with whole_file(path) as out:
            out.write(b"half")
            out.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with whole_file(path) as out:
        out.write(b"new")
        out.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
