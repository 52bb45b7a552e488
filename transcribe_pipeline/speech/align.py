"""Forced alignment: which aligner, what it hears, and what of its answer is believed.

What belongs here: choosing an engine, feeding it a recording of any length in bounded memory, and the promises about
its answer. What does not: how words are found in sound (`aligners/`), who speaks, what is written.

Promised of every alignment, whatever the engine says: the words are those given, none lost, added or reordered; per
channel their starts never run backwards; no word ends before it starts, or lies outside the audio or its segment.

Distance of word starts from reference, median and 95th percentile in seconds, with Whisper base int8:

    recording (reference)                        recogniser      pocketsphinx
    lang_leopard, English (another engine)       0.07   0.26     0.05   0.10
    syn_en_lj_long (where clips were joined)     0.16   0.66     0.01   0.08
    syn_multi_7spk_text (the same)               0.20   0.42     0.04   0.49
    multi_pyannote_sample (people, telephone)    0.14   0.31     0.12   0.25
    lang_leopard, 7 other languages, 61 words    0.16   0.41     -

The 0.49 are two clips that begin with silence. (en_librivox_sense: 0.06, 0.26; 0.00, 0.00, but its times are
pocketsphinx's own.) Where a recogniser gives no word times and they are spread over the segment: 0.38 and 1.53, with
pocketsphinx 0.01 and 0.26.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from transcribe_pipeline.artifacts import Alignment, RecognisedSegment, RecognisedWord
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import read_window
from transcribe_pipeline.speech.aligner import Aligner, Utterance
from transcribe_pipeline.speech.aligners import pocketsphinx, whisperx
from transcribe_pipeline.speech.spans import Span

Progress = Callable[[float], None]
"""Called with the fraction done, 0..1."""

_WINDOW_SECONDS = 120.0
"""Audio that is in memory at a time, give or take an utterance."""
_UTTERANCE_SECONDS = 30.0
"""Segments are joined up to this; pocketsphinx and wav2vec2 take memory by the length (squared, the latter)."""
_PAUSE_SECONDS = 0.5
"""Segments less apart are heard as one: the recogniser's border between them is not to be trusted."""
_MARGIN_SECONDS = 0.3
"""How much earlier and later than the recogniser says an utterance may begin and end."""
_LONGEST_UTTERANCE_SECONDS = 90.0
"""Nobody's words take longer: a segment that claims so keeps its times."""
_DISPLACEMENT_SECONDS = 0.4
"""A word that the aligner both begins and ends further than this from the recogniser's times is not believed.

What misleads an aligner is speech that the recogniser left out: the words around it are smeared over it. The ends of a
word that begins after a pause agree even where its starts do not. With pocketsphinx over 9 minutes of Whisper base, one
word in 1,200 is moved further; with four words left out of each segment, 13 % of the words land more than 0.5 s off,
1.2 % when those that this disbelieves lie between the others.
"""


def choose(
    aligner: str, language: str, *, alignment_model: str = "", device: str = "cpu"
) -> tuple[Aligner | None, str]:
    """The aligner for a language, loaded, and why it; None and why not, where the recogniser's times are to be kept.

    `aligner` is an option: 'auto', 'whisperx', 'pocketsphinx' or 'none'. `auto` never downloads; 'whisperx' may.
    Raises ENGINE_MISSING if the engine that was asked for is not installed: a missing model or language costs
    precision, but a missing package is a mistake that somebody can mend.
    """
    if aligner == "none":
        return None, "alignment is switched off"
    if aligner == "whisperx":
        return _whisperx(language, alignment_model, device)
    if aligner == "pocketsphinx":
        return _pocketsphinx(language)
    return _best_at_hand(language, alignment_model, device)


def _whisperx(language: str, model: str, device: str) -> tuple[Aligner | None, str]:
    if not whisperx.is_installed():
        raise PipelineError(ErrorCode.ENGINE_MISSING, "aligner whisperx")
    if not model and not whisperx.default_model(language):
        return None, f"whisperx knows no alignment model for language '{language}'"
    try:
        return whisperx.load(language, model, device, local_only=False), "chosen"
    except PipelineError as error:
        if error.code is not ErrorCode.MODEL_UNAVAILABLE:
            raise
        return None, error.sentence


def _pocketsphinx(language: str) -> tuple[Aligner | None, str]:
    if language not in pocketsphinx.LANGUAGES:
        return None, f"pocketsphinx knows English only, not '{language}'"
    return pocketsphinx.load(), "chosen"


def _best_at_hand(language: str, model: str, device: str) -> tuple[Aligner | None, str]:
    if local := whisperx.local_model(language, model):
        try:
            return whisperx.load(language, local, device, local_only=True), f"the best at hand for '{language}'"
        except PipelineError:
            pass  # a damaged cache: go on as if it were not there
    if language in pocketsphinx.LANGUAGES and importlib.util.find_spec("pocketsphinx"):
        return pocketsphinx.load(), f"the best at hand for '{language}'"
    return None, f"no alignment model for '{language}' is on this machine"


# --- alignment ------------------------------------------------------------------------------------------------------


def align(
    segments: Sequence[RecognisedSegment],
    aligner: Aligner | None,
    reason: str,
    *,
    audio_of: Callable[[str | None], Path],
    audio_seconds: float,
    on_progress: Progress = lambda _: None,
) -> Alignment:
    """The segments with the best times that the aligner gives; with their own times without one.

    `audio_of` gives the 16 kHz mono FLAC of a segment's channel (None: the mix).
    """
    finished: dict[int, RecognisedSegment] = {}
    aligned_words = 0
    for channel in dict.fromkeys(segment.channel for segment in segments):
        positions = [n for n, segment in enumerate(segments) if segment.channel == channel]
        own = [segments[n] for n in positions]
        placed: dict[int, list[Span | None]] = {}
        if aligner:
            for n, spans in _placed(own, aligner, audio_of(channel), audio_seconds):
                placed[n] = spans
                on_progress((len(finished) + n + 1) / len(segments))
        aligned_words += sum(span is not None for spans in placed.values() for span in spans)
        believed = [
            _retimed(segment, placed[n], audio_seconds) if n in placed else segment for n, segment in enumerate(own)
        ]
        finished |= dict(zip(positions, _in_order(believed, audio_seconds), strict=True))
    believes = aligner is not None and aligned_words > 0
    return Alignment(
        aligner=aligner.name if aligner and believes else "recogniser",
        reason=reason if believes or not aligner or not segments else f"{aligner.name} lost its place everywhere",
        segments=tuple(finished[n] for n in range(len(segments))),
        aligned_words=aligned_words,
    )


@dataclass(frozen=True)
class _Stretch:
    """Neighbouring segments, heard as one utterance."""

    start: float
    end: float
    positions: tuple[int, ...]


def _placed(
    segments: Sequence[RecognisedSegment], aligner: Aligner, audio: Path, audio_seconds: float
) -> Iterator[tuple[int, list[Span | None]]]:
    """(position of a segment, spans of its words in the media) where most of the aligner's answer is believed."""
    for window in _windows(_stretches(segments, audio_seconds)):
        offset = window[0].start
        samples = read_window(audio, offset, max(stretch.end for stretch in window) - offset)
        utterances = [
            Utterance(
                start=stretch.start - offset,
                end=stretch.end - offset,
                words=tuple(word.text for n in stretch.positions for word in segments[n].words),
            )
            for stretch in window
        ]
        for stretch, utterance, answer in zip(window, utterances, aligner.align(samples, utterances), strict=False):
            if len(answer) != len(utterance.words):
                continue
            spans = iter(_believable(answer, utterance, offset))
            for n in stretch.positions:
                own = [next(spans) for _ in segments[n].words]
                if not segments[n].times_are_estimates:
                    own = [_near(word, span) for word, span in zip(segments[n].words, own, strict=True)]
                if 2 * sum(span is not None for span in own) > len(own):
                    yield n, own


def _stretches(segments: Sequence[RecognisedSegment], audio_seconds: float) -> Iterator[_Stretch]:
    """Segments joined where there is no pause between them, with margins that stay out of the neighbours' words."""
    groups: list[list[int]] = []
    for n, segment in enumerate(segments):
        if not segment.words or segment.end - segment.start > _LONGEST_UTTERANCE_SECONDS:
            continue
        last = groups[-1] if groups else None
        if (
            last
            and last[-1] == n - 1
            and abs(segment.start - segments[n - 1].end) < _PAUSE_SECONDS
            and segment.end - segments[last[0]].start <= _UTTERANCE_SECONDS
        ):
            last.append(n)
        else:
            groups.append([n])
    for group in groups:
        first, final = segments[group[0]], segments[group[-1]]
        before = segments[group[0] - 1].end if group[0] else 0.0
        after = segments[group[-1] + 1].start if group[-1] + 1 < len(segments) else audio_seconds
        start = max(first.start - _MARGIN_SECONDS, min(before, first.start), 0.0)
        end = min(final.end + _MARGIN_SECONDS, max(after, final.end), audio_seconds)
        if end > start:
            yield _Stretch(start, end, tuple(group))


def _windows(stretches: Iterator[_Stretch]) -> Iterator[list[_Stretch]]:
    """Stretches whose audio is read at once; one that runs backwards begins a window of its own."""
    window: list[_Stretch] = []
    for stretch in stretches:
        if window and not window[0].start <= stretch.start <= stretch.end <= window[0].start + _WINDOW_SECONDS:
            yield window
            window = []
        window.append(stretch)
    if window:
        yield window


def _believable(answer: Sequence[Span | None], utterance: Utterance, offset: float) -> Iterator[Span | None]:
    """The spans in the media's time, but for those that cannot be: outside the utterance, backwards, no numbers."""
    latest = utterance.start
    for span in answer:
        if span and all(map(math.isfinite, span)) and latest <= span[0] <= span[1] and span[0] <= utterance.end:
            latest = span[0]
            yield span[0] + offset, min(span[1], utterance.end) + offset
        else:
            yield None


def _near(word: RecognisedWord, span: Span | None) -> Span | None:
    """The span, unless both its ends are far from where the recogniser heard the word."""
    if not span:
        return None
    begins_near = abs(span[0] - word.start) <= _DISPLACEMENT_SECONDS
    ends_near = span[0] >= word.start and abs(span[1] - word.end) <= _DISPLACEMENT_SECONDS
    return span if begins_near or ends_near else None


def _retimed(segment: RecognisedSegment, spans: Sequence[Span | None], audio_seconds: float) -> RecognisedSegment:
    """The segment with the aligner's times; words that it did not place lie between their neighbours."""
    times = fill_gaps([(word.start, word.end) for word in segment.words], spans, audio_seconds)
    words = (
        word.model_copy(update={"start": start, "end": end})
        for word, (start, end) in zip(segment.words, times, strict=True)
    )
    return segment.model_copy(update={"words": tuple(words), "times_are_estimates": False})


def fill_gaps(guesses: Sequence[Span], known: Sequence[Span | None], end: float) -> list[Span]:
    """The known spans, cut where the next begins, and guesses for the others, cut to fit between those neighbours.

    Both start in order; nothing goes on after `end`. Where a guess would be cut away altogether, it and those beside it
    share the room evenly.
    """
    next_start = [end] * (len(known) + 1)
    for n in range(len(known) - 1, -1, -1):
        span = known[n]
        next_start[n] = span[0] if span else next_start[n + 1]
    times = list[Span]()
    for is_known, group in groupby(range(len(known)), key=lambda n: known[n] is not None):
        run = list(group)
        if is_known:
            times += [(span[0], min(span[1], next_start[n + 1])) for n in run if (span := known[n])]
        else:
            earliest = times[-1][1] if times else 0.0
            times += _fitted([guesses[n] for n in run], earliest, next_start[run[-1] + 1])
    return times


def _fitted(guesses: Sequence[Span], low: float, high: float) -> list[Span]:
    own = [(min(max(start, low), high), min(max(end, low), high)) for start, end in guesses]
    if all(start < end for start, end in own):
        return own
    seconds = sum(end - start for start, end in guesses)
    last = min(max(guesses[-1][1], own[0][0] + seconds), high)
    first = max(min(own[0][0], last - seconds), low)
    borders = [min(first + n * (last - first) / len(guesses), last) for n in range(len(guesses) + 1)]
    return list(pairwise(borders))


def _in_order(segments: Sequence[RecognisedSegment], audio_seconds: float) -> Iterator[RecognisedSegment]:
    """The promises of this module, kept for whatever comes in."""
    earliest = 0.0
    for segment in segments:
        words = list[RecognisedWord]()
        for word in segment.words:
            start = round(min(max(word.start, earliest), audio_seconds), 3)
            end = round(min(max(word.end, start), audio_seconds), 3)
            words.append(word.model_copy(update={"start": start, "end": end}))
            earliest = start
        start, end = (words[0].start, max(word.end for word in words)) if words else (segment.start, segment.end)
        yield segment.model_copy(update={"words": tuple(words), "start": start, "end": end})
