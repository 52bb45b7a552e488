# ruff: noqa: RUF001  # letters of other scripts look like Latin ones
"""Key phrases: of real texts, in many languages and scripts, and of what is no text at all."""

import logging
from pydoc_data.topics import topics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.strategies import NASTY
from tests.insight.recordings import MEETING
from transcribe_pipeline.insight import key_phrases as module
from transcribe_pipeline.insight.key_phrases import key_phrases

PRINTING = [
    "Printing, in the only sense with which we are at present concerned, differs from most arts.",
    "The invention of movable metal letters may be considered as the invention of the art of printing.",
    "Movable metal letters were printed with in the fifteenth century.",
]


def phrases(texts, language="en", most=10):
    return [phrase for phrase, _ in key_phrases(texts, language, most=most)]


def test_what_a_meeting_is_about():
    found = phrases([line[2:] for line in MEETING.strip().splitlines()], most=20)
    assert {"crash", "release", "offer", "storage"} <= {phrase.lower() for phrase in found}


def test_best_first_with_weights_of_the_best():
    found = key_phrases(PRINTING, "en", most=5)
    weights = [weight for _, weight in found]
    assert weights[0] == 1.0
    assert weights == sorted(weights, reverse=True)
    assert all(0 < weight <= 1 for weight in weights)
    assert len(found) == 5
    assert found == key_phrases(PRINTING, "en", most=5)


def test_what_is_only_said_is_no_key_phrase():
    spoken = [
        "Yeah, um, you know, okay, right.",
        "Well, I mean, it's kind of, uh, great stuff.",
        "Okay, thanks guys, bye.",
    ]
    assert phrases(spoken) == []
    assert phrases([*spoken, "The glacier melts.", "A glacier moves."])[0] == "glacier"


def test_one_form_of_each():
    found = phrases(["A ray of light is bent.", "Rays of light are bent by a prism.", "Each ray meets the prism."])
    assert sum(phrase.lower() in ("ray", "rays") for phrase in found) == 1
    assert len({phrase.casefold() for phrase in found}) == len(found)


def test_written_as_it_mostly_is():
    found = phrases(["Glass is clear.", "I like glass.", "The glass broke.", "Berlin is big.", "He is in Berlin."])
    assert "glass" in found
    assert "Berlin" in found


@pytest.mark.parametrize(
    ("language", "texts", "expected"),
    [
        (
            "de",
            ["Die Zentralbank hebt den Leitzins an.", "Ein höherer Leitzins bremst, äh, die Inflation."],
            "Leitzins",
        ),
        ("cs", ["Centrální banka zvýšila úrokové sazby.", "Úrokové sazby rostou."], "Úrokové sazby"),
        ("ru", ["Центральный банк повысил ключевую ставку.", "«Центральный банк» доволен."], "Центральный банк"),
        ("el", ["Η κεντρική τράπεζα αύξησε τα επιτόκια;", "Τα επιτόκια ανεβαίνουν."], "επιτόκια"),
        ("ar", ["رفع البنك المركزي سعر الفائدة، وقال البنك المركزي ذلك؟"], "البنك المركزي"),
        ("hi", ["नई दिल्ली में संसद भवन है।", "संसद भवन बहुत पुराना है।"], "संसद भवन"),
        ("ja", ["日本銀行は政策金利を引き上げました。", "政策金利は高い。"], "政策金利"),
        ("zh", ["中国人民银行提高了基准利率。", "我们认为基准利率会影响房价。"], "基准利率"),
    ],
)
def test_many_languages(language, texts, expected):
    assert expected.lower() in [phrase.lower() for phrase in phrases(texts, language)]


def test_no_pieces_of_words_where_words_cannot_be_told():
    assert phrases(["ธนาคารกลางขึ้นอัตราดอกเบี้ยวันนี้"] * 3, "th") == []


def test_grammar_is_no_key_phrase_even_in_a_language_without_a_list():
    texts = [sentence for sentence in topics["exceptions"].split(". ") if sentence] * 3
    found = phrases([text.lower() for text in texts], "cy")
    assert "exception" in " ".join(found)
    assert not {"the", "of", "is", "a", "to", "in"} & set(found)


def test_a_book_costs_as_much_as_a_chapter(monkeypatch):
    read = []
    monkeypatch.setattr(module, "_plain", lambda text: read.append(text) or text)
    key_phrases(["seven words about the price of glass."] * 20_000, "en", most=3)
    assert 0.3 * module._MOST_WORDS < sum(len(text.split()) for text in read) <= 1.2 * module._MOST_WORDS


def test_one_text_of_a_million_characters_is_bounded():
    assert "prism" in phrases(["Light is bent by the glass of a prism. " * 30_000])


def test_nothing_of_what_was_said_gets_into_the_log(caplog, monkeypatch):
    import yake.core.yake

    monkeypatch.setattr(yake.core.yake, "DataCore", lambda **_: 1 / 0)  # YAKE logs what it was reading
    with caplog.at_level(logging.DEBUG):
        assert phrases(PRINTING) == []
    assert "Printing" not in caplog.text


@given(
    st.lists(st.sampled_from(NASTY) | st.text(max_size=20), max_size=8),
    st.sampled_from(["en", "ja", "zh", "th", "cy", "ar"]),
)
def test_any_text(texts, language):
    found = key_phrases(texts, language, most=4)
    assert len(found) <= 4
    for phrase, weight in found:
        assert phrase.strip() == phrase != ""
        assert "\n" not in phrase
        assert 0 < weight <= 1
