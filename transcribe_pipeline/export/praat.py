"""Praat TextGrid (.TextGrid): for phoneticians; https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html,
the long text format in UTF-8, written by praatio.

For every speaker a tier of segments and one of words (`tiers`); silence is an interval without text. Quotes are
doubled, which is the format's only escape. Where nobody speaks there is one empty tier: Praat opens none without.
"""

import re

from transcribe_pipeline.export.script import MalformedExport, Script
from transcribe_pipeline.export.tiers import WORDS, Interval, end_of, speaker_tiers

_EMPTY_TIER = "speech"

_TEXT = r'"(?P<text>(?:[^"\n]|"")*)" ?\n'
_TIER = re.compile(r" {4}item \[\d+\]:\n")
_NAME = re.compile(rf" {{8}}name = {_TEXT}")
_SIZE = re.compile(r" {8}intervals: size = (?P<size>\d+) ?\n")
_INTERVAL = re.compile(rf" {{8}}intervals \[\d+\]:\n {{12}}xmin = \S+ ?\n {{12}}xmax = \S+ ?\n {{12}}text = {_TEXT}")


def render(script: Script) -> str:
    from praatio.utilities.textgrid_io import getTextgridAsStr  # type: ignore[import-untyped]

    tiers = speaker_tiers(script)
    end = end_of(script, tiers) / 1000
    intervals: dict[str, list[Interval]] = {}
    for tier in tiers:
        intervals |= {tier.name: tier.segments, tier.name + WORDS: tier.words}
    grid = {
        "xmin": 0.0,
        "xmax": end,
        "tiers": [
            {"class": "IntervalTier", "name": name, "xmin": 0.0, "xmax": end, "entries": _entries(found)}
            for name, found in (intervals or {_EMPTY_TIER: []}).items()
        ],
    }
    text: str = getTextgridAsStr(grid, "long_textgrid", includeBlankSpaces=True)
    return text


def read_words(text: str) -> list[str]:
    """The words of the tiers of words, one tier after the other. Raises MalformedExport."""
    _, *tiers = _TIER.split(text)
    if not tiers:
        raise MalformedExport("the file is no TextGrid with tiers")
    segments: list[str] = []
    words: list[str] = []
    for number, tier in enumerate(tiers, start=1):
        name, size = _NAME.search(tier), _SIZE.search(tier)
        labels = [match["text"].replace('""', '"') for match in _INTERVAL.finditer(tier)]
        if name is None or size is None or int(size["size"]) != len(labels):
            raise MalformedExport(f"tier {number} has not the intervals that it announces")
        found = words if name["text"].endswith(WORDS) else segments
        found += " ".join(labels).split()
    if "".join(segments) != "".join(words):
        raise MalformedExport("the segments are not their words")
    return words


def _entries(intervals: list[Interval]) -> list[tuple[float, float, str]]:
    return [(interval.start / 1000, interval.end / 1000, interval.text) for interval in intervals]
