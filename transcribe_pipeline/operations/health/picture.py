"""Columns over time, for the UI: how much was transcribed, how the score and the backlog went."""

from collections.abc import Sequence

from transcribe_pipeline.export.canvas import Canvas
from transcribe_pipeline.export.colours import SPEAKER_COLOURS
from transcribe_pipeline.export.plot_parts import (
    AXIS,
    COLUMNS_HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Plot,
    round_up,
    value_axis,
)

_COLOUR = SPEAKER_COLOURS[0]


def throughput(audio_hours_by_hour: Sequence[float]) -> Plot:
    """Hours of audio completed in each of the last hours, the oldest first."""
    labels = [f"{ago} h ago" for ago in range(len(audio_hours_by_hour), 0, -1)]
    return columns("Hours of audio completed", "h audio / h", audio_hours_by_hour, labels)


def columns(title: str, unit: str, values: Sequence[float], labels: Sequence[str]) -> Plot:
    """:param labels: of the columns, as many; the first, the middle and the last are shown."""
    bottom = TOP + COLUMNS_HEIGHT
    top = round_up(max(values, default=0.0))
    width = max((WIDTH - LEFT - RIGHT) // max(len(values), 1), 1)

    def draw(canvas: Canvas) -> None:
        value_axis(canvas, top, bottom, unit)
        heights = [round(max(value, 0.0) / top * COLUMNS_HEIGHT) for value in values]
        canvas.columns(LEFT, width, heights, bottom, _COLOUR)
        for number in sorted({0, len(labels) // 2, len(labels) - 1} if labels else ()):
            canvas.text(LEFT + round(width * (number + 0.5)), bottom + 14, labels[number], "middle", "faint")

    told = f"{title}: at most {max(values, default=0.0):,.1f}, lately {values[-1] if values else 0.0:,.1f} {unit}."
    return Plot(title, told, bottom + AXIS, draw)
