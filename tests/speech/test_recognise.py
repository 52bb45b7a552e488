"""Recognition with the bundled Whisper base on real recordings: no word lost, doubled or invented."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from whisper_normalizer.english import EnglishTextNormalizer

from transcribe_pipeline.artifacts import Transcription
from transcribe_pipeline.media.samples import SAMPLE_RATE, read_window
from transcribe_pipeline.speech import recognise
from transcribe_pipeline.speech.recognise import FasterWhisper, speech_windows

Flac = Callable[[Path], tuple[Path, float]]

normalise = EnglishTextNormalizer()


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
    found = whisper.transcribe(recording, seconds, told.append)
    assert word_error_rate((testdata / "en_jfk/jfk.txt").read_text(), found) == 0
    assert_ordered_and_inside(found)
    assert found.language == "en"
    assert found.language_probability > 0.8
    (americans,) = [w for s in found.segments for w in s.words if w.text.startswith("Americans")]
    assert americans.start <= 1.8 <= americans.end + 0.1
    assert told == sorted(told)
    assert told[-1] <= 1.001


def test_a_given_language_is_not_detected(whisper: FasterWhisper, flac: Flac, testdata: Path):
    german = FasterWhisper(whisper.whisper, "base", beam_size=1, language="en")
    found = german.transcribe(*flac(testdata / "en_jfk/jfk.flac"), lambda _: None)
    assert (found.language, found.language_probability) == ("en", 1.0)


# --- windows --------------------------------------------------------------------------------------------------------


def test_windows_cover_the_audio_and_end_in_pauses(monkeypatch: pytest.MonkeyPatch, testdata: Path):
    recording = testdata / "syn_en_lj_long/syn_en_lj_long.flac"
    seconds = soundfile.info(recording).duration
    ((_, _, whole),) = speech_windows(recording, seconds)
    monkeypatch.setattr(recognise, "_WINDOW_SECONDS", 40.0)
    windows = list(speech_windows(recording, seconds))
    offsets = [offset for offset, _, _ in windows]
    assert len(offsets) >= 6
    assert all(0 < after - before <= 40 for before, after in pairwise(offsets))
    assert offsets[-1] + windows[-1][1].size / SAMPLE_RATE == pytest.approx(seconds, abs=0.001)
    found = [(offset + start, offset + end) for offset, _, spans in windows for start, end in spans]
    assert all(left[1] <= right[0] for left, right in pairwise(found))
    assert all(end - start <= 30 for start, end in found)
    # The detector pads speech by up to 0.4 s on each side: there a cut costs nothing.
    for cut in offsets[1:]:
        assert not [span for span in whole if span[0] + 0.4 < cut < span[1] - 0.4]


def test_speech_after_a_long_silence_is_not_cut_at_the_border(
    whisper: FasterWhisper, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flac: Flac, testdata: Path
):
    """The only span of a window that touches its end belongs to the next window as a whole."""
    speech = read_window(flac(testdata / "en_jfk/jfk.flac")[0], 0, 60)
    recording = tmp_path / "late.flac"
    soundfile.write(recording, np.concatenate([np.zeros(33 * SAMPLE_RATE, np.float32), speech]), SAMPLE_RATE)
    monkeypatch.setattr(recognise, "_WINDOW_SECONDS", 35.0)
    found = whisper.transcribe(recording, soundfile.info(recording).duration, lambda _: None)
    assert word_error_rate((testdata / "en_jfk/jfk.txt").read_text(), found) == 0
    assert_ordered_and_inside(found)
    assert found.segments[0].start > 33


@pytest.mark.e2e
def test_no_word_is_lost_or_doubled_at_window_borders(
    whisper: FasterWhisper, monkeypatch: pytest.MonkeyPatch, testdata: Path
):
    """237 s in seven windows are as good as in one: a word lost or doubled at each border would cost 0.011."""
    recording = testdata / "syn_en_lj_long/syn_en_lj_long.flac"
    truth, seconds = recording.with_suffix(".txt").read_text(), soundfile.info(recording).duration
    errors = {}
    for window in (35.0, 600.0):
        monkeypatch.setattr(recognise, "_WINDOW_SECONDS", window)
        found = whisper.transcribe(recording, seconds, lambda _: None)
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
    found = whisper.transcribe(*flac(testdata / "no_speech" / name), lambda _: None)
    for word in (word for segment in found.segments for word in segment.words):
        assert any(start <= word.start and word.end <= end for start, end in NO_SPEECH[name]), word
    if not NO_SPEECH[name]:
        assert (found.language, found.language_probability, found.speech) == ("und", 0.0, ())


def test_no_audio_at_all_has_no_words(whisper: FasterWhisper, tmp_path: Path):
    recording = tmp_path / "empty.flac"
    soundfile.write(recording, np.zeros(0, np.float32), SAMPLE_RATE)
    assert whisper.transcribe(recording, 0.0, lambda _: None).segments == ()


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
    found = recognise._shifted(_segment(timed), 0.0, 100.0)
    assert [word.text for word in found.words] == words if words else found is None


def test_a_joined_word_spans_its_pieces():
    found = recognise._shifted(_segment([(" ill", 1.0, 1.4, 0.4), ("-disposed", 1.5, 2.0, 0.8)]), 10.0, 100.0)
    (word,) = found.words
    assert (word.start, word.end) == (11.0, 12.0)
    assert word.probability == pytest.approx(0.6)


def test_times_and_probabilities_are_clamped():
    pieces = [(" before", -0.5, -0.1, 1.0000001), (" backwards", 3.0, 2.0, -0.1), (" after", 9.0, 12.0, 0.5)]
    found = recognise._shifted(_segment(pieces, no_speech_prob=1.0000001), 0.0, 10.0)
    assert [(w.start, w.end, w.probability) for w in found.words] == [
        (0.0, 0.0, 1.0),
        (3.0, 3.0, 0.0),
        (9.0, 10.0, 0.5),
    ]
    assert found.no_speech_prob == 1.0
