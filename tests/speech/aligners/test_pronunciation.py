"""How written English sounds, with a dictionary small enough to read."""

import pytest

from transcribe_pipeline.speech.aligners.pronunciation import pronunciations

DICTIONARY = {
    "ten": "T EH N",
    "thirty": "TH ER T IY",
    "one": "W AO N",
    "two": "T UW",
    "three": "TH R IY",
    "five": "F AY V",
    "twenty": "T W EH N T IY",
    "first": "F ER S T",
    "point": "P OY N T",
    "hundred": "HH AH N D R AH D",
    "thousand": "TH AW Z AH N D",
    "nineteen": "N AY N T IY N",
    "nine": "N AY N",
    "eighty": "EY T IY",
    "eighties": "EY T IY Z",
    "four": "F AO R",
    "oh": "OW",
    "zero": "Z IH R OW",
    "seven": "S EH V AH N",
    "dollars": "D AA L ER Z",
    "percent": "P ER S EH N T",
    "and": "AH N D",
    "cafe": "K AH F EY",
    "it's": "IH T S",
    "us": "AH S",
    "u.": "Y UW",
    "s.": "EH S",
    "ill": "IH L",
    "disposed": "D IH S P OW Z D",
    "quilter": "K W IH L T ER",
}
SOUNDS = {phones: word for word, phones in DICTIONARY.items()}


def said(word: str) -> list[str]:
    return pronunciations(word, DICTIONARY.get)


def phones(*words: str) -> str:
    return " ".join(DICTIONARY[word] for word in words)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Café", ["cafe"]),
        ("It’s", ["it's"]),  # noqa: RUF001
        ("ill-disposed", ["ill", "disposed"]),
        ("21st", ["twenty", "first"]),
        ("30,", ["thirty"]),
        ("3.5", ["three", "point", "five"]),
        ("10:30", ["ten", "thirty"]),
        ("1,200", ["one", "thousand", "two", "hundred"]),
        ("$5", ["five", "dollars"]),
        ("30%", ["thirty", "percent"]),
        ("007", ["zero", "zero", "seven"]),
        ("&", ["and"]),
    ],
)
def test_words_are_said_as_people_say_them(written, spoken):
    assert said(written)[0] == phones(*spoken)


def test_a_year_may_be_said_either_way():
    assert said("1984") == [
        phones("one", "thousand", "nine", "hundred", "eighty", "four"),
        phones("nineteen", "eighty", "four"),
    ]
    assert phones("nineteen", "oh", "four") in said("1904")
    assert phones("nineteen", "eighties") in said("1980s")


def test_capitals_may_be_a_word_or_letters():
    assert said("US") == [phones("us"), phones("u.", "s.")]


def test_a_possessive_of_a_known_name():
    assert said("Quilter's") == [phones("quilter") + " Z"]


def test_an_unknown_word_is_spelled_by_rule():
    assert said("blorping") == ["B L AO R P IH NG"]


@pytest.mark.parametrize("written", ["", "—", "...", "♪", "'", "東京"])
def test_what_is_not_english_speech_has_no_sound(written):
    assert said(written) == []


def test_a_hostile_word_stays_short():
    assert len(said("x" * 1_000_000)[0].split()) < 200
    assert len(said("9" * 1_000_000)[0].split()) < 400
