"""What page and terminal say of insights in the same few words: how they were made, and the main figures."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from transcribe_pipeline.export.script import clean, short_clock
from transcribe_pipeline.insights import Analytics, Provenance

_Known = TypeVar("_Known", int, float)


def how_made(made_by: Provenance) -> str:
    """'By gpt-x (openai); check against the recording.', or 'By extraction, without a language model.'"""
    return " ".join(_sentences(made_by))


def _sentences(made_by: Provenance) -> Iterator[str]:
    if made_by.method == "offline":
        yield "By extraction, without a language model."
        if made_by.fallback_reason:
            yield f"One was asked: {clean(made_by.fallback_reason)}"
        return
    model = clean(made_by.model or "") or "a language model"
    provider = clean(made_by.provider or "")
    yield f"By {model}{f' ({provider})' if provider else ''}; check against the recording."
    if made_by.withheld:
        were = "statement was" if made_by.withheld == 1 else "statements were"
        yield f"{made_by.withheld} {were} left out, since the recording does not bear them out."


def main_figures(analytics: Analytics) -> list[tuple[str, str]]:
    """(name, figure) of the whole recording, as far as they are known; none without words."""
    if not analytics.words:
        return []
    unit = analytics.word_unit
    shown = {
        "Silence": f"{short_clock(analytics.silence_seconds)} ({analytics.silence_share:.0%})",
        "Talking at once": _if_known(analytics.overlap_seconds, short_clock),
        "Turns": _if_known(analytics.turns, "{:,}".format),
        "Interruptions": _if_known(analytics.interruptions, "{:,}".format),
        "Questions": _if_known(analytics.questions, "{:,}".format),
        "Pace": _if_known(analytics.words_per_minute, lambda pace: f"{pace:.0f} {unit}/min"),
        f"Different {unit}": f"{analytics.vocabulary.types:,}",
    }
    return [(name, figure) for name, figure in shown.items() if figure]


def _if_known(value: _Known | None, shown: Callable[[_Known], str]) -> str:
    return "" if value is None else shown(value)
