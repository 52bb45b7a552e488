# ruff: noqa: RUF001  # characters that look like others are what is tested
"""Texts of all scripts become tokens that SQLite can keep, and every token knows where it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.export.strategies import NASTY
from transcribe_pipeline.search.query_text import is_part_of_word
from transcribe_pipeline.search.tokens import fold, is_word, stem, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Bank's 3.5 %", ["the", "bank", "s", "3", "5"]),
        ("snake_case e-mail", ["snake", "case", "e", "mail"]),
        ("Häuser in der Straße, ÜBER", ["hauser", "in", "der", "strasse", "uber"]),
        ("Łódź Đorđe Ærø œuvre İstanbul ılık", ["lodz", "dorde", "aero", "oeuvre", "istanbul", "ilik"]),
        ("Cafe\u0301 naïve", ["cafe", "naive"]),
        ("Ёлка МОЙ", ["елка", "мои"]),
        ("الْكِتَابُ كتـاب", ["الكتاب", "كتاب"]),
        ("שָׁלוֹם", ["שלום"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("東京都AI研究", ["東", "京", "都", "ai", "研", "究"]),
        ("がガ ｂａｎｋ ﬁx", ["が", "ガ", "bank", "fix"]),
        ("서울에서", ["서", "울", "에", "서"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("Tiếng Việt", ["tieng", "viet"]),
        ("🙂 … — ''", []),
    ],
)
def test_words_are_folded_and_unspaced_scripts_cut(text, expected):
    assert [token.text for token in tokens(text)] == expected


def test_tokens_know_where_they_stand():
    text = "Über 東京, naïve"
    assert [text[token.start : token.end] for token in tokens(text)] == ["Über", "東", "京", "naïve"]


@pytest.mark.parametrize(
    ("forms", "language"),
    [
        (("houses", "house"), "en"), (("häuser", "haus"), "de"), (("chevaux", "cheval"), "fr"),
        (("canciones", "canción"), "es"), (("ragazzi", "ragazzo"), "it"), (("livros", "livro"), "pt"),
        (("книги", "книга"), "ru"), (("الكتاب", "كتاب"), "ar"),
    ],
)  # fmt: skip
def test_forms_of_a_word_have_one_stem(forms, language):
    assert len({stem(form, language) for form in forms}) == 1
    assert stem(forms[0], language)


def test_a_language_without_stemmer_has_no_stems():
    assert stem("house", "xx") is None
    assert stem("東", "ja") is None


def test_names_are_folded_as_one():
    assert fold("Budget – Meeting (2).MP4") == "budget meeting 2 mp4"
    assert fold("東京 Ünal") == "東京 unal"
    assert fold("") == ""


def test_words_are_what_has_a_spelling():
    assert is_word("haus")
    assert is_word("елка")
    assert not is_word("東")
    assert not is_word("서")


@given(st.text() | st.lists(st.sampled_from(NASTY)).map(" ".join))
def test_any_text_gives_tokens_of_word_characters_in_order(text):
    end = 0
    for token in tokens(text):
        assert token.text
        assert all(is_part_of_word(character) for character in token.text)
        assert 0 <= token.start < token.end <= len(text)
        assert token.end >= end
        end = token.end
