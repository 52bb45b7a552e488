import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from tests.export import strategies
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.export import webvtt as subtitles
from transcribe_pipeline.export.chapters import ffmetadata, podcast, webvtt, youtube
from transcribe_pipeline.export.script import clean

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


def test_players_read_chapters_as_a_track(tmp_path: Path) -> None:
    (tmp_path / "chapters.vtt").write_text(webvtt(CHAPTERS, 40.0))
    command = ["ffmpeg", "-v", "error", "-i", "chapters.vtt", "-f", "srt", "-"]
    shown = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert shown.split("\n\n")[:3] == [
        "1\n00:00:00,000 --> 00:00:10,500\nWelcome = hello; #1",
        "2\n00:00:10,500 --> 00:00:25,250\nback\\slash and [CHAPTER]",
        "3\n00:00:25,250 --> 00:00:40,000\n客観的 <b>",
    ]


@given(strategies.texts())
def test_no_title_breaks_out_of_its_cue(title: str) -> None:
    assert subtitles.read_words(webvtt([(0, f"x {title}"), (5, "end")], 60)) == [*f"x {clean(title)}".split(), "end"]


def test_chapters_for_podcasts() -> None:
    assert json.loads(podcast([(0.4, "Start"), (75, " The <b>\n")], 90)) == {
        "version": "1.2.0",
        "chapters": [
            {"startTime": 0.4, "endTime": 75.0, "title": "Start"},
            {"startTime": 75.0, "endTime": 90.0, "title": "The <b>"},
        ],
    }


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
    for write in (ffmetadata, webvtt, podcast):
        with pytest.raises(PipelineError, match="inside the recording"):
            write([(start, "x") for start in starts], 60)


def test_no_chapters() -> None:
    assert ffmetadata([], 60) == ";FFMETADATA1\n"
    assert webvtt([], 60) == "WEBVTT\n"
    assert json.loads(podcast([], 60))["chapters"] == []
