"""What people type into a search box, taken apart. Backends build their queries from this and never from the text.

What belongs here: the syntax, which is the same for all backends. What does not: case, stems and how a term is cut into
tokens, which are the backend's affair.

    interest rate      both words, anywhere in a passage, in any form the language's stemmer knows
    "interest rate"    exactly these words in this order
    inter*             words that begin so (at least 2 characters before the star)
    intrest~           words that differ by a letter or two
    -rate  -"a rate"   nothing that has exactly this word or phrase

Nothing else is syntax: AND, OR, NOT and NEAR are words, `owner:bob` is the two words next to each other. A quote that
is never closed ends with the text.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.search.index import MAX_TERMS

_MIN_PREFIX: Final = 2
# Phones and word processors write these for ".
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂", '"'))  # noqa: RUF001
_PIECE = re.compile(r'(?P<excluded>-?)"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+)')


@dataclass(frozen=True)
class Term:
    """One thing to find. Its text begins and ends with a letter, a digit or a mark on one; within there may be
    anything, such as the hyphen of 'well-known': its parts are meant to stand next to each other."""

    text: str
    """NFC, without operators; a phrase has single spaces."""
    kind: Literal["word", "phrase", "prefix", "fuzzy"]

    def __str__(self) -> str:
        """As it would be typed."""
        match self.kind:
            case "phrase":
                return f'"{self.text}"'
            case "prefix":
                return f"{self.text}*"
            case "fuzzy":
                return f"{self.text}~"
            case "word":
                return self.text


@dataclass(frozen=True)
class ParsedQuery:
    """All of `required` and none of `excluded`. Both empty: no wish as to the words."""

    required: tuple[Term, ...] = ()
    excluded: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join([*map(str, self.required), *(f"-{term}" for term in self.excluded)])

    def with_words(self, better: Callable[[str], str]) -> "ParsedQuery":
        """The same query with each required word that may be misspelt (not phrases, not beginnings) as `better` has it.

        :param better: text of a term -> what to look for instead, or the same.
        """
        required = (
            Term(better(term.text), term.kind) if term.kind in ("word", "fuzzy") else term for term in self.required
        )
        return ParsedQuery(tuple(dict.fromkeys(required)), self.excluded)


def parse(text: str) -> ParsedQuery:
    """`text` as a query; only white space and invisible characters: the empty one.

    Raises BAD_QUERY for more than MAX_TERMS words, for exclusions alone, and for marks without any word.
    """
    text = unicodedata.normalize("NFC", clean(text)).translate(_QUOTES)
    required: dict[Term, None] = {}
    excluded: dict[Term, None] = {}
    for piece in _PIECE.finditer(text):
        is_excluded = bool(piece["excluded"]) or (piece["word"] or "").startswith("-")
        term = _word(piece["word"]) if piece["word"] else Term(_trimmed(piece["phrase"]), "phrase")
        if is_excluded and term.kind == "fuzzy":  # would hide more than was meant
            term = Term(term.text, "word")
        if term.text:
            (excluded if is_excluded else required)[term] = None
    parsed = ParsedQuery(tuple(required), tuple(excluded))
    _check(parsed, text)
    return parsed


def _word(piece: str) -> Term:
    text = _trimmed(piece)
    if piece.endswith("*") and len(text) >= _MIN_PREFIX:
        return Term(text, "prefix")
    return Term(text, "fuzzy" if piece.endswith("~") else "word")


def _trimmed(text: str) -> str:
    """Without what stands before the first and after the last character that belongs to a word."""
    inside = [i for i, character in enumerate(text) if is_part_of_word(character)]
    return text[inside[0] : inside[-1] + 1] if inside else ""


def is_part_of_word(character: str) -> bool:
    """A letter, a digit, or a mark on one (vowel signs of Indic scripts, accents that stand alone)."""
    return unicodedata.category(character)[0] in "LNM"


def _check(parsed: ParsedQuery, text: str) -> None:
    words = sum(len(term.text.split()) for term in (*parsed.required, *parsed.excluded))
    if words > MAX_TERMS:
        raise PipelineError(ErrorCode.BAD_QUERY, f"more than {MAX_TERMS} words")
    if parsed.excluded and not parsed.required:
        raise PipelineError(ErrorCode.BAD_QUERY, "everything in it is excluded")
    if text and not parsed.required:
        raise PipelineError(ErrorCode.BAD_QUERY, "no word to look for")
