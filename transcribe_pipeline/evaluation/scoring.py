"""How far a transcript is from what people know about its recording, by the field's own libraries.

Everything is kept as a count of errors out of a count of chances, so that recordings are pooled by adding up: words
and seconds count, not files. What belongs here: scores and their pooling. What does not: reading references, tables.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.evaluation.references import Reference, Span, TimedWord, Turn, Utterance
from transcribe_pipeline.text.words import is_unspaced, join_words

if TYPE_CHECKING:
    from pyannote.core import Annotation

_LIBRARIES = {
    "jiwer": "jiwer",
    "meeteval": "meeteval",
    "pyannote.metrics": "pyannote.metrics",
    "whisper_normalizer": "whisper-normalizer",
}


def require_libraries() -> None:
    """:raises PipelineError: ENGINE_MISSING, naming the packages that scoring needs and how to get them."""
    missing = [package for module, package in _LIBRARIES.items() if not _is_installed(module)]
    if missing:
        raise PipelineError(
            ErrorCode.ENGINE_MISSING,
            f"scoring needs {', '.join(missing)}: pip install 'transcribe-pipeline[evaluation]'",
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the parent package
        return False


# --- what is compared -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeardWord:
    text: str
    start: float
    end: float
    speaker: str | None = None


@dataclass(frozen=True)
class Heard:
    """What a system made of a recording: all that is scored. Nothing at all stands for a failure."""

    language: str | None = None
    words: tuple[HeardWord, ...] = ()
    turns: tuple[Turn, ...] = ()

    @classmethod
    def of(cls, transcript: Transcript) -> "Heard":
        return cls(
            transcript.language,
            tuple(HeardWord(word.text, word.start, word.end, word.speaker) for word in transcript.words),
            tuple(Turn(turn.start, turn.end, turn.speaker) for turn in transcript.turns),
        )

    @property
    def speakers(self) -> int:
        return len({turn.speaker for turn in self.turns})


# --- scores ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rate:
    """Errors out of chances: words, characters, seconds or recordings."""

    errors: float
    total: float

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.errors + other.errors, self.total + other.total)

    @property
    def value(self) -> float | None:
        """None where there was nothing to get wrong."""
        return self.errors / self.total if self.total else None


@dataclass(frozen=True)
class Score:
    """One recording's; None where the reference does not tell."""

    wer: Rate | None = None
    """Word error rate; None for languages written without spaces."""
    cer: Rate | None = None
    """Character error rate, spaces left out."""
    cpwer: Rate | None = None
    """Concatenated minimum-permutation WER: words must be right, and with the right speaker. Characters instead of
    words for languages written without spaces."""
    der: Rate | None = None
    """Diarization error rate in seconds: no collar, overlapping speech scored."""
    speakers: Rate | None = None
    """1 of 1 if the number of speakers is wrong."""
    language: Rate | None = None
    """1 of 1 if the language is wrong."""
    start_errors: tuple[float, ...] = field(default=(), repr=False)
    """Seconds by which the starts of correctly recognised words are off."""
    stray_words: Rate | None = None
    """Words whose middle lies where nobody speaks, out of all words."""


def score(reference: Reference, heard: Heard) -> Score:
    """Text is compared under Whisper's normalisation: words spelled as leaderboards do in English, without case and
    punctuation in all other languages. In English a typographic apostrophe (U+2019) splits a word in two there,
    so references had better use straight ones.
    """
    language = reference.language or heard.language or "und"
    text = join_words((word.text for word in heard.words), language)
    has_spaces = not is_unspaced(language)
    return Score(
        wer=wer(reference.text, text, language) if reference.text and has_spaces else None,
        cer=cer(reference.text, text, language) if reference.text else None,
        cpwer=cpwer(reference.utterances, heard.words, language) if len(reference.voices) > 1 else None,
        der=der(reference.turns, heard.turns, reference.scored) if reference.turns else None,
        speakers=_wrong(heard.speakers != reference.speakers) if reference.speakers else None,
        language=_wrong(heard.language != reference.language) if reference.language and reference.has_speech else None,
        start_errors=start_errors(reference.words, heard.words, language),
        stray_words=stray_words(reference.speech, heard.words) if reference.speech is not None else None,
    )


def pooled(rates: Iterable[Rate | None]) -> Rate | None:
    """All errors out of all chances; None if there is nothing to pool."""
    known = [rate for rate in rates if rate is not None]
    return sum(known[1:], known[0]) if known else None


def _wrong(is_wrong: bool) -> Rate:
    return Rate(float(is_wrong), 1.0)


def stray_words(speech: Sequence[Span], words: Sequence[HeardWord]) -> Rate:
    middles = [(word.start + word.end) / 2 for word in words]
    strays = [middle for middle in middles if not any(start <= middle <= end for start, end in speech)]
    return Rate(float(len(strays)), float(len(middles)))


# --- text -----------------------------------------------------------------------------------------------------------


@cache
def _normaliser(is_english: bool) -> Any:
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    # Marks are vowels in the scripts of India and Thailand, which Whisper's own normaliser drops.
    return EnglishTextNormalizer() if is_english else BasicTextNormalizer(preserve_marks=True)


def _normalised(text: str, language: str) -> str:
    return str(_normaliser(language == "en")(text)).strip()


def _spelled(text: str) -> str:
    """Characters as words, spaces left out: what a character error rate counts."""
    return " ".join(text.replace(" ", ""))


def wer(expected: str, actual: str, language: str) -> Rate:
    """Substitutions, deletions and insertions out of the expected words."""
    return _errors(_normalised(expected, language), _normalised(actual, language))


def cer(expected: str, actual: str, language: str) -> Rate:
    """The same for characters, spaces left out."""
    return _errors(_spelled(_normalised(expected, language)), _spelled(_normalised(actual, language)))


def _errors(expected: str, actual: str) -> Rate:
    import jiwer

    words = len(expected.split())
    if not words:
        return Rate(float(len(actual.split())), 0.0)
    found = jiwer.process_words(expected, actual)
    return Rate(float(found.substitutions + found.deletions + found.insertions), float(words))


def cpwer(said: Sequence[Utterance], heard: Sequence[HeardWord], language: str) -> Rate:
    import meeteval

    def by_speaker(parts: Iterable[tuple[str, str]]) -> dict[str, str]:
        texts: dict[str, list[str]] = {}
        for speaker, text in parts:
            texts.setdefault(speaker, []).append(text)
        normalised = {speaker: _normalised(join_words(texts[speaker], language), language) for speaker in texts}
        return {speaker: _spelled(text) if is_unspaced(language) else text for speaker, text in normalised.items()}

    found = meeteval.wer.cp_word_error_rate(
        by_speaker((utterance.speaker, utterance.text) for utterance in said),
        by_speaker((word.speaker or "nobody", word.text) for word in heard),
        reference_sort=False,  # both are in order of time already
        hypothesis_sort=False,
    )
    return Rate(float(found.errors), float(found.length))


# --- times and speakers ---------------------------------------------------------------------------------------------

_Token = tuple[str, float | None]
"""A normalised word (or character) and when it starts; None inside what was one word before normalisation."""


def _tokens(words: Iterable[tuple[str, float]], language: str) -> list[_Token]:
    tokens: list[_Token] = []
    for text, start in words:
        normalised = _normalised(text, language)
        parts = (_spelled(normalised) if is_unspaced(language) else normalised).split()
        tokens += [(part, start if position == 0 else None) for position, part in enumerate(parts)]
    return tokens


def start_errors(said: Sequence[TimedWord], heard: Sequence[HeardWord], language: str) -> tuple[float, ...]:
    """For every word that both have, in the alignment with the fewest errors. Seconds."""
    import jiwer

    expected = _tokens(((word.text, word.start) for word in said), language)
    actual = _tokens(((word.text, word.start) for word in heard), language)
    if not expected or not actual:
        return ()
    aligned = jiwer.process_words(" ".join(t for t, _ in expected), " ".join(t for t, _ in actual)).alignments[0]
    pairs = (
        (expected[chunk.ref_start_idx + i][1], actual[chunk.hyp_start_idx + i][1])
        for chunk in aligned
        if chunk.type == "equal"
        for i in range(chunk.ref_end_idx - chunk.ref_start_idx)
    )
    return tuple(abs(there - here) for there, here in pairs if there is not None and here is not None)


def der(expected: Sequence[Turn], actual: Sequence[Turn], scored: Sequence[Span] = ()) -> Rate:
    """Missed, invented and confused seconds out of the expected ones; `scored` empty: everywhere."""
    from pyannote.core import Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    end = max((turn.end for turn in (*expected, *actual)), default=0.0)
    region = Timeline([Segment(*span) for span in scored or [(0.0, end)]])
    metric = DiarizationErrorRate(collar=0.0, skip_overlap=False)
    found = metric(_annotation(expected), _annotation(actual), uem=region, detailed=True)
    errors = found["confusion"] + found["missed detection"] + found["false alarm"]
    return Rate(float(errors), float(found["total"]))


def _annotation(turns: Iterable[Turn]) -> "Annotation":
    from pyannote.core import Annotation, Segment

    annotation = Annotation()
    for track, turn in enumerate(turns):
        annotation[Segment(turn.start, turn.end), track] = turn.speaker
    return annotation
