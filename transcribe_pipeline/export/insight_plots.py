"""Insights for people who look: who talks when in the course of a long recording.

What belongs here: plots of what `insights.py` holds. What does not: plots of the transcript itself (`plots.py`).
"""

from collections.abc import Mapping

from transcribe_pipeline.export.canvas import Canvas
from transcribe_pipeline.export.colours import speaker_colours
from transcribe_pipeline.export.plot_parts import (
    AXIS,
    LANE,
    LEFT,
    MAX_LANES,
    RIGHT,
    TOP,
    WIDTH,
    Plot,
    fitted,
    lane_middle,
    text_lane,
    time_axis,
)
from transcribe_pipeline.export.script import clean, short_clock
from transcribe_pipeline.insights import Analytics, SpeakerFigures

_FULL_COLUMN = LANE - 3


def talk_over_time(analytics: Analytics, names: Mapping[str, str] | None = None) -> Plot:
    """A lane for each speaker (the first 24), a column for each window: as high as the share of it in which they talk.

    :param names: label -> name.
    """
    names = names or {}
    lanes = analytics.speakers[:MAX_LANES]
    more = len(analytics.speakers) - len(lanes)
    colours = speaker_colours(figures.speaker for figures in lanes)
    bottom = TOP + (max(len(lanes), 1) + bool(more)) * LANE
    # Whole pixels a column, or columns would differ in width; the axis ends where the last one does.
    width = max((WIDTH - LEFT - RIGHT) // len(analytics.pace), 1)
    window = analytics.pace[0].end - analytics.pace[0].start
    covered = max(window * (WIDTH - LEFT - RIGHT) / width, 1e-3)

    def draw(canvas: Canvas) -> None:
        time_axis(canvas, covered, bottom, until=analytics.seconds)
        for number, figures in enumerate(lanes):
            name = _name(figures, names)
            canvas.text(8, lane_middle(number), fitted(name), instead=fitted(figures.speaker))
            floor = TOP + (number + 1) * LANE
            canvas.columns(LEFT, width, _heights(analytics, figures, window), floor, colours[figures.speaker])
        if more:
            text_lane(canvas, len(lanes), f"{more} more")
        if not lanes:
            text_lane(canvas, 0, "No speakers" if analytics.speech_seconds else "No speech")

    return Plot("Talk over time", _in_words(analytics, names), bottom + AXIS, draw)


def _heights(analytics: Analytics, figures: SpeakerFigures, window: float) -> list[int]:
    talk = {each.start: each.talk_seconds for each in figures.pace}
    # A last window of a moment would make a peak of a single word.
    lengths = (max(each.end - each.start, window / 2, 1e-3) for each in analytics.pace)
    shares = (talk.get(each.start, 0.0) / length for each, length in zip(analytics.pace, lengths, strict=True))
    return [round(_FULL_COLUMN * share) for share in shares]


def _name(figures: SpeakerFigures, names: Mapping[str, str]) -> str:
    return clean(names.get(figures.speaker, "")) or clean(figures.speaker)


def _in_words(analytics: Analytics, names: Mapping[str, str]) -> str:
    """When each speaker talks most."""
    busiest = (
        (_name(figures, names), max(figures.pace, key=lambda window: window.talk_seconds))
        for figures in analytics.speakers
        if figures.pace
    )
    told = "; ".join(f"{name} {short_clock(most.start)} to {short_clock(most.end)}" for name, most in busiest)
    return f"Talks most: {told}." if told else "Speakers are unknown."
