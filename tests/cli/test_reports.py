"""`transcribe report`: days and ranges, of all owners or of one, for people and for programs."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.operations.daily_report.activity import Call, End, File, Run, Version, record
from transcribe_pipeline.cli import reports
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.models import Status

TODAY = date(2026, 5, 5)


@pytest.fixture
def two_days(ledger: Engine) -> None:
    """2026-05-04: ann's file done, bob's failed; the day after: another of ann's."""
    record(
        ledger,
        [
            File(
                "ann",
                1,
                runs=[Run("upload", 1.5, 10), Run("transcription", 2, 300)],
                versions=[Version(3, audio_seconds=3600)],
                ends=[End(3)],
                calls=[Call(3, cost_usd=0.5)],
                key="ann-first",
            ),
            File("bob\x1b[2J", 5, ends=[End(6, Status.ERROR, "NO_AUDIO")], key="bob-first"),
            File("ann", 25, versions=[Version(26, audio_seconds=1800)], ends=[End(26)], key="ann-second"),
        ],
    )


def show(day: str | None = None, **options: Any) -> None:
    defaults: dict[str, Any] = dict.fromkeys(("since", "until", "owner"))
    flags = dict.fromkeys(("as_json", "as_csv", "as_markdown"), False)
    reports.show(day, **(defaults | flags | options))


@pytest.mark.usefixtures("two_days")
def test_a_day_for_people(capsys: pytest.CaptureFixture[str]):
    show("2026-05-04")
    shown = capsys.readouterr().out
    assert "2: 1 completed, 1 failed" in shown
    assert "1 runs, median 5 min 0 s" in shown
    assert "NO_AUDIO" in shown
    assert "0.5000 USD" in shown
    assert "bob" in shown
    assert "\x1b" not in shown


@pytest.mark.usefixtures("two_days")
def test_an_owner_sees_nothing_of_others(capsys: pytest.CaptureFixture[str]):
    for options in ({}, {"as_json": True}, {"as_csv": True}, {"as_markdown": True}):
        show("2026-05-04", owner="ann", **options)
        shown = capsys.readouterr().out
        assert "bob" not in shown
        assert "NO_AUDIO" not in shown
    show("2026-05-04", owner="nobody", as_json=True)
    assert json.loads(capsys.readouterr().out)["total"]["received"] == 0


@pytest.mark.usefixtures("two_days")
def test_ranges(capsys: pytest.CaptureFixture[str]):
    show(since="2026-05-03", until="2026-05-05")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["2026-05-03", "0"], ["2026-05-04", "2"], ["2026-05-05", "1"]]
    show(since="2026-05-04", until="2026-05-05", as_json=True)
    assert [report["total"]["audio_hours"] for report in json.loads(capsys.readouterr().out)] == [1.0, 0.5]
    show(since="2026-05-04", until="2026-05-05", as_csv=True)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [(row["day"], row["rows"]) for row in rows] == [
        ("2026-05-04", "all"),
        ("2026-05-04", "owner"),
        ("2026-05-04", "owner"),
        ("2026-05-05", "all"),
        ("2026-05-05", "owner"),
    ]
    show(since="2026-05-04", until="2026-05-05", as_markdown=True)
    assert capsys.readouterr().out.count("# 2026-05-0") == 2


@pytest.mark.usefixtures("ledger")
def test_without_a_day_it_is_yesterday(capsys: pytest.CaptureFixture[str]):
    before = datetime.now(UTC).date() - timedelta(days=1)
    show(as_json=True)
    assert json.loads(capsys.readouterr().out)["day"] in {str(before), str(before + timedelta(days=1))}


@pytest.mark.parametrize(
    ("day", "since", "until", "expected"),
    [
        (None, None, None, ["2026-05-04"]),
        ("today", None, None, ["2026-05-05"]),
        ("2026-02-28", None, None, ["2026-02-28"]),
        (None, "yesterday", None, ["2026-05-04", "2026-05-05"]),
        (None, "2026-05-03", "yesterday", ["2026-05-03", "2026-05-04"]),
        (None, None, "2026-02-28", ["2026-02-28"]),
    ],
)
def test_days_that_can_be_asked_for(day: str | None, since: str | None, until: str | None, expected: list[str]):
    assert [str(each) for each in reports.days(day, since, until, today=TODAY)] == expected


@pytest.mark.parametrize(
    ("day", "since", "until"),
    [
        ("2026-02-30", None, None),
        ("\x1b[2J", None, None),
        ("0001-01-01", None, None),
        ("2026-05-04", "2026-05-01", None),
        (None, "2026-05-04", "2026-05-03"),
        (None, "2001-01-01", None),
    ],
)
def test_days_that_cannot(day: str | None, since: str | None, until: str | None):
    with pytest.raises(PipelineError) as refused:
        reports.days(day, since, until, today=TODAY)
    assert refused.value.code is ErrorCode.BAD_REQUEST
    assert "\x1b" not in str(refused.value)


def test_one_form_at_a_time():
    with pytest.raises(PipelineError, match="exclude one another"):
        show("2026-05-04", as_json=True, as_csv=True)
