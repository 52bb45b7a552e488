"""What plots are made of: a width, lanes with labels, axes. Pixels from the top left corner, on any canvas.

What belongs here: what more than one plot needs. What does not: any plot, any figure.
"""

import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from transcribe_pipeline.export.canvas import Canvas, PngCanvas, SvgCanvas
from transcribe_pipeline.export.script import short_clock

WIDTH, LEFT, RIGHT, TOP = 760, 168, 30, 8
"""The right margin is half of the longest label of the time axis, '10:00:00'."""
LANE, BAR, AXIS, COLUMNS_HEIGHT = 22, 14, 24, 120
_NAME_CELLS = 15
"""Of the label column, in Latin letters; wide characters count twice."""
MAX_LANES = 24
"""As many as there are colours."""
_MAX_TICKS = 8
_TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18_000, 36_000)


@dataclass(frozen=True)
class Plot:
    """Ready to be drawn."""

    title: str
    description: str
    """The same in words, for those who do not see it."""
    height: int
    draw: Callable[[Canvas], None]

    def svg(self) -> str:
        canvas = SvgCanvas(WIDTH, self.height)
        self.draw(canvas)
        return canvas.document(self.title, self.description)

    def png(self) -> bytes:
        canvas = PngCanvas(WIDTH, self.height)
        self.draw(canvas)
        return canvas.document()


def pixel_of(time: float, seconds: float) -> int:
    return LEFT + round(min(time / seconds, 1.0) * (WIDTH - LEFT - RIGHT))


def lane_middle(lane: int) -> int:
    return TOP + lane * LANE + LANE // 2


def text_lane(canvas: Canvas, lane: int, text: str) -> None:
    canvas.text(8, lane_middle(lane), text, tone="faint")


def time_axis(canvas: Canvas, seconds: float, bottom: int, *, until: float | None = None) -> None:
    """Ticks at round times. `seconds`: what the width stands for; `until`: the last of interest."""
    until = seconds if until is None else until
    step = next((step for step in _TICK_STEPS if until / step <= _MAX_TICKS), math.ceil(until / _MAX_TICKS))
    for tick in range(0, int(until) + 1, step):
        canvas.rule((pixel_of(tick, seconds), TOP), (pixel_of(tick, seconds), bottom))
        canvas.text(pixel_of(tick, seconds), bottom + 14, short_clock(tick), "middle", "faint")


def value_axis(canvas: Canvas, top: float, bottom: int, unit: str) -> None:
    canvas.text(8, TOP + 8, unit, tone="faint")
    for share in (0.5, 1.0):
        level = bottom - round(share * COLUMNS_HEIGHT)
        canvas.rule((LEFT, level), (WIDTH - RIGHT, level))
        canvas.text(WIDTH - RIGHT + 4, level, _short(top * share), tone="faint")
    canvas.rule((LEFT, bottom), (WIDTH - RIGHT, bottom), "ink")


def round_up(value: float) -> float:
    """The next number whose half is still easy to read."""
    magnitude = 10.0 ** math.floor(math.log10(max(value, 2)))
    return next(magnitude * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if magnitude * step >= value)


def _short(value: float) -> str:
    """'1.5', '250', '12.5k': at most five characters for less than a million."""
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def fitted(name: str) -> str:
    """As much of a name as its column holds."""
    cells, shown = 0, ""
    for character in name:
        cells += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if cells > _NAME_CELLS:
            return f"{shown.rstrip()}…"
        shown += character
    return shown
