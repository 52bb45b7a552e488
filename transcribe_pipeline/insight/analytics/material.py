"""What the figures are computed from, taken out of a transcript once: who talks when, and who says what when.

What belongs here: reading a transcript. What does not: any figure.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.insight.analytics.counting import tokens, unit_of
from transcribe_pipeline.speech.spans import Span, union


def talk_of(transcript: Transcript) -> dict[str | None, tuple[Span, ...]]:
    """Speaker -> where they talk: disjoint, in order, inside the recording. None: those nobody knows.

    By their diarization turns, and for who has none by their segments.
    """
    spans: dict[str | None, list[Span]] = {speaker.label: [] for speaker in transcript.speakers}
    for turn in transcript.turns:
        spans.setdefault(turn.speaker, []).append((turn.start, turn.end))
    diarized = {speaker for speaker, own in spans.items() if own}
    for segment in transcript.segments:
        if segment.speaker not in diarized:
            spans.setdefault(segment.speaker, []).append((segment.start, segment.end))
    return {speaker: _inside(own, transcript.audio_seconds) for speaker, own in spans.items()}


def _inside(spans: Iterable[Span], seconds: float) -> tuple[Span, ...]:
    clipped = ((max(start, 0.0), min(end, seconds)) for start, end in spans)
    return union((start, end) for start, end in clipped if end > start)


def length(spans: Iterable[Span]) -> float:
    return sum(end - start for start, end in spans)


@dataclass(frozen=True)
class Said:
    """What one speaker, or everybody, says, in order of the transcript."""

    tokens: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """Of each token: the middle of its word."""

    def between(self, start: float, end: float) -> list[str]:
        """Tokens of that time. Only for one speaker, whose words do not overlap."""
        return self.tokens[bisect_left(self.times, start) : bisect_right(self.times, end)]


def said_in(transcript: Transcript) -> tuple[Said, dict[str | None, Said]]:
    """By everybody, and by each speaker."""
    unit = unit_of(transcript.language)
    everybody, each = Said(), dict[str | None, Said]()
    for segment in transcript.segments:
        own = each.setdefault(segment.speaker, Said())
        for word in segment.words:
            for token in tokens(word.text, unit):
                for said in (everybody, own):
                    said.tokens.append(token)
                    said.times.append((word.start + word.end) / 2)
    return everybody, each
