"""WebVTT (.vtt): numbered cues, each in the voice of its speaker (<v Anna>Hello).

Escapes as in https://www.w3.org/TR/webvtt1/ section 4.2.2: without a bare '<' or '>' in text or names, nothing in
them can be a tag, and '-->' cannot occur.
"""

import html
import re

from transcribe_pipeline.export.cues import Cue
from transcribe_pipeline.export.script import MalformedExport, Script, blocks, timestamp

_HEADER = "WEBVTT"
_TIME = r"\d{2,}:\d\d:\d\d\.\d{3}"
_BLOCK = re.compile(rf"(?P<number>\d+)\n{_TIME} --> {_TIME}\n(?:<v [^<>\n]+>)?(?P<text>[^<>\n]+(?:\n[^<>\n]+)?)")


def render(script: Script) -> str:
    cues = (_cue(number, cue, script.name(cue.speaker)) for number, cue in enumerate(script.cues, start=1))
    return "\n".join([f"{_HEADER}\n", *cues])


def read_words(text: str) -> list[str]:
    """The words of a WebVTT file in order, voices left out. Raises MalformedExport."""
    header, *cues = blocks(text) or [""]
    if header != _HEADER:
        raise MalformedExport("the file does not begin with WEBVTT")
    words: list[str] = []
    for number, block in enumerate(cues, start=1):
        match = _BLOCK.fullmatch(block)
        if match is None or int(match["number"]) != number:
            raise MalformedExport(f"cue {number} is not a cue")
        words += html.unescape(match["text"]).split()
    return words


def _cue(number: int, cue: Cue, name: str) -> str:
    voice = f"<v {_escaped(name)}>" if name else ""
    text = _escaped("\n".join(cue.lines))
    return f"{number}\n{timestamp(cue.start, '.')} --> {timestamp(cue.end, '.')}\n{voice}{text}\n"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)
