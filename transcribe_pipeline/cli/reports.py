"""`transcribe report`: what happened on a day, or on each day of a range. Reads the ledger alone."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import typer

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import open_ledger
from transcribe_pipeline.cli.output import plain
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.operations.daily_report.collecting import daily_report
from transcribe_pipeline.operations.daily_report.csv_table import csv_table
from transcribe_pipeline.operations.daily_report.markdown import OWNER_COLUMNS, duration, facts, markdown
from transcribe_pipeline.settings import load_settings

if TYPE_CHECKING:
    from transcribe_pipeline.operations.daily_report.values import DailyReport

_MAX_DAYS = 1_000


def show(
    day: str | None,
    *,
    since: str | None,
    until: str | None,
    owner: str | None,
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
) -> None:
    """:raises PipelineError: BAD_REQUEST for days that are none, or too many."""
    if sum((as_json, as_csv, as_markdown)) > 1:
        raise PipelineError(ErrorCode.BAD_REQUEST, "--json, --csv and --markdown exclude one another")
    wanted = days(day, since, until, today=datetime.now(UTC).date())
    ledger = open_ledger(load_settings())
    reports = (daily_report(ledger, each, owner=owner) for each in wanted)
    if as_json:
        told = [report.model_dump(mode="json") for report in reports]
        output.print_json(told if since or until else told[0])
    elif as_csv:
        typer.echo(csv_table(reports), nl=False)
    elif as_markdown:
        typer.echo("\n".join(markdown(report) for report in reports), nl=False)
    elif len(wanted) == 1:
        _print_day(next(reports))
    else:
        _print_days(reports)


def days(day: str | None, since: str | None, until: str | None, *, today: date) -> list[date]:
    """The days asked for, oldest first; yesterday if nothing is said. `until` is the last one, today without it.

    :raises PipelineError: BAD_REQUEST.
    """
    if day is not None and (since or until):
        raise PipelineError(ErrorCode.BAD_REQUEST, "either one day or a range")
    if since is None and until is None:
        return [_parsed(day or "yesterday", today)]
    last = _parsed(until or "today", today)
    first = _parsed(since, today) if since else last
    number = (last - first).days + 1
    if not 0 < number <= _MAX_DAYS:
        raise PipelineError(ErrorCode.BAD_REQUEST, f"a range is of 1 to {_MAX_DAYS:,} days, this one of {number:,}")
    return [first + timedelta(days=offset) for offset in range(number)]


def _parsed(text: str, today: date) -> date:
    match text:
        case "today":
            return today
        case "yesterday":
            return today - timedelta(days=1)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise PipelineError(ErrorCode.BAD_REQUEST, f"'{plain(text)[:40]}' is no day; write it as 2026-05-31") from None
    if not 2000 <= day.year < 9999:
        raise PipelineError(ErrorCode.BAD_REQUEST, f"{day.year} is no year of this pipeline")
    return day


def _print_day(report: "DailyReport") -> None:
    table = output.table("", "")
    table.show_header = False
    table.add_row("day", f"{report.day.isoformat()} (UTC)")
    for what, how_much in facts(report.total):
        table.add_row(what, plain(how_much))
    for stage in report.total.stages:
        spread = f"median {duration(stage.spread.median)}, 95 % {duration(stage.spread.p95)}"
        table.add_row(f"  {stage.stage}", f"{stage.runs:,} runs, {spread if stage.spread.count else 'none succeeded'}")
    for code, number in report.total.errors.items():
        table.add_row(f"  {code}", f"{number:,} files")
    output.stdout().print(table)
    if len(report.owners) > 1:
        typer.echo()
        rows = output.table("OWNER", *(column.title.upper() for column in OWNER_COLUMNS))
        for owner, figures in report.owners.items():
            rows.add_row(plain(owner), *(column.show(figures) for column in OWNER_COLUMNS))
        output.stdout().print(rows)


def _print_days(reports: "Iterator[DailyReport]") -> None:
    rows = output.table("DAY", *(column.title.upper() for column in OWNER_COLUMNS))
    for report in reports:
        rows.add_row(report.day.isoformat(), *(column.show(report.total) for column in OWNER_COLUMNS))
    output.stdout().print(rows)
