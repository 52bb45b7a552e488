"""What a stretch of a transcript is about, in a few of its own words."""

from collections.abc import Sequence
from typing import Final

from transcribe_pipeline.insight import plain_text

_PHRASES: Final = 3


def title_of(texts: Sequence[str], language: str) -> str:
    """Its key phrases; '' where it has none."""
    from transcribe_pipeline.insight.key_phrases import key_phrases

    found = key_phrases(texts, language, most=_PHRASES)
    title = ", ".join(phrase for phrase, _ in found if plain_text.objection(phrase) is None)
    return title[:1].upper() + title[1:]
