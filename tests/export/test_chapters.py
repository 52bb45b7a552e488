import json
import subprocess
from pathlib import Path

import pytest

from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.export.chapters import ffmetadata, youtube

TITLES = ["Welcome = hello; #1", "back\\slash\nand [CHAPTER]", "客観的 <b>"]
CHAPTERS = list(zip([0.0, 10.5, 25.25], TITLES, strict=True))


def test_ffmpeg_puts_chapters_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "chapters.txt").write_text(ffmetadata(CHAPTERS, 40.0))
    silence = ["-f", "lavfi", "-t", "40", "-i", "anullsrc=r=8000:cl=mono"]
    given = ["-f", "ffmetadata", "-i", "chapters.txt", "-map_metadata", "1"]
    subprocess.run(["ffmpeg", "-v", "error", *silence, *given, "-c:a", "flac", "out.mka"], cwd=tmp_path, check=True)
    probe = ["ffprobe", "-v", "error", "-show_chapters", "-of", "json", "out.mka"]
    found = json.loads(subprocess.run(probe, cwd=tmp_path, check=True, capture_output=True).stdout)["chapters"]
    assert [(float(c["start_time"]), float(c["end_time"]), c["tags"]["title"]) for c in found] == [
        (0.0, 10.5, "Welcome = hello; #1"),
        (10.5, 25.25, "back\\slash and [CHAPTER]"),
        (25.25, 40.0, "客観的 <b>"),
    ]


def test_youtube_lines() -> None:
    assert youtube([(0.4, "Start"), (75, " The <b>\n"), (3_700.9, "End")], 4_000) == (
        "0:00 Start\n1:15 The ‹b›\n1:01:40 End\n"  # noqa: RUF001  # quotation marks are meant
    )


@pytest.mark.parametrize(
    "chapters",
    [
        [],
        [(0, "a"), (20, "b")],
        [(1, "a"), (20, "b"), (40, "c")],
        [(0, "a"), (9, "b"), (40, "c")],
        [(0, "a"), (20, "b"), (51, "c")],
    ],
    ids=["none", "two", "late", "short", "short at the end"],
)
def test_what_youtube_would_not_show_is_refused_with_its_rules(chapters: list[tuple[float, str]]) -> None:
    with pytest.raises(PipelineError, match="at least three chapters, the first at 0:00, each at least ten seconds"):
        youtube(chapters, 60)


@pytest.mark.parametrize("starts", [[5, 5], [5, 4], [0, 60]])
def test_chapters_that_do_not_follow_each_other_are_refused(starts: list[float]) -> None:
    with pytest.raises(PipelineError, match="inside the recording"):
        ffmetadata([(start, "x") for start in starts], 60)


def test_no_chapters() -> None:
    assert ffmetadata([], 60) == ";FFMETADATA1\n"
