"""CTM (.ctm): a line for every word with its time, for scoring and forced alignment (sclite, Kaldi, meeteval);
https://github.com/usnistgov/SCTK/blob/master/doc/infmts.htm.

    meeting.mp3 1 12.340 0.210 hello 0.93

File, channel, start and duration in seconds, word, confidence; in order of time, as sclite wants it. It has no
speakers, and fields stand between spaces: a word of the recogniser that holds spaces becomes several, which share its
time by their length.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from transcribe_pipeline.artifacts import TranscriptWord
from transcribe_pipeline.export.script import MalformedExport, Script, identifier, milliseconds

_LINE = re.compile(r"\S+ 1 \d+\.\d{3} \d+\.\d{3} (?P<word>\S+) [01]\.\d{3}")


class _Token(NamedTuple):
    start: int
    """Milliseconds, as `end`."""
    end: int
    text: str
    confidence: float


def render(script: Script) -> str:
    file = identifier(script.file_name)
    return "".join(f"{file} 1 {_line(token)}\n" for token in _tokens(script))


def read_words(text: str) -> list[str]:
    """The words of such a file in order. Raises MalformedExport."""
    *lines, rest = text.split("\n")
    matches = [_LINE.fullmatch(line) for line in lines]
    if rest or not all(matches):
        raise MalformedExport("not every line is a whole word line")
    return [match["word"] for match in matches if match]


def words_in_time(script: Script) -> list[str]:
    """What `read_words` must find."""
    return [token.text for token in _tokens(script)]


def _line(token: _Token) -> str:
    return f"{token.start / 1000:.3f} {(token.end - token.start) / 1000:.3f} {token.text} {token.confidence:.3f}"


def _tokens(script: Script) -> list[_Token]:
    tokens = [token for word in script.transcript.words for token in _split(word)]
    return sorted(tokens, key=lambda token: token.start)


def _split(word: TranscriptWord) -> Iterator[_Token]:
    texts = word.text.split()
    start = milliseconds(word.start)
    length, reached = milliseconds(word.end) - start, 0
    total = sum(map(len, texts))
    for text in texts:
        begin = start + length * reached // total
        reached += len(text)
        yield _Token(begin, start + length * reached // total, text, word.probability)
