"""JSON as WhisperX writes it (.json): for tools that read its output, and for its own writers;
https://github.com/m-bain/whisperX (`AlignedTranscriptionResult` in whisperx/schema.py).

Times in seconds. A speaker is a name here, numbered where two have the same; missing where unknown. Without names it is
WhisperX's own label (SPEAKER_00). The models below say what is in it.
"""

from pydantic import BaseModel, ConfigDict, ValidationError

from transcribe_pipeline.artifacts import Probability, Seconds, TranscriptSegment
from transcribe_pipeline.export.script import MalformedExport, Script


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WordPart(_Part):
    word: str
    start: Seconds
    end: Seconds
    score: Probability
    speaker: str | None = None


class SegmentPart(_Part):
    start: Seconds
    end: Seconds
    text: str
    words: list[WordPart]
    speaker: str | None = None


class WhisperXDocument(_Part):
    segments: list[SegmentPart]
    word_segments: list[WordPart]
    """The words of all segments once more."""
    language: str


def render(script: Script) -> str:
    segments = [_segment(script, segment) for segment in script.transcript.segments]
    document = WhisperXDocument(
        segments=segments,
        word_segments=[word for segment in segments for word in segment.words],
        language=script.transcript.language,
    )
    return document.model_dump_json(exclude_none=True) + "\n"


def read_words(text: str) -> list[str]:
    """The words of such a file in order. Raises MalformedExport, also if it contradicts itself."""
    try:
        document = WhisperXDocument.model_validate_json(text)
    except ValidationError as error:
        raise MalformedExport(f"{error.error_count()} values are not as WhisperX writes them") from None
    words: list[str] = []
    for number, segment in enumerate(document.segments, start=1):
        segment_words = " ".join(word.word for word in segment.words).split()
        if "".join(segment_words) != "".join(segment.text.split()):
            raise MalformedExport(f"the text of segment {number} is not its words")
        words += segment_words
    if " ".join(word.word for word in document.word_segments).split() != words:
        raise MalformedExport("the words of the segments are not those of the file")
    return words


def _segment(script: Script, segment: TranscriptSegment) -> SegmentPart:
    speaker = script.distinct_names[segment.speaker] if segment.speaker else None
    return SegmentPart(
        start=round(segment.start, 3),
        end=round(segment.end, 3),
        text=script.text([segment]),
        words=[
            WordPart(
                word=word.text,
                start=round(word.start, 3),
                end=round(word.end, 3),
                score=round(word.probability, 3),
                speaker=speaker,
            )
            for word in segment.words
        ],
        speaker=speaker,
    )
