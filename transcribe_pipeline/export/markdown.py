"""Markdown (.md): the file name as heading, then for every turn a bold speaker, the time, and the text. For notes and
wikis (Obsidian, GitHub, Notion): CommonMark, https://spec.commonmark.org/0.31.2/.

    **Anna** (00:01:02)

    Hello there. How are you?

What could act in CommonMark, or in the usual extensions of it (tables, mathematics, strikethrough, attributes), stands
behind a backslash, so that text can be no tag, link, picture or list. A bare web address may still be shown as a link
to itself. Text is one line between blank ones, so that marks which act at the beginning of a line can only be its
first.
"""

import re

from transcribe_pipeline.artifacts import Paragraph
from transcribe_pipeline.export.script import MalformedExport, Script, blocks, clock

_ACTIVE = re.compile(r"[\\`*_{}\[\]<>#|~$^&=]")
_ACTIVE_AT_START = re.compile(r"^([+-])|^(\d{1,9})(?=[.)])")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_HEADING = re.compile(r"(?:\*\*.+\*\* )?\(\d{2,}:\d\d:\d\d\)")


def render(script: Script) -> str:
    turns = filter(None, (_turn(script, paragraph) for paragraph in script.transcript.paragraphs))
    return "\n".join([f"# {escaped(script.title)}\n", *turns])


def read_words(text: str) -> list[str]:
    """The words of such a file in order. Raises MalformedExport."""
    title, *rest = blocks(text) or [""]
    if not title.startswith("# ") or len(rest) % 2:
        raise MalformedExport("the file is not a heading and pairs of speaker and text")
    words: list[str] = []
    for number, (heading, line) in enumerate(zip(rest[::2], rest[1::2], strict=True), start=1):
        if not _HEADING.fullmatch(heading) or "\n" in line:
            raise MalformedExport(f"turn {number} is not a speaker and a line of text")
        words += _ESCAPED.sub(r"\1", line).split()
    return words


def _turn(script: Script, paragraph: Paragraph) -> str:
    text = script.text(script.transcript.segments[paragraph.first_segment : paragraph.last_segment + 1])
    if not text:
        return ""
    name = script.name(paragraph.speaker)
    return f"{f'**{escaped(name)}** ' if name else ''}({clock(paragraph.start)})\n\n{escaped(text)}\n"


def escaped(text: str) -> str:
    """Cleaned text as CommonMark that shows it as it is, in a table too."""
    return _ACTIVE_AT_START.sub(r"\2\\\1", _ACTIVE.sub(r"\\\g<0>", text))
