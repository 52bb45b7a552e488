"""Where a plot is drawn: an SVG for pages, a PNG for Dagster's markdown. Both know the same few strokes.

What belongs here: how a stroke looks in either format, and that hostile text stays text. What does not: what is drawn.
Lengths are pixels from the top left corner.

An SVG has no background and draws its ink in `currentColor`, so it suits light and dark pages; what it says is text
that can be selected and that screen readers read (`<title>`, `<desc>`). PNGs are drawn with Pillow: matplotlib would
cost 0.7 s of import per process, and seconds for its font cache on a new machine.
"""

import importlib.util
import io
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from xml.sax.saxutils import escape, quoteattr

from transcribe_pipeline.export.script import clean

if TYPE_CHECKING:
    from PIL import ImageFont

Anchor = Literal["start", "middle", "end"]
Tone = Literal["ink", "faint"]
Span = tuple[int, int]
"""First pixel and length."""

_FONT_SIZE = 12
_INK, _FAINT, _RULE, _PAPER = "#222222", "#6B6B6B", "#DDDDDD", "#FFFFFF"
_PNG_COLOURS = 64


class Canvas(Protocol):
    def spans(self, spans: Sequence[Span], top: int, height: int, colour: str) -> None:
        """Bars side by side in one lane; ordered and disjoint."""

    def columns(self, left: int, width: int, heights: Sequence[int], bottom: int, colour: str) -> None:
        """Bars that stand on one line, `width` apart, with a pixel between them where there is room."""

    def rule(self, start: tuple[int, int], end: tuple[int, int], tone: Tone = "faint", *, dashed: bool = False) -> None:
        """A thin line, horizontal or vertical."""

    def text(
        self, x: int, y: int, text: str, anchor: Anchor = "start", tone: Tone = "ink", *, instead: str = ""
    ) -> None:
        """A line of text, its middle at `y`. `instead`: for fonts that lack its letters."""


# --- SVG ------------------------------------------------------------------------------------------------------------


class SvgCanvas:
    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._parts: list[str] = []

    def spans(self, spans: Sequence[Span], top: int, height: int, colour: str) -> None:
        # One path with relative moves: about 7 bytes a bar, where a <rect> takes 50.
        if not spans:
            return
        pen, path = spans[0][0], f"M{spans[0][0]} {_half(2 * top + height)}"
        for start, length in spans:
            path += f"{f'm{start - pen} 0' if start > pen else ''}h{length}"
            pen = start + length
        self._parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="{height}"/>')

    def columns(self, left: int, width: int, heights: Sequence[int], bottom: int, colour: str) -> None:
        bars = (f"M{_half(2 * left + width * (2 * n + 1))} {bottom}v-{h}" for n, h in enumerate(heights) if h)
        path = "".join(bars)
        if path:
            self._parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="{_bar_width(width)}"/>')

    def rule(self, start: tuple[int, int], end: tuple[int, int], tone: Tone = "faint", *, dashed: bool = False) -> None:
        dashes = ' stroke-dasharray="4 3"' if dashed else ""
        opacity = "0.18" if tone == "faint" else "0.8"
        self._parts.append(
            f'<path d="M{start[0]} {start[1]}L{end[0]} {end[1]}" stroke="currentColor" opacity="{opacity}"{dashes}/>'
        )

    def text(
        self, x: int, y: int, text: str, anchor: Anchor = "start", tone: Tone = "ink", *, instead: str = ""
    ) -> None:
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        faint = ' opacity="0.75"' if tone == "faint" else ""
        # dy instead of dominant-baseline, which viewers outside of browsers ignore.
        self._parts.append(f'<text x="{x}" y="{y}" dy="0.35em"{anchored}{faint}>{escape(clean(text))}</text>')

    def document(self, title: str, description: str) -> str:
        """A whole SVG file; as it stands it may also be put into an HTML page."""
        title, description = clean(title), clean(description)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {self._height}"'
            f' width="{self._width}" height="{self._height}" role="img" aria-label={quoteattr(title)}'
            f' fill="none" shape-rendering="crispEdges">'
            f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
            f'<g fill="currentColor" font-family="system-ui,sans-serif" font-size="{_FONT_SIZE}">'
            f"{''.join(self._parts)}</g></svg>\n"
        )


def _half(doubled: int) -> str:
    """'12' or '12.5'."""
    return f"{doubled / 2:g}"


# --- PNG ------------------------------------------------------------------------------------------------------------


class PngCanvas:
    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self._image: Image.Image = Image.new("RGB", (width, height), _PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def spans(self, spans: Sequence[Span], top: int, height: int, colour: str) -> None:
        for start, length in spans:
            self._draw.rectangle([start, top, start + length - 1, top + height - 1], colour)

    def columns(self, left: int, width: int, heights: Sequence[int], bottom: int, colour: str) -> None:
        inset = (width - _bar_width(width)) // 2
        for number, height in enumerate(heights):
            if height:
                start = left + number * width + inset
                self._draw.rectangle([start, bottom - height, start + _bar_width(width) - 1, bottom - 1], colour)

    def rule(self, start: tuple[int, int], end: tuple[int, int], tone: Tone = "faint", *, dashed: bool = False) -> None:
        colour = _RULE if tone == "faint" else _INK
        for piece in _dashes(start, end) if dashed else [(*start, *end)]:
            self._draw.line(piece, fill=colour)

    def text(
        self, x: int, y: int, text: str, anchor: Anchor = "start", tone: Tone = "ink", *, instead: str = ""
    ) -> None:
        shown = _shown(text, instead)
        place = {"start": "lm", "middle": "mm", "end": "rm"}[anchor]
        self._draw.text((x, y), shown, fill=_INK if tone == "ink" else _FAINT, font=_font(), anchor=place)

    def document(self) -> bytes:
        buffer = io.BytesIO()
        self._image.quantize(_PNG_COLOURS).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()


def text_width(text: str, *, instead: str = "") -> int:
    """Pixels of a line of text in a PNG."""
    return math.ceil(_font().getlength(_shown(text, instead)))


def _shown(text: str, instead: str) -> str:
    shown = clean(text)
    return clean(instead) if instead and not _has_letters_of(shown) else shown


def _bar_width(width: int) -> int:
    return max(width - 1, 1)


def _dashes(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    (left, top), (right, bottom) = start, end
    if top == bottom:
        return [(x, top, min(x + 3, right), top) for x in range(left, right, 7)]
    return [(left, y, left, min(y + 3, bottom)) for y in range(top, bottom, 7)]


@lru_cache
def _font() -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """DejaVu Sans from matplotlib's wheel (not imported), where it is installed; Pillow's own has ASCII alone."""
    from PIL import ImageFont

    wheel = importlib.util.find_spec("matplotlib")
    if wheel and wheel.origin:
        font = Path(wheel.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if font.is_file():
            return ImageFont.truetype(font, _FONT_SIZE - 1)  # it runs wider than Pillow's
    return ImageFont.load_default(size=_FONT_SIZE)


def _has_letters_of(text: str) -> bool:
    font = _font()
    missing = bytes(font.getmask("\uffff"))
    return all(character.isspace() or bytes(font.getmask(character)) != missing for character in set(text))
