"""YAML from strangers: plain values, or one line that says what is wrong and where."""

import pytest

from transcribe_pipeline.text.plain_yaml import BadYaml, load


def test_plain_values_and_nothing_surprising():
    text = "language: no\nswitch: yes\nprompt: 2026-01-01\nat: 1:30\nflag: true\ncount: 3\nnames: [Zoë, '007']\nnone:\n"
    assert load(text.encode()) == {
        "language": "no",
        "switch": "yes",
        "prompt": "2026-01-01",
        "at": "1:30",
        "flag": True,
        "count": 3,
        "names": ["Zoë", "007"],
        "none": None,
    }


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"# nothing yet\n"])
def test_an_empty_document_is_none(data: bytes):
    assert load(data) is None


def test_a_byte_order_mark_is_no_part_of_the_first_name():
    assert load(b"\xef\xbb\xbflanguage: de") == {"language": "de"}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"a: &bomb [x]\nb: *bomb", ", line 1: aliases are not allowed"),
        (b"a: 1\nb: *nowhere", ", line 2: aliases are not allowed"),
        (b"!!python/object/apply:os.system ['true']", ", line 1: tags are not allowed"),
        (b"a: !!int 3", ", line 1: tags are not allowed"),
        (b"a: 1\nb: 2\na: 3", ", line 3: a name is given twice"),
        (b"? [a, b]\n: 1", ", line 1: a name must be text"),
        (b"7: 1", ", line 1: a name must be text"),
        (b"[" * 30_000, ", line 1: nested too deeply"),
        (b"a: [1", ", line 1: expected ',' or ']', but got '<stream end>'"),
        (b"a: 1\n---\nb: 2", ", line 2: but found another document"),
        (b"a: \x00", ": not text in YAML"),
        (b"\xff\xfea\x00", ": not UTF-8"),
        (b"#" * (64 * 1024 + 1), ": larger than 64 KiB"),
    ],
)
def test_what_is_refused_is_said_with_its_line(data: bytes, told: str):
    with pytest.raises(BadYaml) as bad:
        load(data)
    assert str(bad.value) == told


def test_numbers_of_any_length_cost_nothing():
    """int() of a long string takes quadratic time, and Python refuses it."""
    assert load(b"a: " + b"9" * 60_000) == {"a": float("inf")}
