"""Podcast transcript (.json): for podcast players, by the tag <podcast:transcript type="application/json">.

Version 1.0.0 of https://github.com/Podcastindex-org/podcast-namespace/blob/main/transcripts/transcripts.md. A segment
is a subtitle (`cues`), since players show one at a time: that keeps them short, and 'words per cue' counts. Text is
raw, as in all JSON.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from transcribe_pipeline.artifacts import Seconds
from transcribe_pipeline.export.cues import Cue
from transcribe_pipeline.export.script import MalformedExport, Script
from transcribe_pipeline.text.words import join_words


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SegmentPart(_Part):
    speaker: str | None = None
    startTime: Seconds
    endTime: Seconds
    body: str


class PodcastDocument(_Part):
    version: Literal["1.0.0"] = "1.0.0"
    segments: list[SegmentPart]


def render(script: Script) -> str:
    document = PodcastDocument(segments=[_segment(script, cue) for cue in script.cues])
    return document.model_dump_json(exclude_none=True, indent=1) + "\n"


def read_words(text: str) -> list[str]:
    """The words of such a file in order. Raises MalformedExport."""
    try:
        document = PodcastDocument.model_validate_json(text)
    except ValidationError as error:
        raise MalformedExport(f"{error.error_count()} values are not as the podcast namespace wants them") from None
    return " ".join(segment.body for segment in document.segments).split()


def _segment(script: Script, cue: Cue) -> SegmentPart:
    words = (word.text for line in cue.words for word in line)
    return SegmentPart(
        speaker=script.name(cue.speaker) or None,
        startTime=cue.start,
        endTime=cue.end,
        body=join_words(words, script.transcript.language),
    )
