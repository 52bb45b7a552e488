"""JSON (.json): everything a program wants to know about a transcript. The models below are its documentation;
`json_schema()` gives them as JSON Schema.

Text is raw (nothing is escaped beyond JSON itself): whoever puts it into HTML or a spreadsheet escapes it for that.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from transcribe_pipeline.artifacts import Probability, Seconds, TranscriptSegment
from transcribe_pipeline.export.script import MalformedExport, Script


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MediaPart(_Part):
    file_name: str = Field(description="Name of the recording as uploaded.")
    duration: Seconds = Field(description="Seconds.")
    language: str = Field(description="ISO 639-1; 'und' if there was no speech to tell it from.")
    language_probability: Probability


class SpeakerPart(_Part):
    label: str = Field(description="Stable within this transcript: SPEAKER_00, SPEAKER_01, ... in order of appearance.")
    name: str = Field(description="As people named the speaker; the label until somebody does.")
    seconds: Seconds = Field(description="Talk time.")
    words: int


class WordPart(_Part):
    text: str = Field(description="As written, punctuation attached.")
    start: Seconds = Field(description="Seconds from the start of the recording.")
    end: Seconds
    probability: Probability = Field(description="The recogniser's confidence.")


class SegmentPart(_Part):
    id: int = Field(description="Position, from 0.")
    start: Seconds = Field(description="Seconds from the start of the recording.")
    end: Seconds
    speaker: str | None = Field(description="Label; null if unknown.")
    text: str = Field(description="The words as running text.")
    confidence: Probability = Field(description="Mean word probability.")
    words: list[WordPart]


class TranscriptDocument(_Part):
    """A transcript: segments (sentences, one speaker each) of timed words. Times in seconds, to the millisecond."""

    version: Literal[1] = Field(1, description="Raised when a reader of the old form could fail on the new one.")
    media: MediaPart
    no_speech: bool = Field(description="True if nobody speaks in the recording.")
    recogniser: str = Field(description="Engine and model that heard the words.")
    diarizer: str = Field(description="Engine and model that told speakers apart.")
    word_times: str = Field(description="Where word times come from: 'recogniser', or the aligner's name.")
    speakers: list[SpeakerPart]
    segments: list[SegmentPart]


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the exported file."""
    return TranscriptDocument.model_json_schema(mode="serialization")


def render(script: Script) -> str:
    transcript = script.transcript
    document = TranscriptDocument(
        media=MediaPart(
            file_name=script.file_name,
            duration=round(transcript.audio_seconds, 3),
            language=transcript.language,
            language_probability=round(transcript.language_probability, 4),
        ),
        no_speech=transcript.no_speech,
        recogniser=transcript.recogniser,
        diarizer=transcript.diarizer,
        word_times=transcript.word_times,
        speakers=[
            SpeakerPart(
                label=speaker.label,
                name=script.names[speaker.label],
                seconds=round(speaker.seconds, 3),
                words=speaker.words,
            )
            for speaker in transcript.speakers
        ],
        segments=[_segment(script, segment) for segment in transcript.segments],
    )
    return document.model_dump_json(indent=1) + "\n"


def read_words(text: str) -> list[str]:
    """The words of such a file in order. Raises MalformedExport, also if a segment's text is not its words."""
    try:
        document = TranscriptDocument.model_validate_json(text)
    except ValidationError as error:
        raise MalformedExport(f"{error.error_count()} values are not as the schema says") from None
    words: list[str] = []
    for segment in document.segments:
        segment_words = " ".join(word.text for word in segment.words).split()
        if "".join(segment_words) != "".join(segment.text.split()):
            raise MalformedExport(f"the text of segment {segment.id} is not its words")
        words += segment_words
    return words


def _segment(script: Script, segment: TranscriptSegment) -> SegmentPart:
    return SegmentPart(
        id=segment.id,
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        speaker=segment.speaker,
        text=script.text([segment]),
        confidence=round(segment.confidence, 4),
        words=[
            WordPart(
                text=word.text,
                start=round(word.start, 3),
                end=round(word.end, 3),
                probability=round(word.probability, 4),
            )
            for word in segment.words
        ],
    )
