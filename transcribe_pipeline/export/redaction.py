"""Hiding words: in one place, before any format is written, so that no format can forget it.

A phrase is compared word by word, without regard to case, width (NFKC), punctuation and where the recogniser cut words
or segments: 'John Smith' hides 'JOHN, Smith's', 'John-Smith', and a John who ends one segment with a Smith who begins
the next. Only whole words count: 'art' leaves 'party' alone. Where scripts have no spaces, or attach particles to a
name (Korean), a character is a word. Accents count: 'Jose' is not 'José'.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from transcribe_pipeline.artifacts import TranscriptSegment, TranscriptWord
from transcribe_pipeline.errors import ErrorCode, PipelineError

# Marks of our own: cleaned text holds none of them.
_WORD_END, _SEGMENT_END, _SWALLOWED_WORD_END = "\n", "\f", "\r"

# Thai and Lao, Burmese, Khmer, kana, Han, Hangul (first and last characters).
_WORDS_BY_THEMSELVES = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3040", "\u30ff"),
    ("\u3400", "\u9fff"),
    ("\uac00", "\ud7af"),
)
_ASTRAL_HAN = "\U00020000"
_MARKS_AND_JOINERS = {"Mn", "Mc", "Me", "Cf"}


class _Token(NamedTuple):
    folded: str
    start: int
    stop: int


class Redaction:
    """Phrases to hide. Raises BAD_EXPORT for a phrase without letters, or a placeholder that would tell."""

    def __init__(self, phrases: Sequence[str], placeholder: str) -> None:
        self._placeholder = placeholder
        self._phrases: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        """First word -> the phrases that begin with it, longest first."""
        for phrase in sorted({_folded(phrase) for phrase in phrases}, key=len, reverse=True):
            if not phrase:
                raise PipelineError(ErrorCode.BAD_EXPORT, "what is to be hidden needs letters or digits")
            self._phrases[phrase[0]].append(phrase)
        if self._phrases and (not placeholder or any(self._spans(placeholder))):
            raise PipelineError(ErrorCode.BAD_EXPORT, "the placeholder is empty or holds what is to be hidden")

    def text(self, text: str) -> str:
        """`text`, which is cleaned, without the phrases."""
        return self._redacted(text) if self._phrases else text

    def segments(self, segments: Sequence[TranscriptSegment]) -> tuple[TranscriptSegment, ...]:
        """Cleaned segments without the phrases; words of a phrase become one word that takes their time."""
        if not self._phrases:
            return tuple(segments)
        texts = (_WORD_END.join(word.text for word in segment.words) for segment in segments)
        redacted = self._redacted(_SEGMENT_END.join(texts)).split(_SEGMENT_END) if segments else []
        return tuple(_with_words(segment, text) for segment, text in zip(segments, redacted, strict=True))

    def _redacted(self, text: str) -> str:
        pieces, reached = [], 0
        for start, stop in self._spans(text):
            pieces += [text[reached:start], self._hidden(text[start:stop])]
            reached = stop
        return "".join([*pieces, text[reached:]])

    def _hidden(self, phrase: str) -> str:
        """The placeholder in every segment that holds some of the phrase."""
        parts = phrase.split(_SEGMENT_END)
        return _SEGMENT_END.join(
            self._placeholder + _SWALLOWED_WORD_END * part.count(_WORD_END) if _folded(part) else part for part in parts
        )

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where phrases stand, from left to right, the longest that begins at each place."""
        tokens = list(_tokens(text))
        position = 0
        while position < len(tokens):
            length = self._phrase_at(tokens, position)
            if length:
                yield tokens[position].start, tokens[position + length - 1].stop
            position += length or 1

    def _phrase_at(self, tokens: Sequence[_Token], position: int) -> int:
        for phrase in self._phrases.get(tokens[position].folded, ()):
            if tuple(token.folded for token in tokens[position : position + len(phrase)]) == phrase:
                return len(phrase)
        return 0


def _folded(phrase: str) -> tuple[str, ...]:
    return tuple(token.folded for token in _tokens(phrase))


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    for kind, group in groupby(text, _kind):
        run = "".join(group)
        if kind == "letter" and (folded := _fold(run)):
            yield _Token(folded, position, position + len(run))
        elif kind == "word":
            for offset, character in enumerate(run, start=position):
                yield _Token(_fold(character), offset, offset + 1)
        position += len(run)


def _fold(word: str) -> str:
    visible = "".join(character for character in word if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    """'letter': part of a word; 'word': one by itself; '': neither."""
    if not character.isalnum() and unicodedata.category(character) not in _MARKS_AND_JOINERS:
        return ""
    is_word = character >= _ASTRAL_HAN or any(first <= character <= last for first, last in _WORDS_BY_THEMSELVES)
    return "word" if is_word else "letter"


def _with_words(segment: TranscriptSegment, text: str) -> TranscriptSegment:
    words: list[TranscriptWord] = []
    first = 0
    for word in text.split(_WORD_END) if text else ():
        stop = first + 1 + word.count(_SWALLOWED_WORD_END)
        words.append(_merged(segment.words[first:stop], word.replace(_SWALLOWED_WORD_END, "")))
        first = stop
    return segment.model_copy(update={"words": tuple(words)})


def _merged(words: Sequence[TranscriptWord], text: str) -> TranscriptWord:
    if len(words) == 1 and words[0].text == text:
        return words[0]
    return words[0].model_copy(
        update={
            "text": text,
            "end": max(word.end for word in words),
            "probability": min(word.probability for word in words),
        }
    )
