"""Plain text (.txt): a paragraph for every turn, under a line with its start and speaker.

    [00:01:02] Anna:
    Hello there. How are you?

A paragraph is exactly these two lines, so text that looks like such a heading is still the text under one.
"""

import re

from transcribe_pipeline.artifacts import Paragraph
from transcribe_pipeline.export.script import MalformedExport, Script, blocks, clock

_HEADING = re.compile(r"\[\d{2,}:\d\d:\d\d\]( .+:)?")


def render(script: Script) -> str:
    return "\n".join(filter(None, (_paragraph(script, paragraph) for paragraph in script.transcript.paragraphs)))


def read_words(text: str) -> list[str]:
    """The words of such a file in order, headings left out. Raises MalformedExport."""
    words: list[str] = []
    for number, block in enumerate(blocks(text), start=1):
        heading, *lines = block.split("\n")
        if not _HEADING.fullmatch(heading) or len(lines) != 1:
            raise MalformedExport(f"paragraph {number} is not a heading and a line of text")
        words += lines[0].split()
    return words


def _paragraph(script: Script, paragraph: Paragraph) -> str:
    segments = script.transcript.segments[paragraph.first_segment : paragraph.last_segment + 1]
    text = script.text(segments)
    if not text:
        return ""
    name = script.name(paragraph.speaker)
    return f"[{clock(paragraph.start)}]{f' {name}:' if name else ''}\n{text}\n"
