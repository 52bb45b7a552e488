"""How words are written next to each other: spaces, sentence and clause ends. Used wherever words become text.

What belongs here: rules about single words and their neighbours. What does not: times, speakers, layout.
"""

from collections.abc import Iterable
from itertools import pairwise

# The languages whose words Whisper cuts at characters instead of spaces (faster_whisper/tokenizer.py,
# split_to_word_tokens). Khmer and Tibetan are not among them: Whisper gives those in space-separated pieces.
_UNSPACED_LANGUAGES = frozenset({"ja", "lo", "my", "th", "yue", "zh"})

# Thai (U+0E00) is the first Unicode block of a script written without spaces; Latin, Greek, Cyrillic, Hebrew,
# Arabic and the Indic scripts all come before it, and after it more of Latin (Vietnamese) and of Greek.
_FIRST_UNSPACED_CHARACTER = "\u0e00"
_MORE_SPACED = ("\u1e00", "\u2000")

# Punctuation of all scripts that Whisper writes, hence RUF001 (looks like ASCII).
_SENTENCE_ENDS = tuple(".!?…。．！？｡؟۔।॥")  # noqa: RUF001
_CLAUSE_ENDS = tuple(",;:—–、，；：､،؛")  # noqa: RUF001
_OPENING_MARKS = "\"'“‘«‹([（「『【〈《¿¡"  # noqa: RUF001
_CLOSING_MARKS = "\"'”’»›)]）」』】〉》"  # noqa: RUF001

# Titles stand before a name, so their full stop ends no sentence. Longer lists ('etc.', 'Inc.') often do end one.
_TITLES = frozenset({"dr.", "mme.", "mr.", "mrs.", "ms.", "prof.", "sr.", "sra.", "st."})


_CHARACTERS_PER_WORD = 2
"""Of Chinese and Japanese, whose recognisers give anything from one character to a clause as a word. Thai, Lao and
Burmese words have about four; there stretches of so many words are half as long, which harms nothing."""


def is_unspaced(language: str) -> bool:
    """True if `language` (ISO 639-1) is written without spaces between words."""
    return language in _UNSPACED_LANGUAGES


def separator(left: str, right: str, language: str) -> str:
    """What stands between two neighbouring words: a space or nothing.

    Foreign words inside unspaced text keep their space ('Artificial Intelligence' in a Japanese sentence).
    """
    if not is_unspaced(language):
        return " "
    return " " if joins(left, right) and right[:1].isalnum() else ""


def joins(left: str, right: str) -> bool:
    """True if two pieces written without a space between them are one word, because neither script lacks spaces."""
    return _is_spaced(left[-1:]) and _is_spaced(right[:1])


def _is_spaced(character: str) -> bool:
    return character < _FIRST_UNSPACED_CHARACTER or _MORE_SPACED[0] <= character < _MORE_SPACED[1]


def join_words(words: Iterable[str], language: str) -> str:
    """The words as running text, with spaces where `language` has them."""
    words = list(words)
    if not is_unspaced(language):
        return " ".join(words)
    following = (separator(left, right, language) + right for left, right in pairwise(words))
    return "".join([*words[:1], *following])


def ends_sentence(word: str) -> bool:
    """True if a sentence may end after `word`: 'done.', 'really?”', but not 'Dr.' or the initial 'J.'."""
    bare = word.lstrip(_OPENING_MARKS).rstrip(_CLOSING_MARKS)
    # 'Neither did I.' is said more often than 'I. M. Pei'.
    is_initial = len(bare) == 2 and bare[0].isupper() and bare[1] == "." and bare != "I."
    return bare.endswith(_SENTENCE_ENDS) and not is_initial and bare.lower() not in _TITLES


def ends_clause(word: str) -> bool:
    """True if `word` carries a comma, colon, semicolon or dash at its end."""
    return word.rstrip(_CLOSING_MARKS).endswith(_CLAUSE_ENDS)


def size(word: str, language: str) -> float:
    """How much a transcript's word counts where texts are measured in words: 1, or by its characters if unspaced."""
    return len(word) / _CHARACTERS_PER_WORD if is_unspaced(language) else 1.0
