"""A recording becomes recognised words: window by window, with any engine.

Long recordings are read in windows that end in a pause, so memory stays bounded, progress is real, and a finished
window is kept: a run that is killed in hour nine goes on there. Voice activity detection decides what is listened to at
all (the only dependable guard against invented words); stretches of speech are grouped to what the engine likes to hear
at once. A group whose result is suspicious is decoded again with other settings; what stays doubtful is marked.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from transcribe_pipeline.artifacts import RecognisedSegment, RecognisedWindow, Transcription, Translation
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech import quality
from transcribe_pipeline.speech.recogniser import Recogniser, Request, Samples
from transcribe_pipeline.speech.spans import Span, covered_seconds, group_spans, union, with_margins

Progress = Callable[[float], None]
"""Called with the fraction done, 0..1."""
FindSpeech = Callable[[float, Samples], list[Span]]
"""Speech in the samples that begin at this offset in the recording (seconds): spans from the start of the samples."""

UNDETERMINED = "und"

WINDOW_SECONDS = 600.0
_LONGEST_SPAN_SECONDS = 29.0
_MARGIN_SECONDS = 0.4
"""Around groups of speech: the detector begins late and ends early."""
_UNHEARD_SECONDS = 2.0
"""Speech in a group that the words do not reach: Whisper sometimes stops in the middle of its 30 s."""
_STRICT = 0.8
"""Speech probability asked for where decoding twice gave nothing trustworthy: music passes at 0.5."""

_LANGUAGE_CLIPS = 4
_LANGUAGE_CLIP_SECONDS = 30.0
_LANGUAGE_SURE = 0.9


def voice_spans(offset: float, samples: Samples, threshold: float = 0.5) -> list[Span]:
    """Silero's voice activity detection, without margins: spans where speech is at least so probable."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        threshold=threshold,
        max_speech_duration_s=_LONGEST_SPAN_SECONDS,
        min_silence_duration_ms=160,
        speech_pad_ms=0,  # pauses must show their true length
    )
    return [(s["start"] / SAMPLE_RATE, s["end"] / SAMPLE_RATE) for s in get_speech_timestamps(samples, options)]


class Checkpoints(Protocol):
    """Keeps finished windows, so that another attempt need not recognise them again."""

    def load(self, start: float) -> RecognisedWindow | None:
        """The window that begins at `start` seconds, if an earlier attempt finished it."""
        ...

    def save(self, window: RecognisedWindow) -> None: ...


class NoCheckpoints:
    def load(self, start: float) -> RecognisedWindow | None:
        return None

    def save(self, window: RecognisedWindow) -> None:
        pass


@dataclass(frozen=True)
class Asked:
    """What people want of a transcription."""

    language: str | None = None
    """ISO 639-1, or None to detect."""
    vocabulary: tuple[str, ...] = ()
    prompt: str = ""
    translate: bool = False
    """Keep an English translation beside the transcript."""


def recognise(
    audio: Path,
    audio_seconds: float,
    recogniser: Recogniser,
    asked: Asked,
    on_progress: Progress,
    *,
    window_seconds: float = WINDOW_SECONDS,
    checkpoints: Checkpoints | None = None,
    find_speech: FindSpeech = voice_spans,
) -> Transcription:
    """Everything said in a 16 kHz mono FLAC. `find_speech` replaces the voice activity detector."""
    windows: list[RecognisedWindow] = []
    for window in _recognised_windows(
        audio,
        audio_seconds,
        recogniser,
        asked,
        on_progress,
        window_seconds,
        checkpoints or NoCheckpoints(),
        find_speech,
    ):
        windows.append(window)
        on_progress(window.end / audio_seconds)
    spoken = [window for window in windows if window.language != UNDETERMINED]
    return Transcription(
        engine=recogniser.engine,
        model=recogniser.model,
        language=spoken[0].language if spoken else UNDETERMINED,
        language_probability=spoken[0].language_probability if spoken else 0.0,
        segments=tuple(segment for window in windows for segment in window.segments),
        audio_seconds=audio_seconds,
        speech=tuple(span for window in windows for span in window.speech),
        translation=tuple(part for window in windows for part in window.translation),
        reconsidered_seconds=round(sum(window.reconsidered_seconds for window in windows), 3),
    )


def recognise_channels(
    channels: Sequence[tuple[str, Path]],
    audio_seconds: float,
    recogniser: Recogniser,
    asked: Asked,
    on_progress: Progress,
    *,
    window_seconds: float = WINDOW_SECONDS,
    checkpoints: Callable[[str], Checkpoints],
    speech: dict[str, list[Span]],
) -> Transcription:
    """One speaker a channel: each (label, FLAC) is recognised where it has `speech`; all is put in order of time."""
    heard: list[tuple[str, Transcription]] = []
    for position, (label, audio) in enumerate(channels):

        def progress(fraction: float, done: int = position) -> None:
            on_progress((done + fraction) / len(channels))

        found = recognise(
            audio,
            audio_seconds,
            recogniser,
            asked,
            progress,
            window_seconds=window_seconds,
            checkpoints=checkpoints(label),
            find_speech=_given_speech(speech[label]),
        )
        heard.append((label, found))
        # Both sides of a call speak one language: what the first is sure of holds for the others.
        if asked.language is None and found.language_probability >= _LANGUAGE_SURE:
            asked = replace(asked, language=found.language)
    segments = [s.model_copy(update={"channel": label}) for label, found in heard for s in found.segments]
    surest = max((found for _, found in heard), key=lambda found: found.language_probability)
    return surest.model_copy(
        update={
            "segments": tuple(sorted(segments, key=lambda s: (s.start, s.end))),
            "speech": union(span for _, found in heard for span in found.speech),
            "translation": tuple(
                sorted((part for _, found in heard for part in found.translation), key=lambda part: part.start)
            ),
            "reconsidered_seconds": sum(found.reconsidered_seconds for _, found in heard),
        }
    )


def _given_speech(spans: list[Span]) -> FindSpeech:
    def inside(offset: float, samples: Samples) -> list[Span]:
        end = offset + samples.size / SAMPLE_RATE
        return [(max(s, offset) - offset, min(e, end) - offset) for s, e in spans if s < end and e > offset]

    return inside


# --- windows --------------------------------------------------------------------------------------------------------


def _recognised_windows(
    audio: Path,
    audio_seconds: float,
    recogniser: Recogniser,
    asked: Asked,
    on_progress: Progress,
    window_seconds: float,
    checkpoints: Checkpoints,
    find_speech: FindSpeech,
) -> Iterator[RecognisedWindow]:
    language, probability = asked.language, 1.0
    is_known = language is not None
    start = 0.0
    while start < audio_seconds:
        window = checkpoints.load(start)
        if window is not None:
            if not is_known and window.language != UNDETERMINED:
                language, probability, is_known = window.language, window.language_probability, True
        else:
            end, samples, spans = _read_window(audio, start, audio_seconds, window_seconds, find_speech)
            if spans and not is_known:
                language, probability = detect_language(audio, audio_seconds, recogniser, find_speech)
                is_known = True

            def progress(seconds: float, offset: float = start) -> None:
                on_progress(min((offset + seconds) / audio_seconds, 1.0))

            heard = _Window(samples, spans, recogniser, asked, language, progress).recognise()
            window = RecognisedWindow(
                start=start,
                end=end,
                language=(language or UNDETERMINED) if spans else UNDETERMINED,
                language_probability=probability if language and spans else 0.0,
                speech=tuple((_round(start + a), _round(start + b)) for a, b in spans),
                segments=tuple(s for each in heard.segments if (s := _shifted(each, start, audio_seconds))),
                translation=tuple(
                    Translation(start=_round(t.start + start), end=_round(t.end + start), text=t.text)
                    for t in heard.translation
                ),
                reconsidered_seconds=heard.reconsidered_seconds,
            )
            checkpoints.save(window)
        yield window
        if window.end <= start:  # nothing left to read
            return
        start = window.end


def _read_window(
    audio: Path, start: float, audio_seconds: float, window_seconds: float, find_speech: FindSpeech
) -> tuple[float, Samples, list[Span]]:
    """(end of the window in the recording, samples, speech in it), cut in a pause where there is one.

    Speech that touches the end is left to the next window. An end is a multiple of a sample.
    """
    samples = read_window(audio, start, window_seconds)
    seconds = samples.size / SAMPLE_RATE
    spans = find_speech(start, samples)
    if start + seconds >= audio_seconds - 1 / SAMPLE_RATE or not samples.size:
        return audio_seconds, samples, spans
    if spans and spans[-1][1] > seconds - 1.0 and spans[-1][0] >= seconds / 2:
        begun = spans.pop()[0]
        seconds = (begun + (spans[-1][1] if spans else 0.0)) / 2
        samples = samples[: round(seconds * SAMPLE_RATE)]
    return start + samples.size / SAMPLE_RATE, samples, spans


# --- language -------------------------------------------------------------------------------------------------------


def detect_language(
    audio: Path, audio_seconds: float, recogniser: Recogniser, find_speech: FindSpeech = voice_spans
) -> tuple[str | None, float]:
    """(ISO 639-1, probability) by the vote of clips of speech from all over the recording, or (None, 0.0).

    An intro, a jingle or a quotation at the beginning must not decide. Clips are heard from the middle outwards, the
    first two together and then one by one until all agree and are sure.
    """
    clips = _clips(audio, audio_seconds, find_speech)
    votes = recogniser.detect_language(list(islice(clips, 2)))
    while votes and not _are_sure(votes):
        clip = next(clips, None)
        if clip is None:
            break
        votes += recogniser.detect_language([clip])
    return _winner(votes)


def _are_sure(votes: list[dict[str, float]]) -> bool:
    language, _ = _winner(votes)
    return len(votes) > 1 and all(vote.get(language or "", 0.0) >= _LANGUAGE_SURE for vote in votes)


def _winner(votes: list[dict[str, float]]) -> tuple[str | None, float]:
    pooled: dict[str, float] = {}
    for vote in votes:
        for language, probability in vote.items():
            pooled[language] = pooled.get(language, 0.0) + probability / len(votes)
    if not pooled:
        return None, 0.0
    language = max(pooled, key=lambda each: pooled[each])
    return language, min(round(pooled[language], 4), 1.0)


def _clips(audio: Path, audio_seconds: float, find_speech: FindSpeech) -> Iterator[Samples]:
    """At most four clips of at most 30 s of speech, each from another quarter of the recording, the middle ones first.

    Each is the longest group of speech in a minute from the middle of its quarter, or in the whole of it if short.
    """
    quarter = audio_seconds / _LANGUAGE_CLIPS
    reach = min(quarter, 2 * _LANGUAGE_CLIP_SECONDS)
    if audio_seconds <= _LANGUAGE_CLIP_SECONDS:
        quarter = reach = audio_seconds
    for position in (1, 2, 0, 3) if quarter < audio_seconds else (0,):
        start = position * quarter + (quarter - reach) / 2
        samples = read_window(audio, start, reach)
        groups = group_spans(find_speech(start, samples), _LANGUAGE_CLIP_SECONDS)
        if groups:
            first, last = max(groups, key=lambda group: group[1] - group[0])
            yield samples[int(first * SAMPLE_RATE) : int(last * SAMPLE_RATE)]


# --- one window -----------------------------------------------------------------------------------------------------


@dataclass
class _Heard:
    segments: list[RecognisedSegment]
    translation: list[Translation]
    reconsidered_seconds: float


@dataclass
class _Window:
    """One window's work; times are seconds from the start of its samples."""

    samples: Samples
    spans: list[Span]
    recogniser: Recogniser
    asked: Asked
    language: str | None
    on_progress: Progress

    def recognise(self) -> _Heard:
        heard = _Heard([], [], 0.0)
        groups = self._groups(self.spans, (0.0, self.samples.size / SAMPLE_RATE))
        request = Request(self.language, self.asked.vocabulary, self.asked.prompt)
        if not groups:
            return heard
        share = 0.5 if self.asked.translate else 1.0
        for group, segments in self.recogniser.recognise(self.samples, groups, request):
            trusted, stretch = self._trusted(group, segments)
            heard.segments += trusted
            if stretch:
                heard.segments += self._second_look(stretch, segments[len(trusted) :], request)
                heard.reconsidered_seconds += stretch[1] - stretch[0]
            self.on_progress(group[1] * share)
        heard.segments = [self._marked(segment) for segment in heard.segments]
        if self.asked.translate and self.language != "en":
            for group, segments in self.recogniser.recognise(self.samples, groups, replace(request, to_english=True)):
                heard.translation += [Translation(start=s.start, end=s.end, text=s.text) for s in segments]
                self.on_progress(group[1])
        return heard

    def _groups(self, spans: list[Span], inside: Span) -> list[Span]:
        limit = self.recogniser.group_seconds - 2 * _MARGIN_SECONDS
        start, end = inside
        groups = group_spans([(a - start, b - start) for a, b in spans], limit)
        return [(start + a, start + b) for a, b in with_margins(groups, _MARGIN_SECONDS, end - start)]

    def _trusted(self, group: Span, segments: list[RecognisedSegment]) -> tuple[list[RecognisedSegment], Span | None]:
        """The segments to keep, and the stretch to decode again: from where they stopped early, or all of the group."""
        words = [word for segment in segments for word in segment.words]
        spoken = [span for span in self.spans if group[0] <= span[0] < group[1]]
        suspicious = any(quality.is_suspicious(segment) for segment in segments)
        if not words or suspicious or covered_seconds(spoken, [(group[0], words[0].start)]) > _UNHEARD_SECONDS:
            return [], group
        last = words[-1].end
        if covered_seconds(spoken, [(last, group[1])]) > _UNHEARD_SECONDS:
            return segments, (last, group[1])
        return segments, None

    def _second_look(self, stretch: Span, first: list[RecognisedSegment], request: Request) -> list[RecognisedSegment]:
        """The stretch with other settings, and, where that is no better, only what a stricter detector calls speech.

        Without what is noise by the engine's own word.
        """
        again = self.recogniser.reconsider(self.samples, stretch, request)
        if again is None:
            return [segment for segment in first if not quality.is_noise(segment)]
        if any(quality.is_suspicious(segment) for segment in again):
            start, end = stretch
            strict = voice_spans(start, self.samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)], _STRICT)
            spoken = self._groups([(start + a, start + b) for a, b in strict], stretch)
            again = [s for span in spoken for s in self.recogniser.reconsider(self.samples, span, request) or ()]
        return [segment for segment in again if not quality.is_noise(segment)]

    def _marked(self, segment: RecognisedSegment) -> RecognisedSegment:
        return segment.model_copy(update={"doubts": quality.doubts(segment, self.spans, self.language or UNDETERMINED)})


def _shifted(segment: RecognisedSegment, offset: float, audio_seconds: float) -> RecognisedSegment | None:
    """With times from the recording's zero, inside the audio; None if it has no words."""

    def place(seconds: float) -> float:
        return _round(min(max(seconds + offset, 0.0), audio_seconds))

    if not segment.words:
        return None
    words = tuple(w.model_copy(update={"start": place(w.start), "end": place(w.end)}) for w in segment.words)
    return segment.model_copy(update={"start": words[0].start, "end": max(w.end for w in words), "words": words})


def _round(seconds: float) -> float:
    return round(seconds, 3)
