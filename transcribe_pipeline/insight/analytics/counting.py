"""What is counted as a word, in any language.

What belongs here: units and tokens. What does not: the words of any one language (`lexicons.py`).
"""

import unicodedata
from collections.abc import Iterator
from typing import Literal

from transcribe_pipeline.text.words import is_unspaced, joins

Unit = Literal["words", "characters"]

_PIECEWISE_LANGUAGES = frozenset({"bo", "km"})
"""Tibetan and Khmer have no spaces between words either; Whisper's pieces of them are syllables and phrases."""


def unit_of(language: str) -> Unit:
    return "characters" if is_unspaced(language) or language in _PIECEWISE_LANGUAGES else "words"


def tokens(word: str, unit: Unit) -> list[str]:
    """What a word of a transcript counts for, in one form however it is written: without case and punctuation.

    'Words': one, or none for a bare '-'. 'Characters': every letter or digit of a script without spaces is one, and so
    is every run of others ('AI' in Japanese), as word processors count East Asian text. Marks above and below letters
    belong to them.
    """
    if unit == "characters":
        return list(_characters(word))
    if word.isalnum():
        return [word.casefold()]
    inner = bare(unicodedata.normalize("NFC", word)).replace("’", "'")  # noqa: RUF001
    return [inner.casefold()] if inner else []


def bare(text: str) -> str:
    """Without what surrounds its first and last letter or digit."""
    first, last = 0, len(text)
    while first < last and not text[first].isalnum():
        first += 1
    while last > first and not _is_part(text[last - 1]):
        last -= 1
    return text[first:last]


def _is_part(character: str) -> bool:
    """Vowels of Indic scripts are marks, which end words as letters do."""
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _characters(word: str) -> Iterator[str]:
    run = ""
    for character in unicodedata.normalize("NFC", word).casefold():
        if not character.isalnum():
            continue
        if run and not joins(run, character):
            yield run
            run = ""
        run += character
    if run:
        yield run
