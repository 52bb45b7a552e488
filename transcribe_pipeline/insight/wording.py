"""How statements about a recording are worded: which of their words are names, and which only report.

Names are told by their capital letters, in scripts that have them. In German every noun has one, so there only words
that follow each other with capitals ('Frau Weber', 'Firma Siemens') and abbreviations are taken for names.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from transcribe_pipeline.insight.terms import stop_words, terms
from transcribe_pipeline.search.tokens import tokens

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*\d*")  # noqa: RUF001
_OPENS_SENTENCE: Final = re.compile(r"(?:^|[.!?…:;。！？\"“„«»(—–])[\s\"'“„«»(¿¡‘’—–-]*$")  # noqa: RUF001
_CAPITALISES_NOUNS: Final = frozenset({"de", "lb"})
_ENGLISH_NOUNS: Final = re.compile(r"(?:ing|tion|sion|ment|ness|ity|ance|ence|ly)s?$")
"""Endings of words that begin English sentences and are no names: 'Postponing the launch was suggested.'"""

_REPORTING: Final = """
about according acknowledge action add address advise agree agreement aim also among announce answer argue ask assign
attendee audience aware call caller clarify comment compare concern conclude conclusion confirm consider content context
continue conversation cover decide decision describe detail discuss discussion during emphasise emphasize episode
explain explanation express focus follow give group guest highlight host idea identify include including indicate inform
interview introduce involve issue item key lecture main meeting member mention narrator note offer open opinion outline
overall overview part participant party people person plan point pose present presentation problem propose proposal
purpose question raise reader reading reason recommend recording refer reflect regarding remark reply report request
respond response review section session share speak speaker speech state statement story subject suggest suggestion
summarise summarize summary talk team tell topic towards transcript various view while
"""
"""Said of what is said: these need not occur in it."""


@cache
def reporting(language: str) -> frozenset[str]:
    """Terms that only report; known for English."""
    return frozenset(terms(_REPORTING, language)) if language == "en" else frozenset()


def names(text: str, language: str) -> Iterator[str]:
    """Words that can only be names (of people, places, products, days), or words that stand like one.

    The first word of a sentence counts unless it is a word of the language that says or reports nothing by itself: in
    'Maria agreed' nothing but the transcript can tell that Maria is no name.
    """
    found = [word for word in _WORD.finditer(text) if word[0][0].isupper()]
    if language in _CAPITALISES_NOUNS:
        yield from _beside_another(text, [word for word in found if not _is_common(word[0], language)])
        return
    for word in found:
        opens = _OPENS_SENTENCE.search(text, 0, word.start()) is not None
        if _is_common(word[0], language) or (opens and _opens_commonly(word[0], language)):
            continue
        yield word[0]


def _beside_another(text: str, found: list[re.Match[str]]) -> Iterator[str]:
    for i, word in enumerate(found):
        before = i > 0 and text[found[i - 1].end() : word.start()] == " "
        after = i + 1 < len(found) and text[word.end() : found[i + 1].start()] == " "
        if before or after or not word[0][1:].islower():
            yield word[0]


def _is_common(word: str, language: str) -> bool:
    return len(word) == 1 or all(token.text in stop_words(language) for token in tokens(word))


def _opens_commonly(word: str, language: str) -> bool:
    if language == "en" and word[1:].islower() and _ENGLISH_NOUNS.search(word):
        return True
    return all(term in reporting(language) for term in terms(word, language))
