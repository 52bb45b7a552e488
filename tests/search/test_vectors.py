"""The bundled model tells what is alike; rankings are fused."""

import socket

import numpy as np
import pytest

from tests.export.transcripts import timed, transcript_of
from tests.search.samples import Signs, document, with_chunks
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.embedded import EmbeddedIndex
from transcribe_pipeline.search.index import Query, Scope
from transcribe_pipeline.search.vectors import MIN_SIMILARITY, embedded_chunks, fuse
from transcribe_pipeline.text.embeddings import SentenceModel, bundled_folder, load_embedder

SAID = [
    "We should lower the interest rates because inflation is falling and people want to borrow.",
    "My puppy ate the whole cake at the birthday party and then slept on the sofa.",
    "The storm destroyed the roofs of several houses near the coast.",
]


@pytest.fixture(scope="module")
def minilm():
    if not bundled_folder():
        pytest.skip("the bundled sentence model is not installed")
    embedder = load_embedder("auto")
    assert embedder
    return embedder


def test_what_both_rankings_have_comes_first():
    fused = fuse(["a", "b", "c"], ["c", "d"])
    assert list(fused) == ["c", "a", "b", "d"]
    assert fused["c"] == pytest.approx(1 / 63 + 1 / 61)
    assert fuse([], []) == {}
    assert list(fuse(["a"], ["b"])) == ["a", "b"]


def test_no_model_is_no_embedder():
    assert load_embedder("none") is None


def test_a_model_that_cannot_be_loaded_is_said(tmp_path):
    with pytest.raises(PipelineError) as refused:
        SentenceModel("empty", str(tmp_path)).embed(["text"])
    assert refused.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_words_are_found_even_if_the_model_cannot_be_loaded(tmp_path):
    index = EmbeddedIndex(tmp_path / "search.db", SentenceModel(Signs.name, str(tmp_path)))
    index.put(with_chunks("x", "ann", [["The puppy barks."]]))
    results = index.search(Query("puppy", semantic=True), Scope.of("ann"))
    assert results.total_hits == 1
    (note,) = results.notes
    assert note.startswith("Only words were searched.")


def test_a_folder_is_called_by_its_name(tmp_path):
    embedder = load_embedder(str(tmp_path))
    assert embedder
    assert embedder.name == tmp_path.name


def test_vectors_have_unit_length_and_need_no_network(minilm, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a network was asked"))
    vectors = minilm.embed(SAID)
    assert (vectors.shape, vectors.dtype) == ((3, minilm.dimensions), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert minilm.embed([]).shape == (0, minilm.dimensions)
    assert minilm.name == "all-MiniLM-L6-v2"


@pytest.mark.parametrize(("query", "nearest"), [("monetary policy", 0), ("dog", 1), ("bad weather", 2)])
def test_like_meanings_are_near(minilm, query, nearest):
    similarities = minilm.embed(SAID) @ minilm.embed([query])[0]
    assert int(similarities.argmax()) == nearest
    assert [similarity >= MIN_SIMILARITY for similarity in similarities] == [i == nearest for i in range(3)]


def test_a_transcript_is_found_by_meaning(minilm, tmp_path):
    transcript = transcript_of([("S", timed(text * 8, start=1000.0 * i)) for i, text in enumerate(SAID)])
    chunks = embedded_chunks(transcript, minilm)
    assert [(chunk.position, chunk.first_segment, chunk.last_segment) for chunk in chunks] == [
        (0, 0, 0), (1, 1, 1), (2, 2, 2),
    ]  # fmt: skip
    index = EmbeddedIndex(tmp_path / "search.db", minilm)
    lines = [("S", text) for text in SAID]
    index.put(document("x", "ann", "en", lines, chunks=chunks, embedding_model=minilm.name))
    results = index.search(Query("bad weather", semantic=True), Scope.of("ann"))
    assert [(hit.position, hit.by_meaning) for hit in results.files[0].hits] == [(2, True)]
    assert not results.notes
