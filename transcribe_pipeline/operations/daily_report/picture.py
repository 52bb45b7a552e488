"""A day at a glance: files by hour, hours of audio by hour, and where the time went."""

from collections.abc import Sequence
from dataclasses import dataclass

from transcribe_pipeline.export.canvas import Anchor, Canvas, Span, Tone
from transcribe_pipeline.export.colours import SPEAKER_COLOURS
from transcribe_pipeline.export.plot_parts import (
    AXIS,
    BAR,
    COLUMNS_HEIGHT,
    LANE,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Plot,
    fitted,
    lane_middle,
    round_up,
    text_lane,
    value_axis,
)
from transcribe_pipeline.operations.daily_report.markdown import duration
from transcribe_pipeline.operations.daily_report.values import DailyReport, StageFigures

_HOUR = (WIDTH - LEFT - RIGHT) // 24
_STAGES = 8
_BARS = WIDTH - LEFT - RIGHT - 130
"""Room for the figures after the longest bar."""
_COLUMNS = TOP + COLUMNS_HEIGHT + AXIS


def picture(report: DailyReport) -> Plot:
    """Columns for 24 hours (UTC), twice; a lane for each of the stages that took longest."""
    stages = report.total.stages[:_STAGES]

    def draw(canvas: Canvas) -> None:
        _by_hour(canvas, [hour.ended for hour in report.hours], "files ended", SPEAKER_COLOURS[0])
        _by_hour(
            _Lower(canvas, _COLUMNS), [hour.audio_hours for hour in report.hours], "hours of audio", SPEAKER_COLOURS[2]
        )
        _shares(_Lower(canvas, 2 * _COLUMNS), stages, report.total.stage_seconds)

    height = 2 * _COLUMNS + 2 * TOP + max(len(stages), 1) * LANE
    return Plot(f"The day {report.day.isoformat()}", _in_words(report), height, draw)


def _by_hour(canvas: Canvas, values: Sequence[float], unit: str, colour: str) -> None:
    top = round_up(max(values))
    bottom = TOP + COLUMNS_HEIGHT
    value_axis(canvas, top, bottom, unit)
    for hour in range(0, 25, 6):
        canvas.text(LEFT + hour * _HOUR, bottom + 14, f"{hour:02}:00", "middle", "faint")
    # At least a pixel for what is not nothing.
    heights = [max(round(value / top * COLUMNS_HEIGHT), 1) if value else 0 for value in values]
    canvas.columns(LEFT, _HOUR, heights, bottom, colour)


def _shares(canvas: Canvas, stages: Sequence[StageFigures], seconds: float) -> None:
    if not stages:
        text_lane(canvas, 0, "No stage ran")
    longest = max((stage.seconds for stage in stages), default=0.0)
    for lane, stage in enumerate(stages):
        middle = lane_middle(lane)
        length = max(round(stage.seconds / longest * _BARS), 1) if longest else 1
        canvas.text(8, middle, fitted(stage.stage))
        canvas.spans([(LEFT, length)], middle - BAR // 2, BAR, SPEAKER_COLOURS[1])
        share = stage.seconds / seconds if seconds else 0.0
        canvas.text(LEFT + length + 8, middle, f"{share:.0%}, {duration(stage.seconds)}", tone="faint")


def _in_words(report: DailyReport) -> str:
    total = report.total
    told = f"{total.ended:,} files ended, {total.audio_hours:,.2f} hours of audio transcribed."
    return f"{told} Most time: {total.stages[0].stage}." if total.stages else told


@dataclass(frozen=True)
class _Lower:
    """The same canvas, further down: plots below one another, each drawn as if it were alone."""

    canvas: Canvas
    by: int

    def spans(self, spans: Sequence[Span], top: int, height: int, colour: str) -> None:
        self.canvas.spans(spans, top + self.by, height, colour)

    def columns(self, left: int, width: int, heights: Sequence[int], bottom: int, colour: str) -> None:
        self.canvas.columns(left, width, heights, bottom + self.by, colour)

    def rule(self, start: tuple[int, int], end: tuple[int, int], tone: Tone = "faint", *, dashed: bool = False) -> None:
        self.canvas.rule((start[0], start[1] + self.by), (end[0], end[1] + self.by), tone, dashed=dashed)

    def text(
        self, x: int, y: int, text: str, anchor: Anchor = "start", tone: Tone = "ink", *, instead: str = ""
    ) -> None:
        self.canvas.text(x, y + self.by, text, anchor, tone, instead=instead)
