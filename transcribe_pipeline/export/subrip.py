"""SubRip (.srt): numbered cues; a speaker's name stands before the text where the speaker changes ('Anna: Hello').

SubRip has no specification and no escapes, and players act on HTML-like tags (<i>), SubStation tags ({\\an8}) and
SubStation escapes (\\N). So the characters that start these are shown as their full-width twins, each followed by an
invisible WORD JOINER, by which a reader can tell them from full-width characters that were in the text. Without '>'
no text can look like a cue's times either.
"""

import re

from transcribe_pipeline.export.cues import Cue
from transcribe_pipeline.export.script import MalformedExport, Script, blocks, timestamp

_WORD_JOINER = "\u2060"
# ASCII and full-width forms (U+FF01-U+FF5E) have the same order.
_SHOWN_AS = {character: chr(ord(character) + 0xFEE0) + _WORD_JOINER for character in "<>{}\\"}
_NEUTRALISE = str.maketrans(_SHOWN_AS)
# Cleaned text holds no NO-BREAK SPACE: what stands before this is a name, not a word. It also keeps the line whole.
NAME_END = ":\u00a0"

_TIME = r"\d{2,}:\d\d:\d\d,\d{3}"
_BLOCK = re.compile(rf"(?P<number>\d+)\n{_TIME} --> {_TIME}\n(?P<text>.+(?:\n.+)?)")


def render(script: Script) -> str:
    return "\n".join(_cue(number, cue) for number, cue in enumerate(script.cues, start=1))


def read_words(text: str) -> list[str]:
    """The words of a SubRip file in order, names left out. Raises MalformedExport."""
    words: list[str] = []
    for number, block in enumerate(blocks(text), start=1):
        match = _BLOCK.fullmatch(block)
        if match is None or int(match["number"]) != number:
            raise MalformedExport(f"cue {number} is not a cue")
        shown = match["text"]
        if any(character in shown for character in _SHOWN_AS):
            raise MalformedExport(f"cue {number} holds a character that players act on")
        words += original(shown.rpartition(NAME_END)[2]).split()
    return words


def _cue(number: int, cue: Cue) -> str:
    name = f"{cue.introduces}{NAME_END}" if cue.introduces else ""
    text = neutral(name + "\n".join(cue.lines))
    return f"{number}\n{timestamp(cue.start, ',')} --> {timestamp(cue.end, ',')}\n{text}\n"


def neutral(text: str) -> str:
    """`text` without a character that players of SubRip or SubStation act on."""
    return text.translate(_NEUTRALISE)


def original(shown: str) -> str:
    """The text that `neutral` was given."""
    for character, twin in _SHOWN_AS.items():
        shown = shown.replace(twin, character)
    return shown
