"""Error rates against reference transcripts, by the field's own libraries."""

from pathlib import Path
from typing import Any

from transcribe_pipeline.artifacts import Transcript


def wer(reference: str, hypothesis: str) -> float:
    """Word error rate of English text under Whisper's normalisation (as leaderboards do)."""
    import jiwer
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise = EnglishTextNormalizer()
    return float(jiwer.wer(normalise(reference), normalise(hypothesis)))


def der(reference: Any, hypothesis: Any) -> float:
    """Diarization error rate, no collar, overlapping speech scored."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    return float(DiarizationErrorRate(collar=0.0, skip_overlap=False)(reference, hypothesis))


def cpwer(stm: Path, transcript: Transcript) -> float:
    """Concatenated minimum-permutation WER: words must be right and with the right speaker."""
    import meeteval
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise = EnglishTextNormalizer()
    reference: dict[str, str] = {}
    for line in stm.read_text().splitlines():
        if line.strip() and not line.startswith(";"):
            _, _, speaker, _, _, text = line.split(maxsplit=5)
            reference[speaker] = f"{reference.get(speaker, '')} {text}"
    hypothesis: dict[str, str] = {}
    for word in transcript.words:
        hypothesis[word.speaker or "?"] = f"{hypothesis.get(word.speaker or '?', '')} {word.text}"
    return float(
        meeteval.wer.cp_word_error_rate(
            {speaker: normalise(text) for speaker, text in reference.items()},
            {speaker: normalise(text) for speaker, text in hypothesis.items()},
        ).error_rate
    )


def rttm(path: Path) -> Any:
    """pyannote Annotation of a one-recording RTTM file."""
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for track, line in enumerate(path.read_text().splitlines()):
        _, _, _, start, seconds, _, _, speaker, *_ = line.split()
        annotation[Segment(float(start), float(start) + float(seconds)), track] = speaker
    return annotation


def turns_of(transcript: Transcript) -> Any:
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for track, turn in enumerate(transcript.turns):
        annotation[Segment(turn.start, turn.end), track] = turn.speaker
    return annotation
