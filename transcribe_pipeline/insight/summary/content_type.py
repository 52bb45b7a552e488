"""What kind of recording this is, by simple evidence: who speaks how much, and who asks."""

import re
from collections import Counter
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insights import ContentType

_TAKES_PART: Final = 0.05
"""Share of talk from which somebody takes part, and does not just say hello."""
_SPEAKS_ALONE: Final = 0.9
_LECTURE_SECONDS: Final = 600
"""Somebody who speaks nearly alone, to people who are heard, for longer than this, lectures."""
_LEAST_QUESTIONS: Final = 4
_ASKS: Final = 0.75
"""Share of the questions that an interviewer asks."""
_QUESTION_MARKS: Final = ("?", "？", "؟")  # noqa: RUF001

# Said at the beginning; in English only.
_OPENINGS: Final[tuple[tuple[re.Pattern[str], ContentType], ...]] = (
    (re.compile(r"\b(?:podcast|(?:this|today's|another) episode|welcome (?:back )?to the show)\b", re.I), "podcast"),
    (re.compile(r"\b(?:today's|this|last|first|next) (?:lecture|class|lesson)\b", re.I), "lecture"),
    (
        re.compile(r"\b(?:weekly|monthly|daily|team|board|kick-?off|this|today's) (?:meeting|stand-?up)\b", re.I),
        "meeting",
    ),
    (re.compile(r"\b(?:thank you for calling|how (?:can|may) I help you)\b", re.I), "call"),
)
_OPENING_SEGMENTS: Final = 15


def content_type(transcript: Transcript) -> ContentType:
    """A guess; 'other' where nothing tells."""
    if not transcript.segments:
        return "other"
    return _by_opening(transcript) or _by_speakers(transcript)


def talk_shares(transcript: Transcript) -> dict[str, float]:
    """Label -> share of all talk time, by diarization turns; by words where there are none."""
    seconds = {speaker.label: speaker.seconds for speaker in transcript.speakers}
    if not sum(seconds.values()):
        words = Counter(segment.speaker for segment in transcript.segments for _ in segment.words if segment.speaker)
        seconds = {speaker.label: float(words[speaker.label]) for speaker in transcript.speakers}
    total = sum(seconds.values())
    return {label: each / total if total else 0.0 for label, each in seconds.items()}


def interviewer(transcript: Transcript) -> str | None:
    """Of two speakers the one who asks nearly all questions, and talks less."""
    shares = {label: share for label, share in talk_shares(transcript).items() if share >= _TAKES_PART}
    asked = Counter(
        segment.speaker for segment in transcript.segments if segment.text.rstrip().endswith(_QUESTION_MARKS)
    )
    if len(shares) != 2 or asked.total() < _LEAST_QUESTIONS:
        return None
    quieter = min(shares, key=lambda label: shares[label])
    return quieter if asked[quieter] >= _ASKS * asked.total() else None


def _by_opening(transcript: Transcript) -> ContentType | None:
    if transcript.language != "en":
        return None
    opening = " ".join(segment.text for segment in transcript.segments[:_OPENING_SEGMENTS])
    return next((kind for pattern, kind in _OPENINGS if pattern.search(opening)), None)


def _by_speakers(transcript: Transcript) -> ContentType:
    shares = talk_shares(transcript)
    taking_part = [share for share in shares.values() if share >= _TAKES_PART]
    if not taking_part:
        return "other"
    if max(taking_part) >= _SPEAKS_ALONE:
        has_audience = len(shares) > 1 and transcript.audio_seconds >= _LECTURE_SECONDS
        return "lecture" if has_audience else "monologue"
    if len(taking_part) > 2:
        return "meeting"
    return "interview" if interviewer(transcript) else "call"
