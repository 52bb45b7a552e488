# characters that look like others are what is tested
"""What people type becomes terms, whatever they type."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.search.index import MAX_TERMS
from transcribe_pipeline.search.query_text import ParsedQuery, Term, is_part_of_word, parse


def words(*texts: str) -> tuple[Term, ...]:
    return tuple(Term(text, "word") for text in texts)


@pytest.mark.parametrize(
    ("text", "required", "excluded"),
    [
        ("", (), ()),
        (" \t\x00\u2060 ", (), ()),
        ("interest rate", words("interest", "rate"), ()),
        ("rate rate", words("rate"), ()),
        ('"interest rate" up', (Term("interest rate", "phrase"), *words("up")), ()),
        ('"  interest\n rate  "', (Term("interest rate", "phrase"),), ()),
        ('say"what now"then', (*words("say"), Term("what now", "phrase"), *words("then")), ()),
        ('"never closed', (Term("never closed", "phrase"),), ()),
        ("“curly” „low“ «angles»", tuple(Term(text, "phrase") for text in ("curly", "low", "angles")), ()),
        ("inter*", (Term("inter", "prefix"),), ()),
        ("in* i* *", (Term("in", "prefix"), *words("i")), ()),
        ("intrest~", (Term("intrest", "fuzzy"),), ()),
        ("roam~2 ca*t", words("roam~2", "ca*t"), ()),
        ('rate -up~ -"not now" -fo*', words("rate"), (*words("up"), Term("not now", "phrase"), Term("fo", "prefix"))),
        ("well-known - --", words("well-known"), ()),
        ("AND OR NOT NEAR(a b)", words("AND", "OR", "NOT", "NEAR(a", "b"), ()),
        ("owner:bob {words}: (x) [a TO b]", words("owner:bob", "words", "x", "a", "TO", "b"), ()),
        ("don't C++ 3.5 %", words("don't", "C", "3.5"), ()),
        ("Cafe\u0301", words("Café"), ()),
        ("हिन्दी, 東京都。", words("हिन्दी", "東京都"), ()),
        ("a\x00b", words("ab"), ()),
    ],
)  # fmt: skip
def test_text_becomes_terms(text, required, excluded):
    assert parse(text) == ParsedQuery(required, excluded)


@pytest.mark.parametrize(
    "text", ["-only", '-"not this" -that', "*", "!?", '"', '""', "-", "🙂", " ".join(map(str, range(33)))]
)
def test_what_cannot_be_asked_is_said(text):
    with pytest.raises(PipelineError) as refused:
        parse(text)
    assert refused.value.code is ErrorCode.BAD_QUERY


def test_as_many_words_as_are_allowed_are_read():
    text = " ".join(f"word{i}" for i in range(MAX_TERMS))
    assert len(parse(text).required) == MAX_TERMS
    assert parse(f'"{text}"').required == (Term(text, "phrase"),)


def test_misspelt_words_are_replaced_where_they_may_be():
    query = parse('intrest rat* "intrest x" intrest~ -intrest')
    assert str(query.with_words(str.upper)) == 'INTREST rat* "intrest x" INTREST~ -intrest'


_OPERATORS = st.sampled_from(
    ['"', "-", "*", "~", " ", '-"', "ab", "a", "é", "\x00", "東", "(", ":", "\\", "\ud800", "“"]
)


@given(st.text() | st.lists(_OPERATORS, max_size=20).map("".join))
@example("\ud800")
@example("Å\u0327\u030a -\u0301")
def test_every_text_is_a_query_or_a_known_error(text):
    try:
        parsed = parse(text)
    except PipelineError as error:
        assert error.code is ErrorCode.BAD_QUERY  # noqa: PT017
        return
    for term in (*parsed.required, *parsed.excluded):
        assert term.text == unicodedata.normalize("NFC", term.text)
        assert is_part_of_word(term.text[0])
        assert is_part_of_word(term.text[-1])
        assert '"' not in term.text
        assert term.text.isprintable() or not term.text.isascii()
    assert parse(str(parsed)) == parsed
