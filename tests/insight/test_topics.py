"""Shifts of topic are found where real texts on different subjects meet."""

import random

import numpy as np
import pytest
from hypothesis import given, settings

from tests.export.strategies import transcripts
from tests.export.transcripts import timed, transcript_of
from tests.insight.texts import pk, recording, window_diff
from transcribe_pipeline.insight import topics
from transcribe_pipeline.insight.chapters import chapters
from transcribe_pipeline.text.embeddings import bundled_folder, load_embedder


class ByWord:
    """An embedder that knows what is about cheese and what is about stars."""

    name = "by word"
    dimensions = 3

    def embed(self, texts):
        return np.array([["cheese" in text, "stars" in text, 0.5] for text in texts], np.float32)


def three_subjects():
    sentences = (
        ["We all like old cheese."] * 20 + ["There are so many stars."] * 20 + ["Nobody knows where it ends."] * 20
    )
    return transcript_of([("A", timed(sentence, start=i * 2.0)) for i, sentence in enumerate(sentences)])


@pytest.mark.parametrize("embedder", [None, ByWord()])
def test_a_shift_is_where_the_subject_changes(embedder):
    depths = topics.depths(three_subjects(), embedder, window=50)
    assert [i for i, shift in enumerate(topics.shifts(depths)) if shift] == [19, 39]


@pytest.mark.parametrize("language", ["ja", "zh", "th"])
def test_words_need_no_spaces(language):
    said = ["東京都庁舎見学", "魚料理教室案内", "星空観察記録帳"]
    turns = [("A", timed([said[i // 20][k : k + 1] for k in range(7)], start=i * 3.0)) for i in range(60)]
    shifts = topics.shifts(topics.depths(transcript_of(turns, language), None, window=30))
    assert [i for i, shift in enumerate(shifts) if shift] == [19, 39]


def test_where_all_is_alike_nothing_shifts():
    same = transcript_of([("A", timed("We all like old cheese.", start=i * 2.0)) for i in range(60)])
    for embedder in (None, ByWord()):
        assert topics.depths(same, embedder, window=50) == pytest.approx([0.0] * 60, abs=1e-9)
    assert topics.shifts([0.0] * 60) == [0.0] * 60


def test_a_ripple_is_no_shift():
    depths = [0.0, 0.1, 0.05, 0.1, 0.0, 0.9, 0.0, 0.12, 0.0]
    assert [i for i, shift in enumerate(topics.shifts(depths)) if shift] == [5]
    assert [i for i, shift in enumerate(topics.shifts([0.0, 0.0, 0.4, 0.0])) if shift] == [2]


@settings(max_examples=40)
@given(transcripts())
def test_every_gap_has_a_depth(transcript):
    for embedder in (None, ByWord()):
        depths = topics.depths(transcript, embedder, window=10)
        assert len(depths) == len(transcript.segments) == len(topics.shifts(depths))
        assert all(0 <= depth <= 2 for depth in depths)
        assert depths == topics.depths(transcript, embedder, window=10)


# --- how well, on recordings of ten subjects ------------------------------------------------------------------------


def errors(embedder, seeds):
    """Mean Pk and WindowDiff of chapters, and of as many boundaries at random and evenly placed."""
    told: dict[str, list[tuple[float, float]]] = {"found": [], "random": [], "even": []}
    for seed in seeds:
        transcript, truth = recording(seed, 10)
        count = len(transcript.segments)
        made, _ = chapters(transcript, "t1", embedder, least_seconds=180, models=())
        placed = {
            "found": [chapter.last_segment for chapter in made.chapters[:-1]],
            "random": sorted(random.Random(seed).sample(range(count - 1), len(truth))),
            "even": [count * (i + 1) // 10 for i in range(9)],
        }
        for how, ends in placed.items():
            told[how].append((pk(truth, ends, count), window_diff(truth, ends, count)))
    return {how: np.mean(values, axis=0) for how, values in told.items()}


def test_the_figures_know_right_from_wrong():
    truth = [9, 19, 29]
    assert pk(truth, truth, 40) == window_diff(truth, truth, 40) == 0
    assert pk(truth, [10, 19, 29], 40) < pk(truth, [19, 29], 40) < pk(truth, [4, 14, 24], 40)
    assert window_diff(truth, [8, 9, 19, 29], 40) > pk(truth, [8, 9, 19, 29], 40) > 0


def test_terms_tell_subjects_apart():
    told = errors(None, range(6))
    assert told["found"].max() < 0.6 * min(told["even"].min(), told["random"].min())


@pytest.mark.e2e
def test_embeddings_tell_subjects_apart_better():
    """Pk over 16 recordings: 0.50 at random, 0.43 evenly placed, 0.18 by terms, 0.14 by embeddings."""
    if not bundled_folder():
        pytest.skip("the bundled sentence model is not installed")
    told = errors(load_embedder("auto"), range(3))
    assert told["found"].max() < 0.5 * min(told["even"].min(), told["random"].min())
