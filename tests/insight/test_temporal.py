"""Words about time, by language, and which of them nobody else can place."""

import pytest
from hypothesis import given

from tests.export.strategies import transcripts
from tests.insight.recordings import meeting, spoken
from transcribe_pipeline.insight.temporal import markers


def found(text, language="en"):
    return [(marker.text, marker.needs_clarification) for marker in markers(spoken(f"0 {text}", language))]


@pytest.mark.parametrize(
    ("text", "marker"),
    [
        ("Let's meet next Tuesday morning.", "next Tuesday morning"),
        ("It broke last Tuesday.", "last Tuesday"),
        ("We ship in two months.", "in two months"),
        ("That was yesterday, I think.", "yesterday"),
        ("A couple of weeks ago it worked.", "A couple of weeks ago"),
        ("Send it by Friday!", "by Friday"),
        ("We need it at the end of the quarter.", "end of the quarter"),
        ("See you the day after tomorrow.", "day after tomorrow"),
        ("It's due in two months\u2019 time.", "in two months\u2019 time"),
    ],
)
def test_relative_times_need_clarification(text, marker):
    assert found(text) == [(marker, True)]


@pytest.mark.parametrize(
    "text",
    [
        "It is due on March 14th.",
        "It is due on the 3rd of May 2025.",
        "That was in 2019.",
        "See 2024-03-14.",
        "On 14/3/2024.",
    ],
)
def test_dates_need_none(text):
    ((_, needs),) = found(text)
    assert not needs


def test_a_date_beside_it_places_a_relative_time():
    assert found("So next Tuesday, March 14th.") == [("next Tuesday", False), ("March 14th", False)]


@pytest.mark.parametrize(
    "text",
    [
        "Every Friday we have lunch.",
        "Tuesdays are bad.",
        "You may march on.",
        "He may go.",
        "She saw two people.",
        "The second time we won.",
        "Once upon a time.",
        "In ten minutes.",
    ],
)
def test_what_is_no_time_or_no_question(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("language", "text", "marker"),
    [
        ("de", "Wir treffen uns nächsten Dienstag.", "nächsten Dienstag"),
        ("de", "Das war vor zwei Wochen.", "vor zwei Wochen"),
        ("de", "Ich komme übermorgen.", "übermorgen"),
        ("fr", "On se voit mardi prochain.", "mardi prochain"),
        ("fr", "C'était il y a deux semaines.", "il y a deux semaines"),
        ("es", "Nos vemos la semana que viene.", "semana que viene"),
        ("es", "Fue hace dos meses.", "hace dos meses"),
        ("it", "Era due settimane fa.", "due settimane fa"),
        ("it", "Ci vediamo martedì prossimo.", "martedì prossimo"),
        ("pt", "Foi há duas semanas.", "há duas semanas"),
        ("pt", "Até a próxima semana.", "próxima semana"),
        ("nl", "Dat was twee weken geleden.", "twee weken geleden"),
        ("nl", "Tot volgende week.", "volgende week"),
    ],
)
def test_other_languages(language, text, marker):
    assert found(text, language) == [(marker, True)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Guten Morgen, Frau Weber."),
        ("de", "Am Morgen war es kalt."),
        ("es", "Por la mañana."),
        ("nl", "Goedemorgen."),
    ],
)
def test_mornings_are_no_tomorrows(language, text):
    assert found(text, language) == []


def test_nothing_is_claimed_in_languages_that_are_not_known():
    assert found("来週の火曜日です。", "ja") == []


def test_the_surest_are_those_that_cannot_mean_anything_else():
    sure, less = (markers(spoken(f"0 {text}"))[0].confidence for text in ("Three weeks ago.", "It is Tuesday."))
    assert less < sure < 1


def test_a_meeting():
    assert [(m.segment, m.text) for m in markers(meeting())][:4] == [
        (8, "yesterday"),
        (10, "by Thursday"),
        (11, "by Thursday"),
        (15, "the seventeenth of May"),
    ]


@given(transcripts())
def test_markers_are_words_of_their_segment_in_order(transcript):
    made = markers(transcript)
    assert [marker.segment for marker in made] == sorted(marker.segment for marker in made)
    for marker in made:
        assert marker.text in " ".join(transcript.segments[marker.segment].text.split())
        assert 0 < marker.confidence < 1
