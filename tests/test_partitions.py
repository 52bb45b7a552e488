"""Partition keys: readable, safe as paths, stable, unique, whatever people call their files."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcribe_pipeline.partitions import partition_key

# An object store may hand out any key; a POSIX folder even bytes that are not UTF-8 (surrogates).
object_keys = st.text(st.characters(codec=None), max_size=200).map(lambda name: f"uploads/ann/{name}")


@settings(deadline=None)
@given(object_keys)
def test_any_key_makes_a_safe_partition(key):
    assert re.fullmatch(r"[a-z0-9-]{1,48}-[0-9a-f]{12}", partition_key(key))


@settings(deadline=None)
@given(object_keys, object_keys)
def test_different_keys_are_different_partitions(one, other):
    assert (partition_key(one) == partition_key(other)) == (one == other)


def test_the_file_name_can_be_recognised_and_stays_the_same():
    # A literal: keys are stored in ledgers and artifact paths, so a changed rule would orphan every file.
    assert partition_key("uploads/ann/Board Meeting.mp3") == "board-meeting-mp3-8e1a3e7828ff"


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Straße.wav", "strasse-wav"),
        ("../../etc/passwd", "passwd"),
        ("-rf.mp3", "rf-mp3"),
        ("...", "file"),
        ("🎙️", "file"),
        ("x" * 300, "x" * 48),
    ],
)
def test_slugs(name, slug):
    assert partition_key(f"uploads/ann/{name}")[:-13] == slug


def test_the_same_name_under_two_owners_is_two_files():
    assert partition_key("uploads/ann/a.mp3") != partition_key("uploads/bob/a.mp3")
