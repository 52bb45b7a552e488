"""`transcribe health`: how this installation is, for people, for scripts (JSON, exit code) and for Prometheus."""

import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import TYPE_CHECKING, Final

import typer
from rich.text import Text
from sqlalchemy import Engine

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import find_dagster, open_ledger
from transcribe_pipeline.cli.output import ExitCode, plain
from transcribe_pipeline.doctor import require_answer
from transcribe_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from transcribe_pipeline.operations.health import HealthReport

_COLOURS = {"healthy": "green", "fair": "yellow", "poor": "bold red", "empty": "dim"}
_EXIT_CODES = {"fair": ExitCode.PARTIAL, "poor": ExitCode.FAILED}
_SCRAPED_SECONDS: Final = 10.0
"""So long one answer serves all scrapers: nothing changes faster, and services are not asked for each of them."""


def show(*, as_json: bool, as_prometheus: bool) -> None:
    """Exit code 0: healthy, or nothing to do yet; 4: fair; 1: poor, or the ledger cannot be asked."""
    configured = load_settings()
    ledger = open_ledger(configured)
    # After the ledger has answered: Dagster takes a second to import.
    from transcribe_pipeline.operations import health
    from transcribe_pipeline.operations.health import prometheus

    report = health.collect(ledger, _dagster(configured), configured)
    if as_prometheus:
        typer.echo(prometheus.text(report).decode(), nl=False)
    elif as_json:
        output.print_json(report.model_dump(mode="json"))
    else:
        _print(report)
    raise typer.Exit(_EXIT_CODES.get(report.verdict, ExitCode.OK))


class Scraped:
    """The Prometheus text of an installation, made anew when the last one is older than some seconds."""

    def __init__(self, configured: Settings, ledger: Engine) -> None:
        self._configured = configured
        self._ledger = ledger
        self._lock = Lock()
        self._made_at = float("-inf")
        self._text = b""

    def text(self) -> bytes:
        """:raises PipelineError: as `health.collect`."""
        from transcribe_pipeline.operations import health
        from transcribe_pipeline.operations.health import prometheus

        with self._lock:  # of several who ask at once, one has it made
            if time.monotonic() - self._made_at > _SCRAPED_SECONDS:
                require_answer(self._ledger)  # else a scraper would wait for a minute of retries
                report = health.collect(self._ledger, _dagster(self._configured), self._configured)
                self._text = prometheus.text(report)
                self._made_at = time.monotonic()
            return self._text


def _dagster(configured: Settings) -> "Callable[[], DagsterInstance] | None":
    """Opens Dagster's instance; None where its home is not known."""
    if not find_dagster(configured):
        return None
    from dagster import DagsterInstance

    return DagsterInstance.get


def _print(report: "HealthReport") -> None:
    console = output.stdout()
    headline = Text(report.verdict.value, style=_COLOURS[report.verdict])
    headline.append(f"  {report.score} of 100", style="not bold default")
    console.print(headline)
    for reason in report.reasons:
        console.print(Text(f"  -{reason.points:<3} {plain(reason.sentence)}"))
        console.print(Text(f"       {plain(reason.advice)}", style="dim"))
    for name, told in _lines(report):
        console.print(Text(f"{name:<13} {told}"))


def _lines(report: "HealthReport") -> Iterator[tuple[str, str]]:
    states = [f"{number:,} {state}" for state, number in report.files.by_state.items() if number]
    yield "files", ", ".join(states) or "none"
    for name, window in (("last hour", report.last_hour), ("last day", report.last_day)):
        failed = window.failed + window.quarantined
        yield name, f"{window.completed:,} completed ({window.audio_hours:,.1f} h of audio), {failed:,} failed"
    yield "backlog", report.backlog.forecast
    for service in report.services:
        yield service.name, f"{service.status}: {plain(service.facts)}"
    yield "ledger", f"{report.database.kind}, {report.database.size_bytes / 1e6:,.1f} MB"
    yield "disk", f"{report.disk.free_bytes / 1e9:,.1f} GB free"
    if report.dagster is None:
        if all(service.name != "Dagster" for service in report.services):
            yield "Dagster", "not asked: DAGSTER_HOME is not known"
        return
    dagster = report.dagster
    waits = f", the first waits for {plain(dagster.oldest_waits_for)}" if dagster.oldest_waits_for else ""
    yield "Dagster", f"{dagster.running_runs} runs at work, {dagster.queued_runs} queued{waits}"
