"""TSV (.tsv) in the layout of OpenAI's Whisper: 'start', 'end' and 'text' of every segment between tabs, times in whole
milliseconds (`WriteTSV` in https://github.com/openai/whisper/blob/main/whisper/utils.py). It has no speakers.

Whisper's layout has no quotes and no escapes; cleaned text has no tabs or line breaks. But spreadsheets that open it
run what begins like a formula, and take a quote at the beginning of a cell for the beginning of a quoted one. The
apostrophe of our CSV (`cells`) would be part of the text for the programs that this layout is made for, so an invisible
WORD JOINER, which cleaned text cannot hold, stands before such a beginning: spreadsheets see text, people see nothing.
"""

import re

from transcribe_pipeline.export.script import MalformedExport, Script, milliseconds

_HEADER = "start\tend\ttext"
_ROW = re.compile(r"\d+\t\d+\t(?P<text>[^\t]*)")
_MARK = "\u2060"
# LibreOffice offers to split at commas and semicolons as well as at tabs. Full-width signs may be read as ASCII ones.
_ACTIVE = re.compile('(^|[,;])(?=[\'" ]*[=+\\-@＝＋－＠"])')  # noqa: RUF001  # full-width signs are meant


def render(script: Script) -> str:
    rows = (
        f"{milliseconds(segment.start)}\t{milliseconds(segment.end)}\t{_harmless(script.text([segment]))}"
        for segment in script.transcript.segments
    )
    return "".join(f"{line}\n" for line in [_HEADER, *rows])


def read_words(text: str) -> list[str]:
    """The words of the text column in order. Raises MalformedExport."""
    header, *rows = text.split("\n")
    if header != _HEADER or not rows or rows.pop():
        raise MalformedExport("the file is not Whisper's TSV, or its end is missing")
    words: list[str] = []
    for number, row in enumerate(rows, start=1):
        match = _ROW.fullmatch(row)
        if match is None:
            raise MalformedExport(f"row {number} is not two times and a text")
        words += match["text"].replace(_MARK, "").split()
    return words


def _harmless(text: str) -> str:
    return _ACTIVE.sub(rf"\1{_MARK}", text)
