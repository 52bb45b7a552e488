"""What people get to see of a day."""

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest
from PIL import Image
from sqlalchemy import Engine

from tests.operations.daily_report.activity import DAY, Call, End, File, Run, Version, record
from transcribe_pipeline.export.cells import original
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations.daily_report.collecting import daily_report
from transcribe_pipeline.operations.daily_report.csv_table import COLUMNS, csv_table
from transcribe_pipeline.operations.daily_report.filing import files
from transcribe_pipeline.operations.daily_report.markdown import duration, markdown
from transcribe_pipeline.operations.daily_report.picture import picture
from transcribe_pipeline.operations.daily_report.values import DailyReport

HOSTILE = "=cmd|'/c calc'!A1 | <img src=x> [a](http://b) \x1b[2J\n**bold**"


@pytest.fixture(scope="module")
def report(sqlite_template: object, tmp_path_factory: pytest.TempPathFactory) -> DailyReport:
    from shutil import copy

    from transcribe_pipeline.ledger.database import connect

    engine: Engine = connect(f"sqlite:///{copy(str(sqlite_template), tmp_path_factory.mktemp('day') / 'l.db')}")
    record(
        engine,
        [
            File(
                "ann",
                1,
                runs=[Run("upload", 1.5, 10), Run("transcription", 2, 300), Run("transcription", 3, 1, "INTERNAL")],
                versions=[Version(3, audio_seconds=7200)],
                ends=[End(3)],
                calls=[Call(3, cost_usd=0.5, model=HOSTILE)],
                key="meeting-mp3-0123",
            ),
            File(HOSTILE, 5, ends=[End(6, Status.ERROR, "NO_AUDIO")]),
        ],
    )
    made = daily_report(engine, DAY)
    engine.dispose()
    return made


def test_markdown_tells_the_day(report: DailyReport):
    text = markdown(report)
    assert text.startswith("# 2026-05-04 (UTC)\n")
    assert "| ended | 2: 1 completed, 1 failed |" in text
    assert "| wait in the queue | median 30 min 0 s, 95 % within 30 min 0 s |" in text
    assert "| transcription | 2 | 1 | 5 min 1 s | 5 min 0 s | 5 min 0 s | 0.042 |" in text
    assert "| meeting-mp3-0123 | transcription | 5 min 0 s | 0.042 |" in text
    assert "| NO\\_AUDIO | 1 | 0 |" in text


def test_every_row_of_a_table_has_its_columns_whatever_people_are_called(report: DailyReport):
    text = markdown(report)
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[<\[]", text)
    widths = [
        {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        for block in text.split("\n\n")
        if block.startswith("|")
    ]
    assert all(len(width) == 1 for width in widths)


def test_a_quiet_day_is_a_short_report():
    quiet = DailyReport.model_validate(_quiet())
    text = markdown(quiet)
    assert "##" not in text
    assert "| ended | 0 |" in text
    assert len(picture(quiet).png()) > 500


def _quiet() -> dict[str, object]:
    spread = {"count": 0, "median": None, "p95": None}
    numbers = dict.fromkeys(
        (
            *("received", "completed", "degraded", "failed", "cancelled", "quarantined", "orphaned", "recovered"),
            *("transcripts", "again", "held_back", "no_speech", "audio_hours", "words", "speakers"),
            *("stage_seconds", "cpu_seconds", "gpu_seconds"),
        ),
        0,
    )
    counts: dict[str, object] = {name: {} for name in ("requests", "languages", "errors", "stage_errors")}
    lists: dict[str, object] = {name: [] for name in ("models", "stages", "slowest")}
    total = numbers | counts | lists | {"queue_wait": spread, "turnaround": spread}
    return {"day": DAY, "total": total, "owners": {}, "hours": [{"received": 0, "ended": 0, "audio_hours": 0}] * 24}


def test_csv_is_a_row_for_all_and_one_for_each_owner(report: DailyReport):
    header, whole, *owners = csv.reader(io.StringIO(csv_table([report]), newline=""), strict=True)
    assert tuple(header) == COLUMNS
    of_all = dict(zip(header, whole, strict=True))
    assert (of_all["day"], of_all["rows"], of_all["received"], of_all["audio_hours"]) == (
        "2026-05-04",
        "all",
        "2",
        "2.0",
    )
    assert [row[1] for row in owners] == ["owner", "owner"]
    hostile = next(row[2] for row in owners if "calc" in row[2])
    assert hostile.startswith("'=")
    assert original(hostile).startswith("=cmd")
    assert csv_table([report, report]).count("\r\n") == 7


def test_the_picture_shows_hours_and_stages(report: DailyReport):
    plot = picture(report)
    svg = plot.svg()
    texts = [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"files ended", "hours of audio", "06:00", "transcription", "97%, 5 min 1 s"} <= set(texts)
    assert plot.description.endswith("Most time: transcription.")
    # A column of 23 pixels for the hour from 03:00, one file of two; the second plot lies below.
    drawn = [path.get("d") or "" for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")]
    assert "M248.5 128v-120M317.5 128v-120" in drawn
    assert "M248.5 280v-120" in drawn


def test_the_files_of_a_day(report: DailyReport):
    made = files(report)
    assert list(made) == ["2026-05-04.png", "2026-05-04.md", "2026-05-04.csv", "2026-05-04.json"]
    assert b"![files, hours of audio and stages of the day](2026-05-04.png)" in made["2026-05-04.md"]
    told = json.loads(made["2026-05-04.json"])
    assert (told["total"]["ended"], told["total"]["cost_usd"]) == (2, 0.5)
    assert Image.open(io.BytesIO(made["2026-05-04.png"])).width == 760
    # Read back, the derived figures are derived again.
    assert DailyReport.model_validate(told) == report


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (90_000, "25 h 0 min")],
)
def test_durations(seconds: float | None, shown: str):
    assert duration(seconds) == shown
