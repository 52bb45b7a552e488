"""The rules of turn-taking on small conversations, worked out by hand. 'A0-5' is: A talks from second 0 to 5."""

import pytest

from transcribe_pipeline.insight.analytics import floor
from transcribe_pipeline.insight.analytics.floor import Talkspurt


def talk(spans: str) -> dict[str, list[tuple[float, float]]]:
    by_speaker: dict[str, list[tuple[float, float]]] = {}
    for each in spans.split():
        start, end = each[1:].split("-")
        by_speaker.setdefault(each[0], []).append((float(start), float(end)))
    return by_speaker


def split(spans: str) -> tuple[list[Talkspurt], list[Talkspurt]]:
    return floor.split_backchannels(floor.talkspurts(talk(spans)))


def turns(spans: str) -> list[tuple[str, float, float]]:
    claims, _ = split(spans)
    return [(turn.speaker, turn.start, turn.end) for turn in floor.turns(claims)]


def backchannels(spans: str) -> list[tuple[str, float]]:
    return [(spurt.speaker, spurt.start) for spurt in split(spans)[1]]


def interruptions(spans: str) -> list[tuple[str, str, float]]:
    claims, _ = split(spans)
    return [(each.by, each.of, each.at) for each in floor.interruptions(claims, floor.turns(claims))]


def latencies(spans: str) -> list[tuple[str, float]]:
    claims, _ = split(spans)
    return [(each.by, pytest.approx(each.latency)) for each in floor.responses(floor.turns(claims))]


# --- turns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ("A0-5 A6.5-9", [("A", 0, 9)]),  # a pause of 1.5 s is the speaker's own
        ("A0-5 A7-9", [("A", 0, 9)]),  # so is one of 2 s
        ("A0-5 A7.1-9", [("A", 0, 5), ("A", 7.1, 9)]),  # one of 2.1 s ends the turn
        ("A0-5 B5.2-8 A8.1-12", [("A", 0, 5), ("B", 5.2, 8), ("A", 8.1, 12)]),
        ("A0-5 B5.2-6.8 A6.9-12", [("A", 0, 5), ("B", 5.2, 6.8), ("A", 6.9, 12)]),  # B talks in A's pause
        ("A0-5 B2-4 A5.5-9", [("A", 0, 9), ("B", 2, 4)]),  # B's talk ends before A pauses: A keeps the turn
        ("A0-5 B4-5.3 A5.5-9", [("A", 0, 5), ("B", 4, 5.3), ("A", 5.5, 9)]),  # B's outlasts A's
        ("A0-5 B5.2-5.8 A6-9", [("A", 0, 9)]),  # a back-channel in the pause ends nothing
        ("", []),
    ],
)
def test_turns(spans: str, expected: list[tuple[str, float, float]]) -> None:
    assert turns(spans) == expected


def test_a_monologue_is_the_turns_that_nobody_divides() -> None:
    claims, _ = split("A0-10 A13-20 B21-24 A25-30 B31-33 B36-38")
    # A: 10 + 7 s, then 5 s; B: 3 s, then 2 + 2 s. The pauses of 3 s count for nobody.
    assert floor.longest_monologues(floor.turns(claims)) == {"A": 17, "B": 4}


# --- back-channels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ("A0-10 B4-4.5", [("B", 4)]),  # within A's talk
        ("A0-10 B4-5", [("B", 4)]),  # a second at most
        ("A0-10 B4-5.1", []),
        ("A0-5 B5.3-5.7 A6-10", [("B", 5.3)]),  # in A's pause
        ("A0-5 B5.9-6.5 A7-10", [("B", 5.9)]),  # up to a second after A
        ("A0-5 B6.1-6.5 A7-10", []),  # later, nobody has the floor
        ("A0-5 B4.8-5.2 B5.5-9", []),  # B goes on: it was the beginning of a turn
        ("A0-5 B4.8-5.2 B7.5-9", [("B", 4.8)]),  # not at once
        ("A0-5 B4.8-5.2 C5.5-9", [("B", 4.8)]),
        ("B1-1.5 A2-9", []),  # nobody has the floor yet
        ("A0-5 A5.5-6", []),  # nobody's own
        ("A0-10 B2-2.4 C2.1-2.5 B6-6.3", [("B", 2), ("C", 2.1), ("B", 6)]),
        ("A0-5 B5.2-8 B8.3-8.8 A9-12", []),  # B has the floor, so B's last words are B's turn
    ],
)
def test_backchannels(spans: str, expected: list[tuple[str, float]]) -> None:
    assert backchannels(spans) == expected


def test_what_the_words_do_not_allow_is_no_backchannel() -> None:
    spurts = floor.talkspurts(talk("A0-5 B5.3-5.7 A6-10"))
    claims, found = floor.split_backchannels(spurts, may_be=lambda spurt: spurt.speaker != "B")
    assert (len(claims), found) == (3, [])
    claims, found = floor.split_backchannels(spurts, is_answer=lambda spurt, to: (spurt.speaker, to) == ("B", "A"))
    assert (len(claims), found) == (3, [])


# --- interruptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ("A0-5 B3-8", [("B", "A", 3)]),  # B takes the floor
        ("A0-9 B3-5", [("B", "A", 3)]),  # B does not get it
        ("A0-5 B4.6-8", []),  # 0.4 s before A's end, it was foreseen
        ("A0-5 B4.5-8", [("B", "A", 4.5)]),
        ("A0-9 B3-3.5", []),  # a back-channel
        ("A0-5 B0.1-6", []),  # they begin together
        ("A0-5 B0.25-6", [("B", "A", 0.25)]),
        ("A0-5 B5.5-8", []),
        ("A0-9 B3-6 C5-8", [("B", "A", 3), ("C", "A", 5)]),  # of A and B, A began first
        ("A0-9 B3-5 B5.5-7", [("B", "A", 3), ("B", "A", 5.5)]),  # two attempts
        ("A0-9 B3-5 B5.1-7", [("B", "A", 3)]),  # a gap of 0.1 s is no pause
        ("A0-5 B3-8 A6-9", [("B", "A", 3), ("A", "B", 6)]),  # A, interrupted, interrupts
    ],
)
def test_interruptions(spans: str, expected: list[tuple[str, str, float]]) -> None:
    assert interruptions(spans) == expected


# --- responses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ("A0-5 B5.4-8 A8-10", [("B", 0.4), ("A", 0.0)]),
        ("A0-5 B4.7-8", [("B", -0.3)]),
        ("A0-5 B2-4 B6-8", [("B", 1.0)]),  # B's first words did not take the floor
        ("A0-5 B10-12", [("B", 5.0)]),
        ("A0-5 B10.1-12", []),  # a lapse
        ("A0-5 A8-12 B12.5-14", [("B", 0.5)]),
        ("A0-5 B5.2-5.6 A6-9", []),  # a back-channel is no response, and what follows it answers nothing
    ],
)
def test_response_latencies(spans: str, expected: list[tuple[str, float]]) -> None:
    assert latencies(spans) == expected


# --- talkspurts and overlap -----------------------------------------------------------------------------------------


def test_a_gap_is_closed_unless_somebody_begins_in_it() -> None:
    assert len(floor.talkspurts(talk("A0-5 A5.1-9"))) == 1
    assert len(floor.talkspurts(talk("A0-5 A5.3-9"))) == 2
    assert len(floor.talkspurts(talk("A0-5 A5.1-9 B5-6"))) == 3


def test_overlap() -> None:
    # 2-3: A and B; 3-4: all; 4-5: A and C; 8-8.25: B and C.
    whole, each = floor.overlaps(talk("A0-5 B2-4 C3-6 B7-8.25 C8-9"))
    assert whole == 3.25
    assert each == {"A": 3, "B": 2.25, "C": 2.25}


def test_talk_that_touches_does_not_overlap() -> None:
    assert floor.overlaps(talk("A0-5 B5-8")) == (0, {"A": 0, "B": 0})
