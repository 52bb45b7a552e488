"""Whose voice is whose, on embeddings with known likeness."""

import numpy as np
import pytest

from transcribe_pipeline.speech.diarizer import SpeakerCount
from transcribe_pipeline.speech.diarizers import clustering
from transcribe_pipeline.speech.diarizers.clustering import group_voices, two_halves

DIMENSIONS = 192


def voices(likeness: float, speakers: list[int], noise: float = 0.3, seed: int = 0) -> np.ndarray:
    """An embedding for each entry of `speakers`; two different speakers have about this cosine similarity."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(DIMENSIONS, max(speakers) + 2)))[0].T
    centres = np.sqrt(likeness) * axes[-1] + np.sqrt(1 - likeness) * axes[:-1]
    items = centres[speakers] + noise * random.normal(size=(len(speakers), DIMENSIONS)) / np.sqrt(DIMENSIONS)
    return (items / np.linalg.norm(items, axis=1, keepdims=True)).astype(np.float32)


def grouped(embeddings, count=SpeakerCount(), seconds=2.0, windows=None, **options) -> list[int]:  # noqa: B008
    number = len(embeddings)
    windows = np.arange(number) if windows is None else np.array(windows)
    return list(group_voices(embeddings, np.broadcast_to(np.array(seconds), number), windows, count, **options))


def partition(labels) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(np.array(labels) == label).tolist()) for label in set(labels)}


def test_each_voice_is_a_speaker():
    truth = [0, 1, 2, 0, 1, 2, 2, 0] * 5
    assert partition(grouped(voices(0.3, truth))) == partition(truth)


@pytest.mark.parametrize("number", [1, 2])
def test_few_items(number):
    assert grouped(voices(0.0, [0] * number)) == [0] * number


def test_too_little_speech_is_no_speaker():
    truth = [0] * 6 + [1]
    labels = grouped(voices(0.0, truth), seconds=[2.0] * 6 + [0.5])
    assert labels == [0] * 6 + [-1]


def test_the_only_one_who_speaks_is_a_speaker_however_little():
    assert grouped(voices(0.0, [0]), seconds=0.4) == [0]


@pytest.mark.parametrize(
    ("count", "speakers"),
    [
        (SpeakerCount(), 3),
        (SpeakerCount(exactly=2), 2),
        (SpeakerCount(exactly=5), 5),
        (SpeakerCount(at_most=2), 2),
        (SpeakerCount(at_most=4), 3),
        (SpeakerCount(at_least=4), 4),
        (SpeakerCount(at_least=2), 3),
        (SpeakerCount(at_least=2, at_most=2), 2),
        (SpeakerCount(exactly=100), 30),  # as many as there are items
    ],
)
def test_the_number_of_speakers_is_honoured(count, speakers):
    labels = grouped(voices(0.3, [0, 1, 2] * 10), count)
    assert set(labels) == set(range(speakers))


def test_merged_speakers_are_the_most_alike():
    truth = [0, 1, 2] * 10
    embeddings = voices(0.2, truth)
    alike = voices(0.5, truth)
    embeddings[np.array(truth) > 0] = alike[np.array(truth) > 0]
    labels = np.array(grouped(embeddings, SpeakerCount(exactly=2)))
    assert partition(labels) == partition([0 if t == 0 else 1 for t in truth])


def test_voices_told_apart_in_the_same_windows_stay_apart():
    """As in a telephone call, where the line makes all voices alike."""
    truth = [0, 1] * 10
    embeddings = voices(0.68, truth)
    assert len(set(grouped(embeddings))) == 1
    together = [n // 2 for n in range(20)]
    assert partition(grouped(embeddings, windows=together)) == partition(truth)


def test_blocks_of_a_long_recording_share_their_speakers(monkeypatch):
    truth = [0, 1, 2, 3, 1, 0] * 30
    embeddings = voices(0.3, truth)
    whole = partition(grouped(embeddings))
    monkeypatch.setattr(clustering, "_BLOCK", 25)
    assert partition(grouped(embeddings)) == whole == partition(truth)
    assert len(set(grouped(embeddings, SpeakerCount(exactly=3)))) == 3


def test_two_halves_are_the_two_voices():
    truth = [0, 0, 1, 0, 1]
    second = two_halves(voices(0.4, truth), np.ones(5))
    assert partition(second.astype(int)) == partition(truth)
