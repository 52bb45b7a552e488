"""What a query looks like to the embedded index: its terms as FTS5 expressions, and where they are in a text.

Every string that reaches FTS5 is made of tokens (letters, digits, marks) inside quotes, never of what people typed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from transcribe_pipeline.search.index import Piece
from transcribe_pipeline.search.query_text import ParsedQuery, Term
from transcribe_pipeline.search.tokens import Token, is_word, stem, tokens

_MOST_SPELLINGS: Final = 20
"""Of one fuzzy word. Lucene's default is 50."""

Nearest = Callable[[str], Sequence[str]]
"""Words of the scope that differ from a token by no more than `most_edits`, the nearest first."""


def most_edits(word: str) -> int:
    """By how many letters a word may differ from what was typed; as OpenSearch's AUTO fuzziness has it."""
    return 0 if len(word) < 3 else 1 if len(word) < 6 else 2


def stem_token(word: str, language: str) -> str | None:
    """A stem as column `stems` has it. Languages are kept apart: a German stem is no English word."""
    found = stem(word, language)
    return f"{language}_{found}" if found else None


@dataclass(frozen=True)
class Clause:
    """All that one term may look like in the index: any of `phrases` next to each other, or any of `stems`."""

    phrases: tuple[tuple[str, ...], ...]
    stems: frozenset[str] = frozenset()
    is_prefix: bool = False
    """The last token of a phrase may go on."""

    @property
    def expression(self) -> str:
        star = " *" if self.is_prefix else ""
        words = " OR ".join(f'"{" ".join(phrase)}"{star}' for phrase in self.phrases)
        if not self.stems:
            return f"words : ({words})"
        stems = " OR ".join(f'"{token}"' for token in sorted(self.stems))
        return f"(words : ({words}) OR stems : ({stems}))"

    def spans(self, text: str, said: Sequence[Token], language: str) -> Iterator[tuple[int, int]]:
        for phrase in self.phrases:
            for i in range(len(said) - len(phrase) + 1):
                if self._is_at(phrase, said, i):
                    yield said[i].start, said[i + len(phrase) - 1].end
        for token in said if self.stems else ():
            if stem_token(text[token.start : token.end].casefold(), language) in self.stems:
                yield token.start, token.end

    def _is_at(self, phrase: Sequence[str], said: Sequence[Token], first: int) -> bool:
        *whole, last = phrase
        if any(said[first + i].text != token for i, token in enumerate(whole)):
            return False
        found = said[first + len(whole)].text
        return found.startswith(last) if self.is_prefix else found == last


@dataclass(frozen=True)
class Match:
    """A query, compiled. Without required clauses there are no words to look for."""

    required: tuple[Clause, ...] = ()
    excluded: tuple[Clause, ...] = ()

    @classmethod
    def of(cls, query: ParsedQuery, *, languages: Iterable[str], nearest: Nearest, fuzzy: bool) -> "Match":
        """:param languages: of the recordings that are searched; their stems are looked for.
        :param fuzzy: every word may be misspelt.
        """
        languages = sorted(languages)
        required = [_clause(term, languages, nearest, fuzzy=fuzzy) for term in query.required]
        # Without languages, hence stems: what is excluded is so exactly, or more would be hidden than was asked for.
        excluded = [_clause(term, (), nearest, fuzzy=False) for term in query.excluded]
        return cls(tuple(filter(None, required)), tuple(filter(None, excluded)))

    @property
    def expression(self) -> str:
        required = " AND ".join(clause.expression for clause in self.required)
        excluded = " OR ".join(clause.expression for clause in self.excluded)
        return f"({required}) NOT ({excluded})" if excluded else required

    def finds(self, text: str, language: str) -> bool:
        """Has the text all that is required? What is excluded is another matter."""
        return _all_in(self.required, text, language)

    def excludes(self, text: str, language: str) -> bool:
        return any(_all_in([clause], text, language) for clause in self.excluded)

    def pieces(self, text: str, language: str) -> tuple[Piece, ...]:
        """`text` with what was looked for marked."""
        said = tokens(text)
        spans = sorted(span for clause in self.required for span in clause.spans(text, said, language))
        pieces: list[Piece] = []
        end = 0
        for start, stop in spans:
            start = max(start, end)
            if stop <= start:
                continue
            if start > end:
                pieces.append(Piece(text[end:start]))
            if pieces and pieces[-1].is_match and start == end:
                pieces[-1] = Piece(pieces[-1].text + text[start:stop], is_match=True)
            else:
                pieces.append(Piece(text[start:stop], is_match=True))
            end = stop
        if end < len(text):
            pieces.append(Piece(text[end:]))
        return tuple(pieces)


def single_word(text: str) -> str | None:
    """The token of a text that is one word of a script with spaces: what has a stem and a spelling."""
    made = tokens(text)
    return made[0].text if len(made) == 1 and is_word(made[0].text) else None


def stems_of(word: str, languages: Iterable[str]) -> frozenset[str]:
    return frozenset(token for language in languages if (token := stem_token(word.casefold(), language)))


def _all_in(clauses: Iterable[Clause], text: str, language: str) -> bool:
    said = tokens(text)
    return all(any(True for _ in clause.spans(text, said, language)) for clause in clauses)


def _clause(term: Term, languages: Sequence[str], nearest: Nearest, *, fuzzy: bool) -> Clause | None:
    phrase = tuple(token.text for token in tokens(term.text))
    if not phrase:
        return None
    word = single_word(term.text)
    if term.kind == "prefix":
        return Clause((phrase,), is_prefix=word is not None or is_word(phrase[-1]))
    if term.kind == "phrase" or word is None:
        return Clause((phrase,))
    spellings: Iterable[str] = ()
    if term.kind == "fuzzy" or fuzzy:
        spellings = nearest(word)[:_MOST_SPELLINGS]
    phrases = dict.fromkeys([phrase, *((spelling,) for spelling in spellings)])
    return Clause(tuple(phrases), stems_of(term.text, languages))
