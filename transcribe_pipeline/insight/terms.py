"""The terms of a text: its words without those that every text has, each as its stem, so that texts can be compared.

What belongs here: which parts of a text carry its meaning. What does not: weighing and comparing them.
"""

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Final

from transcribe_pipeline.search.tokens import Token, is_word, stem, tokens

_LONGEST_STEM: Final = 6
"""Letters of a stem that count, so that 'decide' and 'decision', 'organise' and 'organisation' are the same."""
_YAKE_NAMES: Final = {"cs": "cz", "nn": "no", "yue": "zh"}
_APOSTROPHE: Final = re.compile(r"['’]")  # noqa: RUF001


def terms(text: str, language: str) -> list[str]:
    """In the order of the text, repeated as there.

    Where words are not separated by spaces, and in Korean, terms are pairs of neighbouring characters: shorter than
    most words, long enough to say something. Numbers are no terms, and neither are single letters.

    :param language: ISO 639-1; without a stemmer for it words are compared as they are written.
    """
    made: list[str] = []
    before: Token | None = None
    for token in tokens(text):
        if not is_word(token.text):
            if before and before.end == token.start and not is_word(before.text):
                made.append(before.text + token.text)
        elif term := _term(token.text, language):
            made.append(term)
        before = token
    return made


def _term(word: str, language: str) -> str | None:
    if len(word) < 2 or word[0].isdigit() or word in stop_words(language):
        return None
    return (stem(word, language) or word)[:_LONGEST_STEM]


@cache
def stop_words(language: str) -> frozenset[str]:
    """Words that say nothing by themselves, folded as tokens are; none for languages without a list.

    From the lists that yake brings, for 34 languages.
    """
    # Found without importing: yake takes half a second to load.
    spec = importlib.util.find_spec("yake")
    if spec is None or spec.origin is None:
        return frozenset()
    lists = Path(spec.origin).parent / "core" / "StopwordsList"
    path = lists / f"stopwords_{_YAKE_NAMES.get(language, language)}.txt"
    if not re.fullmatch("[a-z]{2,3}", language) or not path.is_file():
        return frozenset()
    listed = path.read_text(encoding="utf-8", errors="replace")
    # "don't" is two tokens.
    return frozenset(token.text for token in tokens(_APOSTROPHE.sub(" ", listed)) if is_word(token.text))
