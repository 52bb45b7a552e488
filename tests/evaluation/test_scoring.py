"""Rates are what the field means by them, and are pooled by words and seconds."""

import pytest

from transcribe_pipeline.evaluation.references import Reference, TimedWord, Turn, Utterance
from transcribe_pipeline.evaluation.scoring import Heard, HeardWord, Rate, pooled, score, start_errors
from transcribe_pipeline.text.words import is_unspaced


def reference(**known) -> Reference:
    return Reference(recording=None, name="call.wav", **known)


def heard(text: str, *, language: str = "en", speakers: str = "", turns=()) -> Heard:
    """Words of a second each, from 0 on; `speakers` names one per word."""
    parts = list(text) if is_unspaced(language) else text.split()
    words = (
        HeardWord(part, float(position), position + 1.0, speakers[position] if speakers else None)
        for position, part in enumerate(parts)
    )
    return Heard(language, tuple(words), turns)


def test_english_is_compared_as_leaderboards_do():
    found = score(reference(language="en", text="Mr. Brown, he's twenty-one!"), heard("mister Brown he is 21"))
    assert found.wer == Rate(0, 5)
    assert found.cer == Rate(0, len("misterbrownheis21"))
    assert found.language == Rate(0, 1)


def test_every_kind_of_word_error_counts():
    found = score(reference(language="en", text="one fine day we met"), heard("a fine day met met again"))
    assert found.wer == Rate(3, 5)  # one -> a, we -> met, again


def test_languages_without_spaces_are_compared_by_characters():
    found = score(reference(language="ja", text="客観的実在の。"), heard("客観的実存の", language="ja"))
    assert (found.wer, found.cer) == (None, Rate(1, 6))


def test_marks_are_part_of_words():
    # Whisper's own normaliser would make both "क ताब" and hide the error.
    found = score(reference(language="hi", text="किताब"), heard("कताब", language="hi"))
    assert found.wer == Rate(1, 1)


def test_a_failure_has_heard_nothing():
    known = reference(
        language="en",
        text="how are you",
        utterances=(Utterance("a", "how are"), Utterance("b", "you")),
        turns=(Turn(0, 2, "a"), Turn(2, 3, "b")),
        words=(TimedWord("how", 0.0),),
    )
    found = score(known, Heard())
    assert (found.wer, found.cer, found.cpwer) == (Rate(3, 3), Rate(9, 9), Rate(3, 3))
    assert (found.der, found.speakers, found.language) == (Rate(3, 3), Rate(1, 1), Rate(1, 1))
    assert found.start_errors == ()


def test_what_is_not_known_is_not_scored():
    found = score(reference(text="how are you"), heard("how are you"))
    assert found.wer == Rate(0, 3)
    assert (found.cpwer, found.der, found.speakers, found.language, found.stray_words) == (None,) * 5


def test_words_must_be_with_the_right_speaker():
    said = (Utterance("ann", "how are you", 0, 3), Utterance("bob", "fine", 3, 4))
    right = score(reference(language="en", utterances=said), heard("how are you fine", speakers="xxxy"))
    wrong = score(reference(language="en", utterances=said), heard("how are you fine", speakers="xxyy"))
    assert right.cpwer == Rate(0, 4)
    assert wrong.cpwer == Rate(2, 4)  # one word too few here, one too many there
    assert right.wer is None  # in what order people who talk at once are written down is a matter of taste


def test_diarization_errors_are_seconds_without_collar_and_with_overlap():
    truth = (Turn(0, 10, "ann"), Turn(8, 12, "bob"))
    found = score(reference(turns=truth), heard("", turns=(Turn(0, 9, "x"), Turn(9, 13, "y"))))
    # 8-9: bob missed; 9-10: one of two missed; 12-13: invented
    assert found.der == Rate(pytest.approx(3), pytest.approx(14))
    assert found.speakers == Rate(0, 1)


def test_only_the_scored_region_counts():
    truth = (Turn(0, 10, "ann"),)
    found = score(reference(turns=truth, scored=((0, 5),)), heard("", turns=(Turn(0, 4, "x"), Turn(20, 30, "x"))))
    assert found.der == Rate(pytest.approx(1), pytest.approx(5))


def test_word_starts_are_compared_for_words_that_both_have():
    said = [TimedWord("how", 0.1), TimedWord("are", 1.0), TimedWord("you", 2.4)]
    assert start_errors(said, heard("how is you").words, "en") == pytest.approx((0.1, 0.4))


def test_a_word_that_normalisation_splits_has_one_start():
    said = [TimedWord("ill", 0.0), TimedWord("disposed", 0.6), TimedWord("man", 1.2)]
    assert start_errors(said, heard("ill-disposed man").words, "en") == pytest.approx((0.0, 0.2))


def test_starts_in_languages_without_spaces():
    said = [TimedWord("客観", 0.3), TimedWord("的", 2.5)]
    assert start_errors(said, heard("客観的", language="ja").words, "ja") == pytest.approx((0.3, 0.5))


def test_words_where_nobody_speaks():
    found = score(reference(speech=((1.0, 2.0),)), heard("uh yes thanks"))
    assert found.stray_words == Rate(2, 3)
    assert score(reference(speech=()), Heard("en")).stray_words == Rate(0, 0)


def test_rates_are_pooled_by_chances_not_by_recordings():
    rates = [Rate(1, 2), None, Rate(0, 98)]
    assert pooled(rates) == Rate(1, 100)
    assert pooled([None]) is None
    assert Rate(3, 0).value is None
