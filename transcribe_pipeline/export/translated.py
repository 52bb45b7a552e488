"""A transcript in English: its translation, in the form of a transcript, so that every format can be written from it.

A translation has times for stretches of speech only, a sentence or a few. Words are spread over their stretch by their
length, which is what subtitles need; whoever needs true word times needs the original.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

from transcribe_pipeline.artifacts import Transcript, TranscriptSegment, TranscriptWord, Translation
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech.assign import paragraphs

WORD_TIMES = "spread over the translated stretch"


def in_english(transcript: Transcript) -> Transcript:
    """The transcript itself if it is English or nobody speaks. Raises BAD_EXPORT if it was not translated.

    Speakers are those who speak most of a stretch; confidences are those of the speech that was translated.
    """
    if transcript.language == "en" or transcript.no_speech:
        return transcript
    if not transcript.translation:
        reason = "this transcript has no English translation; 'transcribe reprocess --option translate=true' makes one"
        raise PipelineError(ErrorCode.BAD_EXPORT, reason)
    segments = _segments(transcript)
    words = Counter(word.speaker for segment in segments for word in segment.words)
    return transcript.model_copy(
        update={
            "language": "en",
            "segments": segments,
            "paragraphs": tuple(paragraphs(segments)),
            "speakers": tuple(s.model_copy(update={"words": words[s.label]}) for s in transcript.speakers),
            "word_times": WORD_TIMES,
            "translation": (),
        }
    )


def _segments(transcript: Transcript) -> tuple[TranscriptSegment, ...]:
    spoken = _Spoken(transcript.segments)
    stretches = [stretch for stretch in transcript.translation if stretch.text.split()]
    return tuple(_segment(position, stretch, spoken) for position, stretch in enumerate(stretches))


def _segment(position: int, stretch: Translation, spoken: "_Spoken") -> TranscriptSegment:
    speaker, confidence = spoken.during(stretch)
    return TranscriptSegment(
        id=position,
        start=stretch.start,
        end=stretch.end,
        speaker=speaker,
        text=" ".join(stretch.text.split()),
        confidence=confidence,
        words=tuple(_words(stretch, speaker, confidence)),
    )


def _words(stretch: Translation, speaker: str | None, confidence: float) -> Iterator[TranscriptWord]:
    texts = stretch.text.split()
    ends = list(accumulate(len(text) for text in texts))
    seconds = max(stretch.end - stretch.start, 0.0) / ends[-1]
    for text, end in zip(texts, ends, strict=True):
        yield TranscriptWord(
            text=text,
            start=round(stretch.start + (end - len(text)) * seconds, 3),
            end=round(stretch.start + end * seconds, 3),
            probability=confidence,
            speaker=speaker,
        )


class _Spoken:
    """The segments of the original, ready to be asked who speaks when."""

    def __init__(self, segments: Sequence[TranscriptSegment]) -> None:
        self._segments = segments
        self._starts = [segment.start for segment in segments]
        self._reached = list(accumulate((segment.end for segment in segments), max))

    def during(self, stretch: Translation) -> tuple[str | None, float]:
        """Who speaks most of a stretch, and how confident the recogniser was: (None, 0) where nobody does."""
        first = bisect_right(self._reached, stretch.start)
        stop = bisect_left(self._starts, stretch.end)
        seconds: Counter[str | None] = Counter()
        certain = 0.0
        for segment in self._segments[first:stop]:
            overlap = max(min(segment.end, stretch.end) - max(segment.start, stretch.start), 0.0)
            seconds[segment.speaker] += overlap  # type: ignore[assignment]  # Counter adds floats as well
            certain += overlap * segment.confidence
        total = sum(seconds.values())
        if not total:
            return None, 0.0
        return seconds.most_common(1)[0][0], min(round(certain / total, 4), 1.0)
