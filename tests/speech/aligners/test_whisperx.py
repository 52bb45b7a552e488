"""Placing words by connectionist temporal classification, and whisperx's loading code on a checkpoint made here.

Real weights are 400 MB from a hub. The checkpoint is random, so what it hears means nothing; but it is loaded, called
and read by the very code that real ones go through. That words land in the right place is shown on emissions whose
truth is known, and against torchaudio's own implementation.
"""

import json
import warnings

import numpy as np
import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech.aligner import Utterance
from transcribe_pipeline.speech.aligners import whisperx
from transcribe_pipeline.speech.aligners.whisperx import Alphabet, best_path, place_words

LABELS = {label: n for n, label in enumerate(["<pad>", "|", "'", *"abcdefghijklmnopqrstuvwxyz"])}
ALPHABET = Alphabet(LABELS, "|")


def heard(script: str) -> np.ndarray:
    """Emissions of one frame per character of `script`, quite sure of each; '.' is silence."""
    emission = np.full((len(script), len(LABELS)), 0.01, np.float32)
    for frame, character in enumerate(script):
        emission[frame, LABELS["<pad>" if character == "." else character]] = 1.0
    return np.log(emission / emission.sum(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("script", "words", "frames"),
    [
        ("..go..home..", ["Go", "home."], [(2, 4), (6, 10)]),
        ("go|home", ["go", "home"], [(0, 2), (3, 7)]),
        ("...hel.lo..", ["Hello!"], [(3, 9)]),  # the two l are one sound each
        ("no...no...no", ["No,", "no,", "no!"], [(0, 2), (5, 7), (10, 12)]),  # repeated words
        ("in..ninety..we", ["in", "90", "we"], [(0, 2), (4, 10), (12, 14)]),  # digits are wildcards
        ("..caf..", ["Çáf"], [(2, 5)]),  # letters without their accents
        (".ill.disposed.", ["ill-disposed"], [(1, 13)]),
        ("..yes..", ["—", "yes", "…"], [None, (2, 5), None]),
    ],
)
def test_words_are_placed_where_their_letters_are(script, words, frames):
    placed = place_words(heard(script), words, ALPHABET)
    for found, expected in zip(placed, frames, strict=True):
        if expected is None or not any(word.isdigit() for word in words):
            assert found == expected
        else:
            assert abs(found[0] - expected[0]) <= 4


def test_a_hyphen_that_the_alphabet_uses_for_silence_is_not_spelled():
    torchaudio_labels = {label: n for n, label in enumerate(["-", "|", *"abcdefghijklmnopqrstuvwxyz"])}
    assert Alphabet(torchaudio_labels, "|").spell("a-b") == [torchaudio_labels["a"], torchaudio_labels["b"]]


@pytest.mark.parametrize("words", [["привет", "мир"], ["0001"], ["—"], []])
def test_text_that_the_model_cannot_spell_is_not_placed(words):
    assert place_words(heard("..go.."), words, ALPHABET) == [None] * len(words)


def test_more_letters_than_frames_have_no_path():
    assert place_words(heard("go"), ["goodbye"], ALPHABET) == [None]


def test_the_path_is_as_likely_as_torchaudios():
    import torch
    import torchaudio

    random = np.random.default_rng(1)
    for _ in range(20):
        emission = np.log(random.dirichlet(np.full(8, 0.3), size=40) + 1e-9).astype(np.float32)
        tokens = random.integers(1, 8, size=random.integers(1, 12)).tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchaudio announces its own retirement
            labels, scores = torchaudio.functional.forced_align(
                torch.from_numpy(emission)[None], torch.tensor([tokens], dtype=torch.int32), blank=0
            )
        frames = best_path(emission, tokens, 0)
        path = np.zeros(40, dtype=int)
        for token, (first, last) in zip(tokens, frames, strict=True):
            path[first:last] = token
        assert emission[np.arange(40), path].sum() == pytest.approx(float(scores.sum()), abs=1e-3)
        assert [t for t, _ in zip(tokens, frames, strict=True)] == tokens
        assert labels.shape[1] == 40


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A folder with a wav2vec2 model as the hub has them, of 30,000 random weights."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("wav2vec2")
    vocabulary = folder / "labels.json"
    vocabulary.write_text(json.dumps({**LABELS, "<unk>": len(LABELS)}))
    config = Wav2Vec2Config(
        vocab_size=len(LABELS) + 1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    Wav2Vec2Processor(
        feature_extractor=Wav2Vec2FeatureExtractor(),
        tokenizer=Wav2Vec2CTCTokenizer(vocabulary, unk_token="<unk>", pad_token="<pad>", word_delimiter_token="|"),
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def aligner(checkpoint):
    return whisperx.load("en", str(checkpoint), "cpu", local_only=True)


def test_a_local_checkpoint_is_loaded_and_heard(aligner, checkpoint):
    samples = np.random.default_rng(1).normal(0, 0.1, 16_000 * 8).astype(np.float32)
    utterances = [
        Utterance(0.5, 4.0, ("We", "have", "42", "very,", "very", "good", "reasons", "—", "50%.")),
        Utterance(4.2, 4.21, ("too", "short")),
        Utterance(4.5, 7.9, ("and", "so", "on")),
    ]
    assert aligner.name == f"whisperx/{checkpoint.name}"
    assert aligner.alphabet.separator == "|"
    placed = aligner.align(samples, utterances)
    assert [len(spans) for spans in placed] == [9, 2, 3]
    for utterance, spans in zip(utterances, placed, strict=True):
        found = [span for span in spans if span]
        assert all(utterance.start <= start < end <= utterance.end + 1e-6 for start, end in found)
        assert found == sorted(found)
    assert [word for word, span in zip(utterances[0].words, placed[0], strict=True) if not span] == ["—"]
    assert placed[1] == [None, None]
    assert None not in placed[2]


def test_a_batch_hears_what_each_alone_would(aligner):
    samples = np.random.default_rng(2).normal(0, 0.1, 16_000 * 9).astype(np.float32)
    utterances = [Utterance(n * 3.0, n * 3.0 + 3.0, ("one", "two", "three", "four")) for n in range(3)]
    together = aligner._emissions(samples, utterances)
    alone = [aligner._emissions(samples, [utterance])[0] for utterance in utterances]
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_model_at_hand(checkpoint, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert whisperx.local_model("en", str(checkpoint)) == str(checkpoint)
    assert whisperx.local_model("en", "") is None
    cached = tmp_path / "torch" / "hub" / "checkpoints" / "wav2vec2_fairseq_base_ls960_asr_ls960.pth"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert whisperx.local_model("en", "") == "WAV2VEC2_ASR_BASE_960H"
    assert whisperx.local_model("de", "") is None


def test_a_folder_without_a_model_says_so(tmp_path):
    with pytest.raises(PipelineError, match="alignment model") as raised:
        whisperx.load("en", str(tmp_path), "cpu", local_only=True)
    assert raised.value.code is ErrorCode.MODEL_UNAVAILABLE
