"""Transcripts as people would have made them: reference turns, reference words spread evenly over their utterances."""

from collections.abc import Iterable

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import SpeakerTurn, Transcript, TranscriptSpeaker
from transcribe_pipeline.evaluation.references import Reference


def reference_transcript(reference: Reference, seconds: float) -> Transcript:
    """Speakers in order of appearance; their turns, and what they say where that is known (in seconds)."""
    turns = sorted(reference.turns, key=lambda turn: turn.start)
    labels = _labels(turn.speaker for turn in turns)
    voices = _labels(utterance.speaker for utterance in reference.utterances)  # an STM may use other names
    said = []
    for utterance in reference.utterances:
        assert utterance.start is not None
        assert utterance.end is not None
        words = utterance.text.split()
        each = (utterance.end - utterance.start) / len(words)
        said.append((voices[utterance.speaker], timed(words, utterance.start, each, pause=0.0)))
    return transcript_of(said, "en", audio_seconds=seconds).model_copy(
        update={
            "turns": tuple(SpeakerTurn(start=t.start, end=t.end, speaker=labels[t.speaker]) for t in turns),
            "speakers": tuple(TranscriptSpeaker(label=label, seconds=0.0, words=0) for label in labels.values()),
        }
    )


def _labels(names: Iterable[str]) -> dict[str, str]:
    """Name -> label, in order of appearance."""
    return {name: f"SPEAKER_{number:02}" for number, name in enumerate(dict.fromkeys(names))}
