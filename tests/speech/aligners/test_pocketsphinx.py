"""The real decoder on a real recording, of whose words one time is known."""

from itertools import pairwise

import numpy as np
import pytest

from transcribe_pipeline.media.decode import decode_audio
from transcribe_pipeline.media.probe import probe
from transcribe_pipeline.media.samples import read_window
from transcribe_pipeline.speech.aligner import Utterance
from transcribe_pipeline.speech.aligners import pocketsphinx

SAID = "And so, my fellow Americans: ask not what your country can do for you — ask what you can do for your country."
ASKED = SAID.split()


@pytest.fixture(scope="module")
def aligner():
    return pocketsphinx.load()


@pytest.fixture(scope="module")
def kennedy(testdata, tmp_path_factory):
    flac = tmp_path_factory.mktemp("kennedy") / "jfk.flac"
    recording = testdata / "en_jfk" / "jfk.flac"
    decode_audio(recording, probe(recording), flac, max_seconds=60)
    return read_window(flac, 0, 60)


def _starts(aligner, samples, words, start=0.0, end=11.0):
    return [span and span[0] for span in aligner.align(samples, [Utterance(start, end, tuple(words))])[0]]


def test_words_lie_where_they_are_said(aligner, kennedy):
    spans = aligner.align(kennedy, [Utterance(0.0, 11.0, tuple(ASKED))])[0]
    placed = [span for span in spans if span]
    assert len(spans) == len(ASKED)
    assert [word for word, span in zip(ASKED, spans, strict=True) if not span] == ["—"]
    assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(placed))
    americans = spans[ASKED.index("Americans:")]
    assert americans[0] < 1.8 < americans[1]


def test_times_count_from_the_start_of_the_samples(aligner, kennedy):
    whole = _starts(aligner, kennedy, ASKED[7:14], 5.2, 7.5)
    later = _starts(aligner, np.concatenate([np.zeros(32_000, np.float32), kennedy]), ASKED[7:14], 7.2, 9.5)
    assert np.array(later) - np.array(whole) == pytest.approx(2.0, abs=0.021)


@pytest.mark.parametrize("stranger", ["Amerrikanz", "AMERICANS", "Ame-ricans!", "Américans"])
def test_a_word_outside_the_dictionary_is_found_too(aligner, kennedy, stranger):
    known = _starts(aligner, kennedy, ASKED)
    respelled = _starts(aligner, kennedy, [*ASKED[:4], stranger, *ASKED[5:]])
    moved = [found - expected for expected, found in zip(known, respelled, strict=True) if expected is not None]
    assert abs(moved.pop(4)) <= 0.25  # spelling rules put the stranger about there
    assert max(map(abs, moved)) <= 0.05  # and it pulls nobody along


def test_text_that_is_not_said_is_not_placed(aligner, kennedy):
    assert set(_starts(aligner, kennedy, ["Sphinx", "of", "black", "quartz,", "judge", "my", "vow."] * 9)) == {None}


@pytest.mark.parametrize(
    ("samples", "words", "end"),
    [
        (np.zeros(0, np.float32), ["hello"], 1.0),
        (np.zeros(100, np.float32), ["hello"], 1.0),
        (np.zeros(16_000, np.float32), ["hello"] * 500, 1.0),
        (np.full(16_000, np.nan, np.float32), ["hello"], 1.0),
        (np.zeros(16_000, np.float32), ["—", "東京"], 1.0),
        (np.zeros(16_000, np.float32), [], 1.0),
        (np.zeros(16_000, np.float32), ["<sil>", "[NOISE]", "</s>", "a(2)"], 1.0),
    ],
)
def test_after_what_cannot_be_aligned_the_decoder_still_works(aligner, kennedy, samples, words, end):
    assert len(_starts(aligner, samples, words, 0.0, end)) == len(words)
    assert None not in _starts(aligner, kennedy, ["and", "so", "my", "fellow"], 0.0, 2.0)
