"""ASS (.ass), subtitles with karaoke: each word changes colour as it is spoken, to the colour of its speaker. For mpv,
VLC, Aegisub and ffmpeg; Advanced SubStation Alpha, http://www.tcax.org/docs/ass-specs.htm, written by pysubs2.

Times are hundredths of a second. Every speaker has a style, whose colour is the one of the pictures (`colours`), and is
named as the event's actor and, where the speaker changes, before the text. SubStation has no escapes that all players
know, so what acts in it is shown as in SubRip (`subrip.neutral`); in names, which are fields between commas, commas
too.
"""

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from transcribe_pipeline.export.colours import speaker_colours
from transcribe_pipeline.export.cues import Cue, CueWord
from transcribe_pipeline.export.script import MalformedExport, Script
from transcribe_pipeline.export.subrip import NAME_END, neutral, original
from transcribe_pipeline.text.words import separator

if TYPE_CHECKING:
    from pysubs2 import SSAEvent, SSAStyle

_UNKNOWN = "Unknown"
_UNKNOWN_COLOUR = "#FFFFFF"
_FONT, _FONT_SIZE, _WIDTH, _HEIGHT = "Arial", 64.0, 1920, 1080
_COMMAS = str.maketrans({",": "，"})  # noqa: RUF001  # the full-width comma is meant

_EVENTS = "\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
_TIME = r"\d+:\d\d:\d\d\.\d\d"
_EVENT = re.compile(rf"Dialogue: 0,{_TIME},{_TIME},[\w ]+,[^,]*,0,0,0,,(?P<text>.+)")
_KARAOKE = re.compile(r"\{\\k\d+\}")


def render(script: Script) -> str:
    from pysubs2 import SSAFile
    from pysubs2.formats.substation import SubstationFormat

    class LongSubstationFormat(SubstationFormat):
        @staticmethod
        def ms_to_timestamp(requested_ms: int) -> str:
            """pysubs2 ends at ten hours; players do not."""
            return _timestamp(requested_ms // 10)

    subtitles = SSAFile()
    subtitles.info = {
        "Title": script.title,
        "PlayResX": str(_WIDTH),
        "PlayResY": str(_HEIGHT),
        "WrapStyle": "0",
        "ScaledBorderAndShadow": "yes",
    }
    styles = _styles(script)
    subtitles.styles = {name: _style(colour) for name, colour in styles.values()}
    subtitles.events = [_event(script, cue, styles[cue.speaker][0]) for cue in script.cues]
    text = io.StringIO()
    LongSubstationFormat.to_file(subtitles, text, "ass", header_notice="")
    return text.getvalue()


def read_words(text: str) -> list[str]:
    """The words of the events in order, names left out. Raises MalformedExport."""
    _, heading, events = text.partition(_EVENTS)
    *lines, rest = events.split("\n")
    if not heading or rest:
        raise MalformedExport("the file has no events, or its end is missing")
    words: list[str] = []
    for number, line in enumerate(lines, start=1):
        match = _EVENT.fullmatch(line)
        if match is None:
            raise MalformedExport(f"event {number} is not an event")
        shown = _KARAOKE.sub("", match["text"]).replace(r"\N", " ")
        if set(shown) & set("{}\\"):
            raise MalformedExport(f"event {number} holds a character that players act on")
        words += original(shown.rpartition(NAME_END)[2]).split()
    return words


def _styles(script: Script) -> dict[str | None, tuple[str, str]]:
    """Label -> style and colour. Styles are numbered: their names are fields too, and mean something to players."""
    colours = enumerate(speaker_colours(script.names).items(), start=1)
    known: dict[str | None, tuple[str, str]] = {
        label: (f"Speaker {number}", colour) for number, (label, colour) in colours
    }
    return {**known, None: (_UNKNOWN, _UNKNOWN_COLOUR)}


def _style(colour: str) -> "SSAStyle":
    """Words are light grey until they are spoken."""
    from pysubs2 import Alignment, Color, SSAStyle

    return SSAStyle(
        fontname=_FONT,
        fontsize=_FONT_SIZE,
        primarycolor=Color(*bytes.fromhex(colour.removeprefix("#"))),
        secondarycolor=Color(0xDD, 0xDD, 0xDD),
        outline=3.0,
        shadow=0.0,
        alignment=Alignment.BOTTOM_CENTER,
        marginl=60,
        marginr=60,
        marginv=60,
    )


def _event(script: Script, cue: Cue, style: str) -> "SSAEvent":
    from pysubs2 import SSAEvent

    start, end = round(cue.start * 100), max(round(cue.end * 100), round(cue.start * 100) + 1)
    introduction = neutral(f"{cue.introduces}{NAME_END}") if cue.introduces else ""
    return SSAEvent(
        start=start * 10,
        end=end * 10,
        style=style,
        name=neutral(script.name(cue.speaker)).translate(_COMMAS),
        text=introduction + _karaoke(cue, start, end, script.transcript.language),
    )


def _karaoke(cue: Cue, start: int, end: int, language: str) -> str:
    """The cue's lines with the time of every word; all times are hundredths of a second, inside the cue's."""
    parts, reached = [], start
    for word, after in _with_separators(cue, language):
        begins = max(reached, min(round(word.start * 100), end))
        ends = max(begins, min(round(word.end * 100), end))
        silence = rf"{{\k{begins - reached}}}" if begins > reached else ""
        parts.append(rf"{silence}{{\k{ends - begins}}}{neutral(word.text)}{after}")
        reached = ends
    return "".join(parts)


def _with_separators(cue: Cue, language: str) -> Iterator[tuple[CueWord, str]]:
    """Each word and what stands after it: a space, nothing, or SubStation's line break."""
    for number, line in enumerate(cue.words, start=1):
        for word, following in zip(line, [*line[1:], None], strict=True):
            if following:
                yield word, separator(word.text, following.text, language)
            else:
                yield word, r"\N" if number < len(cue.words) else ""


def _timestamp(hundredths: int) -> str:
    minutes, hundredths = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02}:{hundredths // 100:02}.{hundredths % 100:02}"
