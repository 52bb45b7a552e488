"""A comparison for people and programs: markdown tables, a picture, JSON.

Drawn with Pillow, as `export/picture.py` is and for the same reason.
"""

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transcribe_pipeline.evaluation.comparison import Figures, Measured, Result, figures
from transcribe_pipeline.evaluation.scoring import Rate
from transcribe_pipeline.export.colours import SPEAKER_COLOURS

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont


@dataclass(frozen=True)
class Column:
    title: str
    number: Callable[[Figures], float | None]
    """What is plotted; lower is better in every column."""
    show: Callable[[Figures], str]


def _percent(name: str) -> Callable[[Figures], str]:
    def show(pooled: Figures) -> str:
        rate: Rate | None = getattr(pooled, name)
        return "" if rate is None or rate.value is None else f"{rate.value:.1%}"

    return show


def _out_of(name: str) -> Callable[[Figures], str]:
    def show(pooled: Figures) -> str:
        rate: Rate | None = getattr(pooled, name)
        return "" if rate is None else f"{rate.errors:.0f} of {rate.total:.0f}"

    return show


def _decimals(name: str, form: str) -> Callable[[Figures], str]:
    def show(pooled: Figures) -> str:
        value: float | None = getattr(pooled, name)
        return "" if value is None else format(value, form)

    return show


def _share(name: str) -> Callable[[Figures], float | None]:
    def number(pooled: Figures) -> float | None:
        rate: Rate | None = getattr(pooled, name)
        return None if rate is None else rate.value

    return number


def _plain(name: str) -> Callable[[Figures], float | None]:
    return lambda pooled: getattr(pooled, name)


_MIB = 2**20

COLUMNS = (
    Column("WER", _share("wer"), _percent("wer")),
    Column("CER", _share("cer"), _percent("cer")),
    Column("cpWER", _share("cpwer"), _percent("cpwer")),
    Column("DER", _share("der"), _percent("der")),
    Column("wrong speaker count", _share("speakers"), _out_of("speakers")),
    Column("wrong language", _share("language"), _out_of("language")),
    Column("word start off, median s", _plain("start_median"), _decimals("start_median", ".3f")),
    Column("word start off, 95 % s", _plain("start_p95"), _decimals("start_p95", ".3f")),
    Column(
        "words where nobody speaks",
        lambda pooled: pooled.stray_words.errors if pooled.stray_words else None,
        lambda pooled: f"{pooled.stray_words.errors:.0f}" if pooled.stray_words else "",
    ),
    Column("RTF", _plain("rtf"), _decimals("rtf", ".3f")),
    Column("recognition RTF", _plain("recognition_rtf"), _decimals("recognition_rtf", ".3f")),
    Column("diarization RTF", _plain("diarization_rtf"), _decimals("diarization_rtf", ".3f")),
    Column(
        "peak MiB",
        lambda pooled: pooled.peak_bytes / _MIB if pooled.peak_bytes else None,
        lambda pooled: f"{pooled.peak_bytes / _MIB:,.0f}" if pooled.peak_bytes else "",
    ),
    Column("failed", lambda pooled: pooled.failed or None, lambda pooled: str(pooled.failed or "")),
)


# --- tables ---------------------------------------------------------------------------------------------------------


def summary(results: Sequence[Result]) -> str:
    """Markdown: every candidate over all recordings, then by kind of recording."""
    tables = [_table("all recordings", [(result.candidate, figures(result.recordings)) for result in results])]
    kinds = sorted({kind for result in results for kind in result.groups()})
    if len(kinds) > 1:
        for kind in kinds:
            rows = [(result.candidate, figures(result.groups().get(kind, []))) for result in results]
            tables.append(_table(kind, rows))
    return "\n\n".join(tables)


def details(results: Sequence[Result]) -> str:
    """Markdown: every recording, a table for each candidate; what failed, with its error."""
    parts = []
    for result in results:
        rows = [(measured.reference.name, figures([measured])) for measured in result.recordings]
        parts.append(_table(f"{result.candidate}: recordings", rows, count=False))
        failures = [f"- {_cell(m.reference.name)}: {_cell(m.error)}" for m in result.recordings if m.error]
        parts += ["\n".join(failures)] if failures else []
    return "\n\n".join(parts)


def _table(title: str, rows: Sequence[tuple[str, Figures]], *, count: bool = True) -> str:
    """Columns without a value in any row are left out."""
    shown = [column for column in COLUMNS if any(column.show(pooled) for _, pooled in rows)]
    header = [_cell(title), *(["recordings"] if count else []), *(column.title for column in shown)]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, pooled in rows:
        counted = [str(pooled.recordings)] if count else []
        lines.append([_cell(name), *counted, *(column.show(pooled) for column in shown)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str | None) -> str:
    """A name cannot break its table, nor become a link, a picture or a tag in the UI."""
    visible = "".join(character if character.isprintable() else "?" for character in text or "")
    return "".join(f"\\{character}" if character in "\\`*[]<>|" else character for character in visible)


def files(results: Sequence[Result]) -> dict[str, bytes]:
    """The whole report: evaluation.md with its picture evaluation.png, and evaluation.json."""
    picture = "![figures by candidate](evaluation.png)"
    document = json.dumps(as_json(results), indent=1, ensure_ascii=False)
    return {
        "evaluation.md": f"{summary(results)}\n\n{picture}\n\n{details(results)}\n".encode(),
        "evaluation.json": f"{document}\n".encode(),
        "evaluation.png": plot(results),
    }


# --- JSON -----------------------------------------------------------------------------------------------------------


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Everything that was measured; rates as {errors, total, value}, times in seconds, memory in bytes."""
    return [
        {
            "candidate": result.candidate,
            "all": _figures_json(figures(result.recordings)),
            "groups": {kind: _figures_json(figures(members)) for kind, members in result.groups().items()},
            "recordings": [_measured_json(measured) for measured in result.recordings],
        }
        for result in results
    ]


def numbers(result: Result) -> dict[str, float]:
    """Its pooled figures by name, where there are any: rates as shares, memory in bytes."""
    values = {name: getattr(figures(result.recordings), name) for name in Figures.__dataclass_fields__}
    plain = {name: value.value if isinstance(value, Rate) else value for name, value in values.items()}
    return {name: value for name, value in plain.items() if value is not None}


def _measured_json(measured: Measured) -> dict[str, Any]:
    return {
        "name": measured.reference.name,
        "group": measured.reference.group,
        "language": measured.reference.language,
        "audio_seconds": measured.audio_seconds,
        "seconds": measured.seconds,
        "stages": dict(measured.stages),
        "error": measured.error,
        **_figures_json(figures([measured])),
    }


def _figures_json(pooled: Figures) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Rate):
            return {"errors": value.errors, "total": value.total, "value": value.value}
        return value

    return {name: plain(getattr(pooled, name)) for name in Figures.__dataclass_fields__}


# --- a picture ------------------------------------------------------------------------------------------------------

_PANEL_WIDTH, _PANELS_PER_ROW, _MARGIN = 360, 2, 12
_BAR, _TITLE, _LABEL, _VALUE = 20, 24, 130, 70
_INK, _RULE, _PAPER = "#222222", "#DDDDDD", "#FFFFFF"
_LABEL_CHARACTERS = 20


def plot(results: Sequence[Result]) -> bytes:
    """PNG: a panel for every figure that was measured, a bar for every candidate. Shorter is better in all."""
    from PIL import Image, ImageDraw, ImageFont

    pooled = [(result.candidate, figures(result.recordings)) for result in results]
    columns = [column for column in COLUMNS if any(column.number(each) is not None for _, each in pooled)]
    rows = -(-len(columns) // _PANELS_PER_ROW)
    height = _TITLE + _BAR * len(pooled) + _MARGIN
    size = (_PANELS_PER_ROW * _PANEL_WIDTH + _MARGIN, max(rows, 1) * height + _MARGIN)
    image: Image.Image = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    for position, column in enumerate(columns):
        row, place = divmod(position, _PANELS_PER_ROW)
        _panel(draw, font, (_MARGIN + place * _PANEL_WIDTH, _MARGIN + row * height), column, pooled)
    buffer = io.BytesIO()
    image.quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _panel(
    draw: "ImageDraw.ImageDraw",
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    corner: tuple[int, int],
    column: Column,
    pooled: Iterable[tuple[str, Figures]],
) -> None:
    left, top = corner
    rows = [(name, column.number(each), column.show(each)) for name, each in pooled]
    longest = max((number for _, number, _ in rows if number), default=1.0)
    room = _PANEL_WIDTH - _LABEL - _VALUE - _MARGIN
    draw.text((left, top), column.title, fill=_INK, font=font)
    draw.line([(left, top + 17), (left + _PANEL_WIDTH - 2 * _MARGIN, top + 17)], fill=_RULE)
    for lane, (name, number, shown) in enumerate(rows):
        y = top + _TITLE + lane * _BAR
        label = name if len(name) <= _LABEL_CHARACTERS else f"{name[: _LABEL_CHARACTERS - 1]}…"
        draw.text((left, y), label, fill=_INK, font=font)
        end = left + _LABEL + round(room * (number or 0.0) / longest)
        if number is not None:
            colour = SPEAKER_COLOURS[lane % len(SPEAKER_COLOURS)]
            draw.rectangle([left + _LABEL, y + 2, max(end, left + _LABEL + 1), y + _BAR - 6], colour)
        draw.text((end + 6, y), shown or "-", fill=_INK, font=font)
