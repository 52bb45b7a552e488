"""Does a question want an answer, and does a reply give one? Told by the wordings of `question_patterns`.

What does not belong here: whether something is a question at all (`analytics.questions`), and which reply answers which
question (`asked_questions`).
"""

import re
from typing import Final

from transcribe_pipeline.insight.analytics.counting import unit_of
from transcribe_pipeline.insight.analytics.lexicons import is_backchannel
from transcribe_pipeline.insight.question_patterns import UNKNOWN, WORDINGS, Wording
from transcribe_pipeline.text.words import is_unspaced

_LEAST_WORDS: Final = 3
_MOST_WORDS_OF_IGNORANCE: Final = 12
"""'I don't know, I think it was about five, because ...' does answer."""
_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def wants_answer(question: str, language: str) -> bool:
    """Not 'Hello?', 'Really?' and 'What can I say?': it has three words, or is a question word ('Why?')."""
    if _is_only_in_form(question, language):
        return False
    return is_unspaced(language) or len(_words(question)) >= _LEAST_WORDS or asks_for_more(question, language)


def asks_for_more(question: str, language: str) -> bool:
    """Has a question word, so that 'yes' is no answer."""
    return not _wording(language).question_word_list.isdisjoint(_words(question))


def is_short_reply(text: str, language: str) -> bool:
    """Only says yes, no or maybe."""
    words = _words(text)
    return bool(words) and _wording(language).reply_list.issuperset(words)


def only_listens(text: str, language: str) -> bool:
    """Says nothing but that somebody listens, or yes or no; False in languages whose wordings are not known."""
    if language not in WORDINGS:
        return False
    return is_short_reply(text, language) or is_backchannel(_words(text), language, unit_of(language))


def says_unknown(text: str, language: str) -> bool:
    """Replies without answering: 'I don't know', 'let me check'."""
    pattern = _wording(language).says_unknown
    is_short = len(_words(text)) <= _MOST_WORDS_OF_IGNORANCE
    return is_short and pattern is not None and pattern.search(_plain(text)) is not None


def _is_only_in_form(question: str, language: str) -> bool:
    """Also at the end of a statement: 'they all call me a Yankee, so what can I say?'"""
    pattern = _wording(language).only_in_form
    before, _, last = _plain(question).rpartition(",")
    meant = question if asks_for_more(before, language) else last
    return pattern is not None and pattern.fullmatch(" ".join(_words(meant))) is not None


def _wording(language: str) -> Wording:
    return WORDINGS.get(language, UNKNOWN)


def _words(text: str) -> list[str]:
    return _WORD.findall(_plain(text))


def _plain(text: str) -> str:
    """In small letters, with straight apostrophes."""
    return " ".join(text.replace("\u2019", "'").lower().split())
