"""Figures are pooled, shown where there are any, and cannot be forged by names."""

import io
import json

import numpy as np
from PIL import Image

from transcribe_pipeline.evaluation import report
from transcribe_pipeline.evaluation.comparison import Measured, Result, figures
from transcribe_pipeline.evaluation.references import Reference
from transcribe_pipeline.evaluation.scoring import Rate, Score


def measured(
    name: str, errors: int, words: int, *, seconds: float = 1.0, error: str | None = None, **known
) -> Measured:
    score = Score(wer=Rate(errors, words), start_errors=(0.1, 0.3))
    reference = Reference(recording=None, name=name, text="x", **known)
    if error:
        return Measured(reference, score, error=error)
    return Measured(reference, score, 10.0, seconds, {"transcription": seconds / 2}, 300 * 2**20)


FAST = Result("fast", (measured("a.wav", 5, 10, language="en"), measured("b.wav", 0, 90, language="de")))
CAREFUL = Result("careful", (measured("a.wav", 1, 10, seconds=3, language="en"), measured("b.wav", 90, 90, error="NOT_MEDIA", language="de")))  # fmt: skip  # noqa: E501


def rows(markdown: str, first: str) -> list[list[str]]:
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines())
    return [row for row in cells if row[0] == first]


def test_figures_are_pooled_by_words_and_seconds():
    fast, careful = figures(FAST.recordings), figures(CAREFUL.recordings)
    assert (fast.wer, fast.rtf, fast.recognition_rtf) == (Rate(5, 100), 0.1, 0.05)
    assert (careful.wer, careful.failed) == (Rate(91, 100), 1)
    assert careful.rtf == 0.3  # of what did not fail
    assert (fast.start_median, fast.start_p95) == (0.2, 0.3)
    assert fast.cer is None


def test_tables_have_a_row_for_each_candidate_and_columns_that_say_something():
    text = report.summary([FAST, CAREFUL])
    assert rows(text, "all recordings")[0] == [
        *("all recordings", "recordings", "WER", "word start off, median s", "word start off, 95 % s"),
        *("RTF", "recognition RTF", "peak MiB", "failed"),
    ]
    assert [row[:3] for row in rows(text, "fast")] == [
        ["fast", "2", "5.0%"],
        ["fast", "1", "50.0%"],
        ["fast", "1", "0.0%"],
    ]
    assert rows(text, "careful")[0][-1] == "1"


def test_every_recording_and_every_failure_is_listed():
    text = report.details([FAST, CAREFUL])
    assert [row[1] for row in rows(text, "a.wav")] == ["50.0%", "10.0%"]
    assert "- b.wav: NOT_MEDIA" in text


def test_names_stay_names():
    hostile = "![x](http://evil) | <img src=x>\n| forged | 0.0% |"
    text = report.details([Result(hostile, (measured(hostile, 1, 1, error=hostile),))])
    assert "![x]" not in text
    assert " <img" not in text
    assert len(text.splitlines()) == 5  # header, rule, row, empty line, failure


def test_json_has_it_all():
    (fast,) = json.loads(json.dumps(report.as_json([FAST])))
    assert fast["candidate"] == "fast"
    assert fast["all"]["wer"] == {"errors": 5, "total": 100, "value": 0.05}
    assert fast["groups"]["one speaker, English"]["wer"]["value"] == 0.5
    assert [recording["name"] for recording in fast["recordings"]] == ["a.wav", "b.wav"]


def test_the_picture_has_a_bar_for_every_candidate():
    def orange(results: list[Result]) -> int:
        """Pixels in the second candidate's colour."""
        pixels = np.asarray(Image.open(io.BytesIO(report.plot(results))).convert("RGB"), dtype=int)
        return int((np.abs(pixels - (230, 159, 0)).sum(axis=2) < 30).sum())

    assert orange([FAST]) == 0
    assert orange([FAST, CAREFUL]) > 1_000


def test_numbers_for_the_ui():
    assert report.numbers(FAST)["wer"] == 0.05
    assert "der" not in report.numbers(FAST)
