"""Chapters of a recording, as players and video sites have them: (start in seconds, title) in order.

What belongs here: writing given chapters. What does not: finding them. Titles are on one line (`script.clean`).
"""

import html
import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.script import clean, milliseconds, short_clock, timestamp

Chapter = tuple[float, str]

_YOUTUBE_LEAST = 3
_YOUTUBE_SECONDS = 10
_YOUTUBE_RULES = "YouTube wants at least three chapters, the first at 0:00, each at least ten seconds long"

_NO_BRACKETS = str.maketrans("<>", "‹›")  # noqa: RUF001  # quotation marks are meant
"""YouTube refuses descriptions with angle brackets."""


def ffmetadata(chapters: Sequence[Chapter], seconds: float) -> str:
    """FFMETADATA1, which ffmpeg puts into a file (`ffmpeg -i in.mp3 -i chapters.txt -map_metadata 1 out.mp3`).

    https://ffmpeg.org/ffmpeg-formats.html#Metadata-2: times in milliseconds; '=', ';', '#' and backslashes escaped.
    Raises BAD_EXPORT unless chapters come in order, inside the recording's `seconds`.
    """
    written = (
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={milliseconds(start)}\nEND={milliseconds(end)}\ntitle={_escaped(title)}\n"
        for start, end, title in _spans(chapters, seconds)
    )
    return "".join([";FFMETADATA1\n", *written])


def youtube(chapters: Sequence[Chapter], seconds: float) -> str:
    """Lines for a video's description: '1:02:03 Title' (https://support.google.com/youtube/answer/9884579).

    Raises BAD_EXPORT where YouTube would show no chapters, saying why.
    """
    # As they are shown, in whole seconds: that is what YouTube's rules are applied to.
    starts = [start // 1000 for start in _starts(chapters, seconds)]
    shortest = min((end - start for start, end in pairwise([*starts, int(seconds)])), default=0)
    if len(starts) < _YOUTUBE_LEAST or starts[0] > 0 or shortest < _YOUTUBE_SECONDS:
        raise PipelineError(ErrorCode.BAD_EXPORT, _YOUTUBE_RULES)
    titles = (clean(title).translate(_NO_BRACKETS) for _, title in chapters)
    return "".join(f"{short_clock(start)} {title}\n" for start, title in zip(starts, titles, strict=True))


def webvtt(chapters: Sequence[Chapter], seconds: float) -> str:
    """A track of kind 'chapters' for HTML players (https://www.w3.org/TR/webvtt1/#introduction-chapters).

    Raises BAD_EXPORT unless chapters come in order, inside the recording's `seconds`.
    """
    cues = (
        f"{number}\n{timestamp(start, '.')} --> {timestamp(end, '.')}\n{html.escape(title, quote=False)}\n"
        for number, (start, end, title) in enumerate(_spans(chapters, seconds), start=1)
    )
    return "\n".join(["WEBVTT\n", *cues])


def podcast(chapters: Sequence[Chapter], seconds: float) -> str:
    """JSON for <podcast:chapters type="application/json+chapters">, version 1.2.0 of
    https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/examples/chapters/jsonChapters.md.

    Raises BAD_EXPORT unless chapters come in order, inside the recording's `seconds`.
    """
    listed = [{"startTime": start, "endTime": end, "title": title} for start, end, title in _spans(chapters, seconds)]
    return json.dumps({"version": "1.2.0", "chapters": listed}, ensure_ascii=False, indent=1) + "\n"


def _spans(chapters: Sequence[Chapter], seconds: float) -> Iterator[tuple[float, float, str]]:
    """Start, end and cleaned title of each; seconds, to the millisecond."""
    spans = pairwise([*_starts(chapters, seconds), milliseconds(seconds)])
    for (start, end), (_, title) in zip(spans, chapters, strict=True):
        yield start / 1000, end / 1000, clean(title)


def _starts(chapters: Sequence[Chapter], seconds: float) -> list[int]:
    """Milliseconds."""
    starts = [milliseconds(start) for start, _ in chapters]
    if any(left >= right for left, right in pairwise([-1, *starts, milliseconds(seconds)])):
        raise PipelineError(ErrorCode.BAD_EXPORT, "chapters must follow each other inside the recording")
    return starts


def _escaped(title: str) -> str:
    return re.sub(r"[=;#\\]", r"\\\g<0>", title)
