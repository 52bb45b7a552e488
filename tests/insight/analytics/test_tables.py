"""The figures as tables: complete, and no name can be markup or a formula."""

import csv
import io
import re

import pytest
from markdown_it import MarkdownIt

from tests.export.strategies import NASTY
from tests.export.transcripts import timed, transcript_of
from tests.insight.analytics.test_analytics import A, B, by_hand
from transcribe_pipeline.insight.analytics import analytics, csv_table, markdown


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_markdown() -> None:
    recording, speakers = map(cells, markdown(by_hand(), {A: "Ann"}).split("\n\n"))
    figures = dict(recording)
    assert figures["Silence"] == "0:19 (49%)"
    assert figures["Words"] == "43"
    assert figures["Interruptions"] == "1"
    assert figures["Median response latency"] == "0.8 s"
    assert figures["Lexical diversity (MTLD)"] == "–"  # noqa: RUF001
    header, _, ann, other = speakers
    hers = dict(zip(header, ann, strict=True))
    assert (hers["Speaker"], hers["Share"], hers["Words"], hers["Turns"]) == ("Ann", "61%", "27", "3")
    assert other[0] == r"SPEAKER\_01"


def test_without_speakers_there_is_one_table() -> None:
    assert "Speaker" not in markdown(analytics(transcript_of([(None, timed("a b"))]), "v"), {})


@pytest.mark.parametrize("name", [*NASTY, "a | b", "![x](https://evil)", "<img src=x>", "x" * 500])
def test_no_name_becomes_markup(name: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(markdown(by_hand(), {A: name}))
    assert set(re.findall(r"</?([a-z]+)", html)) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert {len(re.findall("<td", row)) for row in html.split("<tr>")[1:] if "<td" in row} == {2, 17}


@pytest.mark.parametrize("name", NASTY)
def test_csv(name: str) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_table(by_hand(), {B: name}), newline="")))
    assert [(row["speaker"], row["words"], row["talk_seconds"]) for row in rows] == [
        (A, "27", "14.000"),
        (B, "16", "9.000"),
    ]
    assert rows[0]["mtld"] == ""
    assert not re.match("[=+@\\-＝＋－＠\t\r]", rows[1]["name"])  # noqa: RUF001
