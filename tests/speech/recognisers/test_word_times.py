from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe_pipeline.speech.recognisers.word_times import timed_words


def test_the_text_keeps_its_writing_and_takes_the_times():
    heard = [("And", 0.2, 0.5), ("so", 0.5, 0.8), ("my", 1.0, 1.2), ("fellow", 1.2, 1.5)]
    assert timed_words(' "And so, my fellow..."', 0.0, 2.0, heard, "en") == [
        ('"And', 0.2, 0.5),
        ("so,", 0.5, 0.8),
        ("my", 1.0, 1.2),
        ('fellow..."', 1.2, 1.5),
    ]


def test_words_cut_differently_are_told_by_their_letters():
    heard = [("ill", 1.0, 1.3), ("-disposed", 1.3, 2.0), (" 4", 2.0, 2.5), (",000", 2.5, 3.0)]
    assert timed_words("ill-disposed 4,000", 0.0, 3.0, heard, "en") == [
        ("ill-disposed", 1.0, 2.0),
        ("4,000", 2.0, 3.0),
    ]


def test_words_that_were_not_heard_lie_between_their_neighbours():
    heard = [("one", 1.0, 2.0), ("four", 4.0, 5.0)]
    assert timed_words("one two six four", 0.0, 6.0, heard, "en") == [
        ("one", 1.0, 2.0),
        ("two", 2.0, 3.0),
        ("six", 3.0, 4.0),
        ("four", 4.0, 5.0),
    ]


def test_without_any_words_heard_each_gets_time_by_its_letters():
    assert timed_words("a bcd", 2.0, 6.0, [], "en") == [("a", 2.0, 3.0), ("bcd", 3.0, 6.0)]


def test_scripts_without_spaces_are_cut_at_characters_and_keep_foreign_words():
    heard = [("AI", 0.0, 1.0), ("客観", 1.0, 2.0)]
    assert timed_words("AIと客観、的。", 0.0, 4.0, heard, "ja") == [
        ("AI", 0.0, 1.0),
        ("と", 1.0, 1.0),
        ("客", 1.0, 1.5),
        ("観、", 1.5, 2.0),
        ("的。", 2.0, 4.0),
    ]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_no_text_has_no_words(text):
    assert timed_words(text, 0.0, 1.0, [("word", 0.0, 1.0)], "en") == []


times = st.floats(-1, 12, allow_nan=False)
spans = st.tuples(times, times).map(lambda pair: tuple(sorted(pair)))


@given(
    text=st.text(alphabet="ab ß客、'…\n", max_size=30),
    heard=st.lists(st.tuples(st.text(alphabet="abß客' ", max_size=6), spans), max_size=8),
    language=st.sampled_from(["en", "ja", ""]),
)
def test_whatever_was_heard_the_words_are_those_of_the_text_in_order(text, heard, language):
    found = timed_words(text, 2.0, 9.0, sorted(((w, s, e) for w, (s, e) in heard), key=itemgetter(1, 2)), language)
    assert "".join("".join(word.split()) for word, _, _ in found) == "".join(text.split())
    reached = 2.0
    for _, start, end in found:
        assert reached <= start <= end <= 9.0 + 1e-9
        reached = end
