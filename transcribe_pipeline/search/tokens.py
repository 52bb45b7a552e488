"""How the embedded index cuts text into tokens. SQLite only ever sees tokens made here, of letters, digits and marks.

Case and the marks on Latin, Greek, Cyrillic, Hebrew and Arabic letters are folded away. Where words are not separated
by spaces (Chinese, Japanese, Thai ...), and in Korean, whose particles hang on words, each character is a token: any
part of a text can then be found as a phrase of characters.
"""

import re
import threading
import unicodedata
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from transcribe_pipeline.search.query_text import is_part_of_word
from transcribe_pipeline.text.words import joins

_ASCII_WORD = re.compile("[A-Za-z0-9]+")

# Letters that Unicode does not decompose, as Lucene's ASCIIFoldingFilter has them; and the Arabic stretching sign.
_PLAIN_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"})
_DROPPED = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]"
)

_STEMMERS: Final = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish",
    "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian",
    "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""ISO 639-1 -> Snowball's name."""


_stemming = threading.Lock()
"""A stemmer keeps the word that it works on in itself."""


class Token(NamedTuple):
    text: str
    """Folded."""
    start: int
    end: int
    """Where it stands in the text, in characters."""


def tokens(text: str) -> list[Token]:
    if text.isascii():
        return [Token(found[0].lower(), found.start(), found.end()) for found in _ASCII_WORD.finditer(text)]
    made: list[Token] = []
    for found in _word_pattern().finditer(text):
        if found[0].isascii():
            made.append(Token(found[0].lower(), found.start(), found.end()))
        else:
            made.extend(_tokens_of_word(found[0], found.start()))
    return made


def _tokens_of_word(word: str, offset: int) -> list[Token]:
    """One token for each stretch of a spaced script, one for each character of the others."""
    made: list[Token] = []
    letters, start = "", 0
    for i, character in enumerate(word):
        folded, is_spaced = _folded(character)
        if is_spaced:
            start = start if letters else i
            letters += folded
            continue
        if letters:
            made.append(Token(letters, offset + start, offset + i))
            letters = ""
        made.extend(Token(part, offset + i, offset + i + 1) for part in folded)
    if letters:
        made.append(Token(letters, offset + start, offset + len(word)))
    return made


@lru_cache(maxsize=1 << 14)
def _folded(character: str) -> tuple[str, bool]:
    """The character as it is searched for, and whether its script has spaces between words."""
    plain = _DROPPED.sub("", unicodedata.normalize("NFKD", character.casefold()))
    plain = unicodedata.normalize("NFC", plain).translate(_PLAIN_LETTERS)
    plain = "".join(part for part in plain.casefold() if is_part_of_word(part))
    return plain, not plain or joins(plain, plain)


@cache
def _word_pattern() -> re.Pattern[str]:
    r"""Letters and digits with the marks on them, which \w leaves out."""
    marks = "".join(re.escape(chr(i)) for i in range(0x300, 0x10000) if unicodedata.category(chr(i))[0] == "M")
    return re.compile(f"[^\\W_](?:[^\\W_]|[{marks}])*")


def fold(text: str) -> str:
    """Names as they are compared and completed: tokens with a space wherever something else stood between them."""
    parts: list[str] = []
    end = 0
    for token in tokens(text):
        parts += [" ", token.text] if parts and token.start > end else [token.text]
        end = token.end
    return "".join(parts)


def is_word(token: str) -> bool:
    """False for characters of scripts without spaces: those have no stem and no spelling to put right."""
    return token.isascii() or joins(token[:1], token[:1])


def stem(word: str, language: str) -> str | None:
    """The stem of a word in small letters, folded; None where the language has no stemmer here."""
    algorithm = _STEMMERS.get(language)
    return _stem(word, algorithm) if algorithm else None


@lru_cache(maxsize=1 << 17)
def _stem(word: str, algorithm: str) -> str | None:
    with _stemming:
        stemmed = _stemmer(algorithm).stemWord(word)
    made = [token.text for token in tokens(stemmed)]
    return made[0] if len(made) == 1 else None


@cache
def _stemmer(algorithm: str) -> Any:
    import snowballstemmer  # type: ignore[import-untyped]

    return snowballstemmer.stemmer(algorithm)
