"""One colour per speaker, wherever speakers are drawn: pictures, plots, pages.

Colours go by order of appearance, which is how a transcript numbers its speakers, so a speaker keeps the colour when
people give a name. Nothing may be told by colour alone: whoever draws also writes the name.
"""

from collections.abc import Iterable
from typing import Final

SPEAKER_COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Okabe and Ito's palette, distinguishable with colour-blind eyes (https://jfly.uni-koeln.de/color/)."""

_SHADES: Final = (1.0, 0.6, 1.4)
"""The palette again, darker and then lighter, for speakers 9 to 16 and 17 to 24."""
_MAX_CHANNEL: Final = 255


def speaker_colours(labels: Iterable[str]) -> dict[str, str]:
    """Label -> '#RRGGBB', for labels in order of appearance. 24 differ; from then on they repeat."""
    return {label: _colour(position) for position, label in enumerate(labels)}


def _colour(position: int) -> str:
    round_, place = divmod(position, len(SPEAKER_COLOURS))
    shade = _SHADES[round_ % len(_SHADES)]
    channels = (_shaded(channel, shade) for channel in _channels(SPEAKER_COLOURS[place]))
    return "#" + "".join(f"{channel:02X}" for channel in channels)


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _shaded(channel: int, shade: float) -> int:
    """Below 1 towards black, above 1 towards white."""
    if shade <= 1:
        return round(channel * shade)
    return round(channel + (_MAX_CHANNEL - channel) * (shade - 1))
