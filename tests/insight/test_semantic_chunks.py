"""Every word is in a chunk, and chunks end where people would end them."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.strategies import transcripts
from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.insight.semantic_chunks import OVERLAP, WORDS, semantic_chunks, uncovered_words

SENTENCE = "We have looked at this from every side, and still nobody knows."  # 12 words


def talk(*turns, language="en"):
    """(speaker, sentences) -> a segment for each sentence, one after the other."""
    made, time = [], 0.0
    for speaker, sentences in turns:
        for sentence in sentences:
            made.append((speaker, timed(sentence, start=time)))
            time = made[-1][1][-1].end + 0.05
    transcript = transcript_of(made, language)
    # One paragraph for each speaker's turn.
    paragraphs, first = [], 0
    for speaker, sentences in turns:
        last = first + len(sentences) - 1
        paragraphs.append(transcript.paragraphs[first].model_copy(update={"speaker": speaker, "last_segment": last}))
        first = last + 1
    return transcript.model_copy(update={"paragraphs": tuple(paragraphs)})


def cut(transcript, embedder=None):
    made = semantic_chunks(transcript, "t1", embedder)
    assert uncovered_words(made, transcript) == 0
    return made.chunks


def test_a_short_recording_is_one_chunk():
    transcript = talk(("SPEAKER_00", [SENTENCE]), ("SPEAKER_01", ["Nor do I."]))
    (chunk,) = cut(transcript)
    assert chunk.text_content == f"{SENTENCE} Nor do I."
    assert (chunk.word_count, chunk.character_count) == (15, len(chunk.text_content))
    assert (chunk.start_word_index, chunk.end_word_index, chunk.overlap_words) == (0, 15, 0)
    assert (chunk.first_segment, chunk.last_segment) == (0, 1)
    assert (chunk.start, chunk.end) == (0.0, transcript.segments[-1].end)
    assert chunk.speakers == ("SPEAKER_00", "SPEAKER_01")


def test_no_speech_is_no_chunk():
    assert cut(transcript_of([])) == ()


def test_chunks_have_about_150_words_and_overlap_by_25():
    made = cut(talk(("SPEAKER_00", [SENTENCE] * 200)))
    assert {chunk.overlap_words for chunk in made[1:]} == {OVERLAP}
    assert all(abs(chunk.word_count - WORDS) < 12 for chunk in made[:-2])  # to the nearest sentence
    for left, right in pairwise(made):
        assert left.text_content.split()[-OVERLAP:] == right.text_content.split()[:OVERLAP]
        assert left.text_content.endswith("knows.")
    assert [chunk.chunk_index for chunk in made] == list(range(len(made)))


@pytest.mark.parametrize("words", [181, 190, 230, 274, 275, 276, 300])
def test_the_rest_is_no_scrap(words):
    made = cut(transcript_of([("SPEAKER_00", timed("word " * words))]))
    assert all(chunk.word_count >= 80 for chunk in made)


def test_a_speaker_change_is_better_than_the_right_length():
    # 132 words, then another speaker: nearer to 150 are the ends of two sentences.
    transcript = talk(("SPEAKER_00", [SENTENCE] * 11), ("SPEAKER_01", [SENTENCE] * 20))
    first, second, *_ = cut(transcript)
    assert (first.word_count, first.speakers) == (132, ("SPEAKER_00",))
    assert second.speakers == ("SPEAKER_00", "SPEAKER_01")


def test_a_sentence_without_end_is_cut_at_a_clause():
    words = ["word"] * 400
    words[140] = words[265] = words[300] = "word,"
    first, second, _ = cut(transcript_of([("SPEAKER_00", timed(words))]))
    assert (first.end_word_index, second.end_word_index) == (141, 266)


class ByWord:
    """An embedder that knows what is about cheese and what is about stars."""

    name = "by word"
    dimensions = 3

    def embed(self, texts):
        return np.array([["cheese" in text, "stars" in text, 0.5] for text in texts], np.float32)


def test_a_shift_of_topic_is_better_than_the_right_length():
    cheese = "We all like this old cheese, though nobody can say why today."
    stars = "There are more stars than anybody can count in a long life."
    transcript = talk(("SPEAKER_00", [cheese] * 14 + [stars] * 20 + [SENTENCE] * 80))
    without, *_ = cut(transcript)
    assert without.word_count == 144  # 156 is as near, and later
    made = semantic_chunks(transcript, "t1", ByWord())
    assert (made.embedding_model, made.chunks[0].word_count) == ("by word", 168)
    assert made.chunks[0].text_content.endswith("why today.")


@pytest.mark.parametrize("piece", ["東", "東京都に", "東京都にはたくさんの人が住んでいます。"])
def test_words_of_unspaced_languages_are_counted_by_characters(piece):
    words = [piece] * (6000 // len(piece))
    segments = [("SPEAKER_00", timed(words[i : i + 20], start=i * 0.3)) for i in range(0, len(words), 20)]
    transcript = transcript_of(segments, "ja")
    made = cut(transcript)
    assert all(200 <= chunk.character_count <= 2 * WORDS * 1.2 for chunk in made)
    for left, right in pairwise(made):
        shared = "".join(word.text for word in transcript.words[right.start_word_index : left.end_word_index])
        assert 2 * OVERLAP - len(piece) < len(shared) <= 2 * OVERLAP
        assert right.overlap_words * len(piece) == len(shared)


def test_when_something_was_is_asked_once_for_each_chunk():
    told = "We met on March 14th and we will meet again, and that is all."
    asked = "Well, she said that she would come back next Tuesday, if she can."
    transcript = talk(("SPEAKER_00", [SENTENCE] * 5 + [told] + [SENTENCE] * 20 + [told, asked] + [SENTENCE] * 6))
    first, second, third = (chunk.temporal_info for chunk in cut(transcript))
    assert (first.temporal_marker, first.requires_user_clarification) == ("March 14th", False)
    assert (second.temporal_marker, second.temporal_confidence) == (None, 0.0)
    assert (third.temporal_marker, third.requires_user_clarification) == ("next Tuesday", True)


@settings(max_examples=40)
@given(transcripts(), st.integers(1, 12))
def test_whatever_is_said_every_word_is_covered(transcript, times):
    turns = [(segment.speaker, segment.words) for segment in transcript.segments] * times
    made = cut(transcript_of(turns, transcript.language))
    assert [chunk.start_word_index for chunk in made] == sorted({chunk.start_word_index for chunk in made})
    assert semantic_chunks(transcript, "t1", None) == semantic_chunks(transcript, "t1", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"text_content": "something else"},
        {"word_count": 3},
        {"character_count": 1},
        {"overlap_words": 24},
        {"end_word_index": 200},
    ],
)
def test_what_is_not_as_it_says_covers_nothing(wrong):
    transcript = talk(("SPEAKER_00", [SENTENCE] * 30))
    made = semantic_chunks(transcript, "t1", None)
    first, second, *rest = made.chunks
    changed = made.model_copy(update={"chunks": (first, second.model_copy(update=wrong), *rest)})
    assert uncovered_words(changed, transcript) > 0


def test_a_missing_chunk_is_noticed():
    transcript = talk(("SPEAKER_00", [SENTENCE] * 60))
    made = semantic_chunks(transcript, "t1", None)
    missing = made.model_copy(update={"chunks": made.chunks[:1] + made.chunks[2:]})
    assert uncovered_words(missing, transcript) > made.chunks[1].word_count - 2 * OVERLAP
