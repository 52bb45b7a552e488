"""Audacity labels (.txt): a label for every segment, to lie under the waveform (File > Import > Labels);
https://manual.audacityteam.org/man/importing_and_exporting_labels.html.

Start, end (seconds) and text between tabs; the text begins with the speaker ('Anna: Hello'). The format has no
escapes; cleaned text has no tabs or line breaks, so none are needed.
"""

import re

from transcribe_pipeline.artifacts import TranscriptSegment
from transcribe_pipeline.export.script import MalformedExport, Script
from transcribe_pipeline.export.subrip import NAME_END

_ROW = re.compile(r"\d+\.\d{6}\t\d+\.\d{6}\t(?P<text>[^\t]*)")


def render(script: Script) -> str:
    return "".join(f"{_label(script, segment)}\n" for segment in script.transcript.segments)


def read_words(text: str) -> list[str]:
    """The words of the labels in order, names left out. Raises MalformedExport."""
    *rows, rest = text.split("\n")
    if rest:
        raise MalformedExport("the file's end is missing")
    words: list[str] = []
    for number, row in enumerate(rows, start=1):
        match = _ROW.fullmatch(row)
        if match is None:
            raise MalformedExport(f"label {number} is not two times and a text")
        words += match["text"].rpartition(NAME_END)[2].split()
    return words


def _label(script: Script, segment: TranscriptSegment) -> str:
    name = script.name(segment.speaker)
    text = script.text([segment])
    return f"{segment.start:.6f}\t{segment.end:.6f}\t{f'{name}{NAME_END}{text}' if name else text}"
