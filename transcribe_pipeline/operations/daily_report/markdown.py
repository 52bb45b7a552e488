"""A day for people: tables of markdown, for Dagster's UI, for mail, for the terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from transcribe_pipeline.export.script import clean
from transcribe_pipeline.operations.daily_report.values import DailyReport, Figures, Spread

_OWNERS = 20
_STAGES = 10


@dataclass(frozen=True)
class Column:
    title: str
    show: Callable[[Figures], str]


OWNER_COLUMNS = (
    Column("received", lambda figures: count(figures.received)),
    Column("completed", lambda figures: count(figures.completed)),
    Column("degraded", lambda figures: count(figures.degraded)),
    Column("failed", lambda figures: count(figures.failed + figures.quarantined)),
    Column("hours", lambda figures: f"{figures.audio_hours:,.2f}"),
    Column("words", lambda figures: count(figures.words)),
    Column("CPU s", lambda figures: f"{figures.cpu_seconds:,.0f}"),
    Column("tokens", lambda figures: count(figures.tokens_in + figures.tokens_out)),
    Column("USD", lambda figures: usd(figures.cost_usd)),
    Column("wait, median", lambda figures: duration(figures.queue_wait.median)),
)


def markdown(report: DailyReport, *, picture: str = "") -> str:
    """The whole day; tables for which there is nothing to tell are left out.

    :param picture: where a markdown image finds the picture; empty for none.
    """
    total = report.total
    parts = [f"# {report.day.isoformat()} (UTC)", table(("", "the day"), facts(total))]
    if picture:
        parts.append(f"![files, hours of audio and stages of the day]({picture})")
    if report.owners:
        parts += ["## Owners", owners(report)]
    if total.stages:
        parts += ["## Stages", _stages(total)]
    if total.slowest:
        parts += ["## Slowest", _slowest(total)]
    if total.errors or total.stage_errors:
        parts += ["## Errors", _errors(total)]
    if total.models:
        parts += ["## Language models", _models(total)]
    return "\n\n".join(parts) + "\n"


def facts(figures: Figures) -> list[tuple[str, str]]:
    """(what, how much): the day in twelve lines."""
    states = ("completed", "degraded", "failed", "cancelled", "quarantined", "orphaned")
    ends = ", ".join(f"{getattr(figures, state):,} {state}" for state in states if getattr(figures, state))
    versions = ", ".join(
        f"{number:,} {what}"
        for number, what in (
            (figures.again, "of recordings that had one"),
            (figures.held_back, "held back"),
            (figures.no_speech, "without speech"),
        )
        if number
    )
    return [
        ("received", count(figures.received)),
        ("ended", f"{count(figures.ended)}{f': {ends}' if ends else ''}"),
        ("recovered", count(figures.recovered)),
        ("transcripts", f"{count(figures.transcripts)}{f': {versions}' if versions else ''}"),
        ("audio", f"{figures.audio_hours:,.2f} h"),
        ("words, speakers", f"{count(figures.words)}, {count(figures.speakers)}"),
        ("languages", _listed(figures.languages)),
        ("wait in the queue", spread(figures.queue_wait)),
        ("upload to transcript", spread(figures.turnaround)),
        ("processors", f"CPU {figures.cpu_seconds:,.0f} s, GPU {figures.gpu_seconds:,.0f} s"),
        ("language models", _asked(figures)),
        ("operations", _listed(figures.requests)),
    ]


def owners(report: DailyReport) -> str:
    """A row for each owner, most audio first; the rest of them as one number."""
    ranked = sorted(report.owners.items(), key=lambda item: (-item[1].audio_hours, -item[1].received, item[0]))
    rows = [(owner, *(column.show(figures) for column in OWNER_COLUMNS)) for owner, figures in ranked[:_OWNERS]]
    text = table(("owner", *(column.title for column in OWNER_COLUMNS)), rows)
    return text if len(ranked) <= _OWNERS else f"{text}\n\n{len(ranked) - _OWNERS:,} more owners."


def _stages(figures: Figures) -> str:
    header = ("stage", "runs", "failed", "took in all", "median", "95 %", "RTF")
    rows = (
        (
            stage.stage,
            count(stage.runs),
            count(stage.failed),
            duration(stage.seconds),
            duration(stage.spread.median),
            duration(stage.spread.p95),
            ratio(stage.rtf),
        )
        for stage in figures.stages[:_STAGES]
    )
    return table(header, rows)


def _slowest(figures: Figures) -> str:
    rows = ((run.partition_key, run.stage, duration(run.seconds), ratio(run.rtf)) for run in figures.slowest)
    return table(("file", "stage", "took", "RTF"), rows)


def _errors(figures: Figures) -> str:
    codes = dict.fromkeys((*figures.errors, *figures.stage_errors))
    rows = ((code, count(figures.errors.get(code, 0)), count(figures.stage_errors.get(code, 0))) for code in codes)
    return table(("code", "files that ended with it", "stage runs that failed with it"), rows)


def _models(figures: Figures) -> str:
    header = ("model", "calls", "failed", "tokens in", "tokens out", "USD")
    rows = (
        (
            f"{model.provider}/{model.model}",
            count(model.calls),
            count(model.failures),
            count(model.tokens_in),
            count(model.tokens_out),
            usd(model.cost_usd),
        )
        for model in figures.models
    )
    return table(header, rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Figures to the right, what they are of to the left."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *([cell(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """A name cannot break its table, nor become a link, a picture or a tag."""
    return "".join(f"\\{character}" if character in "\\`*_[]<>|&" else character for character in clean(text))


# --- figures as words ------------------------------------------------------------------------------------------------


def count(number: int) -> str:
    return f"{number:,}"


def ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def usd(value: float | None) -> str:
    return "" if value is None else f"{value:,.4f}"


def spread(value: Spread) -> str:
    if not value.count:
        return "nothing waited"
    return f"median {duration(value.median)}, 95 % within {duration(value.p95)}"


def duration(seconds: float | None) -> str:
    """'0.4 s', '12 s', '3 min 5 s', '2 h 10 min'."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _asked(figures: Figures) -> str:
    if not figures.models:
        return "not asked"
    cost = "cost unknown" if figures.cost_usd is None else f"{usd(figures.cost_usd)} USD"
    return f"{count(figures.tokens_in)} tokens in, {count(figures.tokens_out)} out, {cost}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items()) or "none"
