"""Recognition with the bundled Whisper base on real recordings: no word lost, doubled or invented."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from whisper_normalizer.english import EnglishTextNormalizer

from transcribe_pipeline.artifacts import Doubt, RecognisedSegment, RecognisedWindow, RecognisedWord, Transcription
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech import recognise
from transcribe_pipeline.speech.recognise import Asked, voice_spans
from transcribe_pipeline.speech.recognise import recognise as recognise_with
from transcribe_pipeline.speech.recogniser import Heard, Request, Samples
from transcribe_pipeline.speech.recognisers.faster_whisper import FasterWhisper, as_recognised
from transcribe_pipeline.speech.spans import Span

Flac = Callable[[Path], tuple[Path, float]]

normalise = EnglishTextNormalizer()


def transcribe(
    whisper: FasterWhisper,
    recording: Path,
    seconds: float,
    told: Callable[[float], None] = lambda _: None,
    *,
    window_seconds: float = 600.0,
) -> Transcription:
    return recognise_with(recording, seconds, whisper, Asked(), told, window_seconds=window_seconds)


def texts(found: Transcription) -> list[str]:
    return [word.text for segment in found.segments for word in segment.words]


def word_error_rate(truth: str, found: Transcription) -> float:
    return jiwer.wer(normalise(truth), normalise(" ".join(texts(found))))


def assert_ordered_and_inside(found: Transcription) -> None:
    words = [word for segment in found.segments for word in segment.words]
    assert all(0 <= word.start <= word.end <= found.audio_seconds for word in words)
    assert all(before.start <= after.start for before, after in pairwise(words))


def test_a_short_speech(whisper: FasterWhisper, flac: Flac, testdata: Path):
    recording, seconds = flac(testdata / "en_jfk/jfk.flac")
    told: list[float] = []
    found = transcribe(whisper, recording, seconds, told.append)
    assert word_error_rate((testdata / "en_jfk/jfk.txt").read_text(), found) == 0
    assert_ordered_and_inside(found)
    assert found.language == "en"
    assert found.language_probability > 0.8
    (americans,) = [w for s in found.segments for w in s.words if w.text.startswith("Americans")]
    assert americans.start <= 1.8 <= americans.end + 0.1
    assert told == sorted(told)
    assert told[-1] <= 1.001


def test_a_given_language_is_not_detected(whisper: FasterWhisper, flac: Flac, testdata: Path):
    found = recognise_with(*flac(testdata / "en_jfk/jfk.flac"), whisper, Asked(language="en"), lambda _: None)
    assert (found.language, found.language_probability) == ("en", 1.0)


# --- windows --------------------------------------------------------------------------------------------------------


def windows_of(recording: Path, seconds: float, window_seconds: float) -> list[tuple[float, float, list[Span]]]:
    """(start, end, speech in it) of each window, times in the recording."""
    windows, start = [], 0.0
    while start < seconds:
        end, _, spans = recognise._read_window(recording, start, seconds, window_seconds, voice_spans)
        windows.append((start, end, [(start + a, start + b) for a, b in spans]))
        start = end
    return windows


def test_windows_cover_the_audio_and_end_in_pauses(testdata: Path):
    recording = testdata / "syn_en_lj_long/syn_en_lj_long.flac"
    seconds = soundfile.info(recording).duration
    ((_, _, whole),) = windows_of(recording, seconds, 600.0)
    windows = windows_of(recording, seconds, 40.0)
    assert len(windows) >= 6
    assert all(0 < end - start <= 40 for start, end, _ in windows)
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert windows[-1][1] == pytest.approx(seconds, abs=0.001)
    found = [span for _, _, spans in windows for span in spans]
    assert all(left[1] <= right[0] + 1e-6 for left, right in pairwise(found))
    assert all(end - start <= 30 for start, end in found)
    # The detector pads speech by up to 0.4 s on each side: there a cut costs nothing.
    for cut, _, _ in windows[1:]:
        assert not [span for span in whole if span[0] + 0.4 < cut < span[1] - 0.4]


def test_speech_after_a_long_silence_is_not_cut_at_the_border(
    whisper: FasterWhisper, tmp_path: Path, flac: Flac, testdata: Path
):
    """The only span of a window that touches its end belongs to the next window as a whole."""
    speech = read_window(flac(testdata / "en_jfk/jfk.flac")[0], 0, 60)
    recording = tmp_path / "late.flac"
    soundfile.write(recording, np.concatenate([np.zeros(33 * SAMPLE_RATE, np.float32), speech]), SAMPLE_RATE)
    found = transcribe(whisper, recording, soundfile.info(recording).duration, window_seconds=35.0)
    assert word_error_rate((testdata / "en_jfk/jfk.txt").read_text(), found) == 0
    assert_ordered_and_inside(found)
    assert found.segments[0].start > 32.5


@pytest.mark.e2e
def test_no_word_is_lost_or_doubled_at_window_borders(whisper: FasterWhisper, testdata: Path):
    """237 s in seven windows are as good as in one: a word lost or doubled at each border would cost 0.011."""
    recording = testdata / "syn_en_lj_long/syn_en_lj_long.flac"
    truth, seconds = recording.with_suffix(".txt").read_text(), soundfile.info(recording).duration
    errors = {}
    for window in (35.0, 600.0):
        found = transcribe(whisper, recording, seconds, window_seconds=window)
        assert_ordered_and_inside(found)
        errors[window] = word_error_rate(truth, found)
        print(f"windows of {window:.0f} s: WER {errors[window]:.4f}")
    assert errors[600.0] <= 0.065
    assert errors[35.0] - errors[600.0] < 0.011


# --- nobody speaks --------------------------------------------------------------------------------------------------

# Where somebody speaks, in seconds, with half a second for breath; None: all over.
NO_SPEECH = {
    "aeneas_vad_n.wav": [],
    "aeneas_vad_zero.wav": [],
    "ina_silence2sec.wav": [],
    "leopard_empty.wav": [],
    "aeneas_vad_ns.wav": [(1.0, 4.0)],
    "aeneas_vad_nsn.wav": [(1.0, 4.5)],
    "aeneas_vad_sn.wav": [(0.0, 2.8)],
    "ina_musanmix.mp3": [(62.8, 74.3)],
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.e2e if name.startswith("ina_musan") else ()) for name in NO_SPEECH]
)
def test_no_words_where_nobody_speaks(whisper: FasterWhisper, flac: Flac, testdata: Path, name: str):
    found = transcribe(whisper, *flac(testdata / "no_speech" / name))
    for word in (word for segment in found.segments for word in segment.words):
        assert any(start <= word.start and word.end <= end for start, end in NO_SPEECH[name]), word
    if not NO_SPEECH[name]:
        assert (found.language, found.language_probability, found.speech) == ("und", 0.0, ())


def test_no_audio_at_all_has_no_words(whisper: FasterWhisper, tmp_path: Path):
    recording = tmp_path / "empty.flac"
    soundfile.write(recording, np.zeros(0, np.float32), SAMPLE_RATE)
    assert transcribe(whisper, recording, 0.0).segments == ()


# --- words and their pieces -----------------------------------------------------------------------------------------


def _segment(pieces: list[tuple[str, float, float, float]], **changes: float):
    from faster_whisper.transcribe import Segment, Word

    words = [Word(start=start, end=end, word=text, probability=p) for text, start, end, p in pieces]
    values = {"avg_logprob": -0.2, "compression_ratio": 1.2, "no_speech_prob": 0.0} | changes
    return Segment(id=0, seek=0, start=0.0, end=9.0, text=" text", tokens=[], words=words, temperature=0.0, **values)


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([" ill", "-disposed", " men"], ["ill-disposed", "men"]),
        ([" 4", ",000", " men."], ["4,000", "men."]),
        (["Well,", " so"], ["Well,", "so"]),
        (["客観", "的", "実在", "の"], ["客観", "的", "実在", "の"]),
        ([" ", " so", " "], ["so"]),
        ([], []),
    ],
)
def test_pieces_become_written_words(pieces, words):
    timed = [(text, float(n), n + 1.0, 0.5) for n, text in enumerate(pieces)]
    found = as_recognised(_segment(timed))
    assert [word.text for word in found.words] == words if words else found is None


def test_a_joined_word_spans_its_pieces():
    found = as_recognised(_segment([(" ill", 1.0, 1.4, 0.4), ("-disposed", 1.5, 2.0, 0.8)]), 10.0)
    (word,) = found.words
    assert (word.start, word.end) == (11.0, 12.0)
    assert word.probability == pytest.approx(0.6)


def test_times_and_probabilities_are_clamped():
    pieces = [(" before", -0.5, -0.1, 1.0000001), (" backwards", 3.0, 2.0, -0.1), (" after", 9.0, 12.0, 0.5)]
    found = recognise._shifted(as_recognised(_segment(pieces, no_speech_prob=1.0000001)), 0.0, 10.0)
    assert [(w.start, w.end, w.probability) for w in found.words] == [
        (0.0, 0.0, 1.0),
        (3.0, 3.0, 0.0),
        (9.0, 10.0, 0.5),
    ]
    assert found.no_speech_prob == 1.0


# --- a suspicious result, a crash, a long recording ------------------------------------------------------------------


class Scripted:
    """Stands in for an engine: says what the test wants, and remembers what it was asked."""

    engine = "scripted"
    model = "none"
    group_seconds = 30.0
    translates = True

    def __init__(self, heard: Callable[[Span, Request], list[RecognisedSegment]], languages: Sequence[str] = ("en",)):
        self._heard = heard
        self._languages = list(languages)
        self.asked: list[tuple[Span, Request]] = []
        self.reconsidered: list[Span] = []

    def detect_language(self, clips: Sequence[Samples]) -> list[dict[str, float]]:
        return [{self._languages.pop(0) if len(self._languages) > 1 else self._languages[0]: 0.95} for _ in clips]

    def recognise(self, samples: Samples, groups: Sequence[Span], request: Request) -> Iterator[Heard]:
        for group in groups:
            self.asked.append((group, request))
            yield group, self._heard(group, request)

    def reconsider(self, samples: Samples, stretch: Span, request: Request) -> list[RecognisedSegment]:
        self.reconsidered.append(stretch)
        return [said("better", *stretch)]


def said(text: str, start: float, end: float, **changes: float) -> RecognisedSegment:
    """`text` spoken evenly from start to end."""
    pieces = text.split()
    each = (end - start) / len(pieces)
    words = [
        RecognisedWord(text=piece, start=start + n * each, end=start + (n + 1) * each, probability=0.9)
        for n, piece in enumerate(pieces)
    ]
    values = {"avg_logprob": -0.1, "no_speech_prob": 0.0, "compression_ratio": 1.0} | changes
    return RecognisedSegment(start=start, end=end, text=text, words=tuple(words), **values)


def silence(tmp_path: Path, seconds: float) -> Path:
    recording = tmp_path / "long.flac"
    soundfile.write(recording, np.zeros(round(seconds * SAMPLE_RATE), np.int16), SAMPLE_RATE)
    return recording


def everywhere(offset: float, samples: Samples) -> list[Span]:
    """Ten seconds of speech, one of pause, and again."""
    return [(float(s), s + 10.0) for s in range(0, int(samples.size / SAMPLE_RATE) - 10, 11)]


def test_what_is_suspicious_is_decoded_again(tmp_path: Path):
    engine = Scripted(lambda group, _: [said("no no no no no no no no", *group, compression_ratio=3.0)])
    found = recognise_with(silence(tmp_path, 60), 60.0, engine, Asked(), lambda _: None, find_speech=everywhere)
    assert set(texts(found)) == {"better"}
    assert len(engine.reconsidered) == len(engine.asked)
    assert found.reconsidered_seconds > 40


def test_only_the_rest_is_decoded_again_where_the_engine_stopped_early(tmp_path: Path):
    engine = Scripted(lambda group, _: [said("a good beginning", group[0], group[0] + 5.0)])
    found = recognise_with(silence(tmp_path, 22), 22.0, engine, Asked(), lambda _: None, find_speech=everywhere)
    assert texts(found) == ["a", "good", "beginning", "better"]
    assert engine.reconsidered[0][0] == 5.0


def test_what_stays_doubtful_is_marked_and_kept(tmp_path: Path):
    engine = Scripted(lambda group, _: [said("hardly anything", *group)])
    found = recognise_with(silence(tmp_path, 22), 22.0, engine, Asked(), lambda _: None, find_speech=everywhere)
    assert [segment.doubts for segment in found.segments] == [(Doubt.SPEED,)] * len(found.segments)


def test_an_intro_does_not_decide_the_language(tmp_path: Path):
    """The middle of the recording is asked first, and two clips must agree."""
    engine = Scripted(lambda group, _: [said("ja", *group)], languages=["de", "en", "de", "de"])
    found = recognise_with(silence(tmp_path, 400), 400.0, engine, Asked(), lambda _: None, find_speech=everywhere)
    assert (found.language, found.language_probability) == ("de", pytest.approx(0.7125))


def test_vocabulary_and_prompt_reach_the_engine(tmp_path: Path):
    engine = Scripted(lambda group, _: [said("word " * 20, *group)])
    asked = Asked(vocabulary=("Acme",), prompt="Minutes.", translate=True, language="de")
    found = recognise_with(silence(tmp_path, 22), 22.0, engine, asked, lambda _: None, find_speech=everywhere)
    assert {request for _, request in engine.asked} == {
        Request("de", ("Acme",), "Minutes."),
        Request("de", ("Acme",), "Minutes.", to_english=True),
    }
    assert found.translation[0].text
    assert len(found.segments) == len(found.translation)


class Kept:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.windows: dict[float, RecognisedWindow] = {}

    def load(self, start: float) -> RecognisedWindow | None:
        return self.windows.get(start)

    def save(self, window: RecognisedWindow) -> None:
        # As it comes back from storage.
        self.windows[window.start] = RecognisedWindow.model_validate_json(window.model_dump_json())


def test_a_resumed_recognition_does_only_what_is_left(tmp_path: Path):
    recording = silence(tmp_path, 600)

    def run(engine: Scripted, kept: Kept) -> Transcription:
        return recognise_with(
            recording,
            600.0,
            engine,
            Asked(),
            lambda _: None,
            window_seconds=60.0,
            checkpoints=kept,
            find_speech=everywhere,
        )

    def heard(group: Span, _: Request) -> list[RecognisedSegment]:
        return [said("word " * 30, *group)]

    whole, kept = Scripted(heard), Kept()
    expected = run(whole, Kept())

    def heard_until_the_crash(group: Span, request: Request) -> list[RecognisedSegment]:
        if len(kept.windows) == 4:
            raise KeyboardInterrupt
        return heard(group, request)

    with pytest.raises(KeyboardInterrupt):
        run(Scripted(heard_until_the_crash), kept)
    assert len(kept.windows) == 4
    resumed = Scripted(heard)
    assert run(resumed, kept) == expected
    per_window = len(whole.asked) / len(kept.windows)
    assert len(resumed.asked) == pytest.approx(len(whole.asked) - 4 * per_window, abs=1)


@pytest.mark.e2e
def test_a_resumed_recognition_says_the_same(whisper: FasterWhisper, testdata: Path):
    """With the real model: killed after two windows and resumed, or in one go."""
    recording = testdata / "syn_libri_4spk/syn_libri_4spk.flac"

    def run(kept: Kept, seconds: float = 100.0) -> Transcription:
        return recognise_with(
            recording, seconds, whisper, Asked(), lambda _: None, window_seconds=35.0, checkpoints=kept
        )

    whole, kept = Kept(), Kept()
    expected = run(whole)
    kept.windows = dict(list(whole.windows.items())[:2])
    assert run(kept) == expected
    assert kept.windows == whole.windows
