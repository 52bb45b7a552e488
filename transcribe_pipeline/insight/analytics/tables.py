"""The figures as tables: Markdown for people, CSV for spreadsheets. Names are put in here, and can be no markup.

What belongs here: rows and columns. What does not: any figure that `Analytics` does not hold.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from transcribe_pipeline.export.cells import harmless
from transcribe_pipeline.export.markdown import escaped
from transcribe_pipeline.export.script import clean, short_clock
from transcribe_pipeline.insights import Analytics, Distribution, SpeakerFigures

_NAME_CHARACTERS: Final = 60
_UNKNOWN: Final = "–"  # noqa: RUF001
_CSV_COLUMNS: Final = (
    *("speaker", "name", "words", "talk_seconds", "talk_share", "words_per_minute", "turns", "median_turn_seconds"),
    *("longest_monologue_seconds", "overlap_seconds", "interruptions_made", "interruptions_suffered", "backchannels"),
    *("median_response_latency_seconds", "questions", "types", "mtld", "fillers", "fillers_per_100"),
)


def markdown(analytics: Analytics, names: Mapping[str, str]) -> str:
    """Two tables: the recording, and its speakers under the `names` (label -> name) that people gave them."""
    tables = [_table(("", ""), _recording(analytics))]
    if analytics.speakers:
        unit = analytics.word_unit
        header = (
            *("Speaker", "Talk", "Share", unit.capitalize(), f"{unit}/min", "Turns", "Median turn", "Longest alone"),
            *("Overlap", "Interrupts", "Interrupted", "Back-channels", "Answers after", "Questions"),
            *(f"Different {unit}", "MTLD", "Fillers"),
        )
        tables.append(_table(header, (_speaker(each, names) for each in analytics.speakers)))
    return "\n".join(tables)


def csv_table(analytics: Analytics, names: Mapping[str, str]) -> str:
    """A row for each speaker; RFC 4180, UTF-8, seconds. Cells without a figure are empty."""
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(_CSV_COLUMNS)
    for each in analytics.speakers:
        figures = (
            *(each.words, each.talk_seconds, each.talk_share, each.words_per_minute, each.turns),
            *(_median(each.turn_seconds), each.longest_monologue_seconds, each.overlap_seconds),
            *(each.interruptions_made, each.interruptions_suffered, each.backchannels),
            *(_median(each.response_latency_seconds), each.questions),
            *(each.vocabulary.types, each.vocabulary.mtld, each.vocabulary.fillers, each.vocabulary.fillers_per_100),
        )
        labels = (harmless(clean(each.speaker)), harmless(clean(names.get(each.speaker, ""))))
        writer.writerow([*labels, *map(_cell, figures)])
    return table.getvalue()


# --- Markdown -------------------------------------------------------------------------------------------------------


def _recording(analytics: Analytics) -> Iterator[Sequence[str]]:
    unit = analytics.word_unit
    yield "Length", short_clock(analytics.seconds)
    yield "Speech", short_clock(analytics.speech_seconds)
    yield "Silence", f"{short_clock(analytics.silence_seconds)} ({analytics.silence_share:.0%})"
    yield unit.capitalize(), f"{analytics.words:,}"
    yield f"{unit.capitalize()} per minute of talk", _rounded(analytics.words_per_minute)
    yield "Turns", _count(analytics.turns)
    yield "Median turn", _seconds(_median(analytics.turn_seconds))
    yield "Two or more talk", _seconds(analytics.overlap_seconds)
    yield "Interruptions", _count(analytics.interruptions)
    yield "Back-channels", _count(analytics.backchannels)
    yield "Median response latency", _seconds(_median(analytics.response_latency_seconds))
    yield "Questions", _count(analytics.questions)
    yield "Dominance (0 shared, 1 one alone)", _UNKNOWN if analytics.dominance is None else f"{analytics.dominance:.2f}"
    yield f"Different {unit}", f"{analytics.vocabulary.types:,}"
    yield "Lexical diversity (MTLD)", _rounded(analytics.vocabulary.mtld)
    yield "Fillers", _count(analytics.vocabulary.fillers)
    for measure, value in analytics.readability.items():
        yield f"Readability ({measure.upper()})", f"{value:.0f}"
    yield "Median segment", _seconds(_median(analytics.segment_seconds))


def _speaker(figures: SpeakerFigures, names: Mapping[str, str]) -> Sequence[str]:
    name = clean(names.get(figures.speaker, "")) or clean(figures.speaker)
    return (
        escaped(name[:_NAME_CHARACTERS]),
        short_clock(figures.talk_seconds),
        f"{figures.talk_share:.0%}",
        f"{figures.words:,}",
        _rounded(figures.words_per_minute),
        f"{figures.turns:,}",
        _seconds(_median(figures.turn_seconds)),
        short_clock(figures.longest_monologue_seconds),
        _seconds(figures.overlap_seconds),
        f"{figures.interruptions_made:,}",
        f"{figures.interruptions_suffered:,}",
        f"{figures.backchannels:,}",
        _seconds(_median(figures.response_latency_seconds)),
        _count(figures.questions),
        f"{figures.vocabulary.types:,}",
        _rounded(figures.vocabulary.mtld),
        _count(figures.vocabulary.fillers),
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def _median(values: Distribution | None) -> float | None:
    return values.median if values else None


def _count(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _rounded(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.0f}"


def _seconds(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.1f} s"


# --- CSV ------------------------------------------------------------------------------------------------------------


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.3f}"
