"""Marks in an answer become pieces of the text, whatever the text holds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcribe_pipeline.search.index import Piece, Scope
from transcribe_pipeline.search.opensearch_query import any_of, pieces, within


@pytest.mark.parametrize(
    ("text", "marked", "expected"),
    [
        ("", [], []),
        ("a bank", [], [("a bank", False)]),
        ("a bank", ["a \x02bank\x03"], [("a ", False), ("bank", True)]),
        ("bank of a bank", ["\x02bank\x03 of a \x02bank\x03"], [("bank", True), (" of a ", False), ("bank", True)]),
        # Each analysed field marks what it has matched.
        ("our houses", ["\x02our\x03 houses", "our \x02houses\x03"], [("our", True), (" ", False), ("houses", True)]),
        ("houses", ["\x02house\x03s", "\x02houses\x03"], [("houses", True)]),
        ("機械学習", ["\x02機\x03\x02械\x03学習"], [("機械", True), ("学習", False)]),
        # Somebody else's marks.
        ("a\x02bank\x03", ["a\x02\x02bank\x03\x03"], [("a\x02bank\x03", False)]),
    ],
)
def test_marks_become_pieces(text, marked, expected):
    assert pieces(text, [[each] for each in marked]) == tuple(Piece(*piece) for piece in expected)


@given(st.lists(st.tuples(st.text(st.characters(exclude_characters="\x02\x03"), min_size=1), st.booleans())))
def test_pieces_make_up_the_text_and_take_turns(stretches):
    text = "".join(said for said, _ in stretches)
    made = pieces(text, [["".join(f"\x02{said}\x03" if is_match else said for said, is_match in stretches)]])
    assert "".join(piece.text for piece in made) == text
    assert all(one.is_match != other.is_match for one, other in pairwise(made))
    marked = "".join(said for said, is_match in stretches if is_match)
    assert "".join(piece.text for piece in made if piece.is_match) == marked


def test_what_cannot_be_sent_matches_nothing():
    """It must not become a wish that is left out, nor another owner's name."""
    assert any_of("owner", ["\ud800"]) == {"match_none": {}}
    assert any_of("owner", ["ann", "\ud800"]) == {"terms": {"owner": ["ann"]}}
    confined = within(Scope.of("\ud800"), {"match_all": {}})
    assert confined["bool"]["filter"] == [{"match_none": {}}]
