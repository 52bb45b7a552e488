"""ELAN (.eaf): for linguists and sign language researchers; EAF 2.8, https://www.mpi.nl/tools/elan/EAF_Annotation_Format.pdf,
written by pympi.

For every speaker a tier of segments and, depending on it, one of words (`tiers`). The recording is looked for beside
the file, by its name.
"""

import mimetypes
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from transcribe_pipeline.export.script import MalformedExport, Script
from transcribe_pipeline.export.tiers import WORDS, Interval, SpeakerTiers, speaker_tiers

_WORD_TYPE = "words"
_DATE = "1970-01-01T00:00:00+00:00"
"""EAF wants one; a true one would make two exports of one transcript differ."""


def render(script: Script) -> str:
    from pympi import Elan  # type: ignore[import-untyped]

    eaf = Elan.Eaf(author="")
    eaf.adocument["DATE"] = _DATE
    eaf.add_linguistic_type(_WORD_TYPE, constraints="Included_In")
    place = f"./{quote(script.title)}"
    eaf.add_linked_file(place, place, mimetypes.guess_type(script.title)[0] or "unknown")
    tiers = speaker_tiers(script)
    for tier in tiers:
        _add(eaf, tier)
    if tiers:
        eaf.remove_tier("default")
    _order_time_slots(eaf)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Elan.to_string(eaf)}'


def read_words(text: str) -> list[str]:
    """The words of the tiers of words, one tier after the other. Raises MalformedExport."""
    try:
        document = ElementTree.fromstring(text)  # noqa: S314  # expat refuses entity bombs
    except ElementTree.ParseError as error:
        raise MalformedExport("the file is not XML") from error
    segments: list[str] = []
    words: list[str] = []
    for tier in document.iter("TIER"):
        found = words if tier.get("TIER_ID", "").endswith(WORDS) else segments
        found += " ".join(value.text or "" for value in tier.iter("ANNOTATION_VALUE")).split()
    if "".join(segments) != "".join(words):
        raise MalformedExport("the segments are not their words")
    return words


def _add(eaf: Any, tiers: SpeakerTiers) -> None:
    words = tiers.name + WORDS
    eaf.add_tier(tiers.name, part=tiers.name)
    eaf.add_tier(words, ling=_WORD_TYPE, parent=tiers.name, part=tiers.name)
    for tier, intervals in ((tiers.name, tiers.segments), (words, tiers.words)):
        for interval in intervals:
            eaf.add_annotation(tier, *_times(interval), interval.text)


def _times(interval: Interval) -> tuple[int, int]:
    return interval.start, interval.end


def _order_time_slots(eaf: Any) -> None:
    """EAF lists time slots in order of time; pympi numbers them as they come."""
    in_order = sorted(eaf.timeslots, key=lambda slot: (eaf.timeslots[slot], int(slot.removeprefix("ts"))))
    renamed = {slot: f"ts{number}" for number, slot in enumerate(in_order, start=1)}
    eaf.timeslots = {renamed[slot]: eaf.timeslots[slot] for slot in in_order}
    for annotations, *_ in eaf.tiers.values():
        for key, (start, end, *rest) in annotations.items():
            annotations[key] = (renamed[start], renamed[end], *rest)
