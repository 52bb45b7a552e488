"""What single sentences tell about speakers' names."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.transcripts import timed, transcript_of
from transcribe_pipeline.artifacts import Doubt, Transcript
from transcribe_pipeline.insight.person_names import MOST_CHARACTERS, is_name
from transcribe_pipeline.insight.spoken_names import Evidence, evidence

A, B, C = "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"
SMALL_TALK = "and then we talked about it for a while because it was late"
"""So that capitals are rare, as in any transcript."""


def talk(*turns: tuple[str | None, str], language: str = "en") -> Transcript:
    """The turns one after another, a second apart."""
    spoken, at = [], 0.0
    for speaker, text in turns:
        words = timed(text, at)
        at = words[-1].end + 1.0
        spoken.append((speaker, words))
    made = transcript_of(spoken, language)
    said = Counter(word for speaker, words in spoken for word in [speaker] * len(words))
    speakers = (speaker.model_copy(update={"words": said[speaker.label]}) for speaker in made.speakers)
    return made.model_copy(update={"speakers": tuple(speakers)})


def heard(*turns: tuple[str | None, str], language: str = "en") -> dict[tuple[str, str], Evidence]:
    """(label, name) -> the strongest evidence."""
    found: dict[tuple[str, str], Evidence] = {}
    for each in evidence(talk(*turns, (A, SMALL_TALK), language=language)):
        if each.weight > (found[each.label, each.name].weight if (each.label, each.name) in found else 0):
            found[each.label, each.name] = each
    return found


@pytest.mark.parametrize(
    ("text", "language", "name"),
    [
        ("Hello, my name is Sheila and I live here.", "en", "Sheila"),
        ("Hi, this is Diane in New Jersey.", "en", "Diane"),
        ("And I'm Sheila in Texas, originally from Chicago.", "en", "Sheila"),
        ("I'm your host, Ann Lee, and today we talk about money.", "en", "Ann Lee"),
        ("Good morning, I am Dr. Maria Lopez.", "en", "Maria Lopez"),
        ("This is Bob Ray for the evening report.", "en", "Bob Ray"),
        ("Guten Tag, mein Name ist Anna Müller und ich rufe wegen der Rechnung an.", "de", "Anna Müller"),
        ("Ich heiße Jürgen.", "de", "Jürgen"),
        ("Bonjour, je m'appelle Élodie et je travaille ici.", "fr", "Élodie"),
        ("Hola, me llamo José García y soy médico.", "es", "José García"),
        ("Buongiorno, mi chiamo Giulia e sono di qui.", "it", "Giulia"),
        ("Olá, meu nome é João.", "pt", "João"),
        ("Hallo, ik ben Sanne van de klantenservice.", "nl", "Sanne"),
    ],
)
def test_people_introduce_themselves(text: str, language: str, name: str):
    found = heard((B, text), language=language)
    assert set(found) == {(B, name)}
    assert found[B, name].source == "introduces themselves"
    assert found[B, name].weight >= 0.6
    assert found[B, name].segments == (0,)


@pytest.mark.parametrize(
    "text",
    [
        "This is great and I'm sorry.",
        "I'm Texan, and I'm Irish by the way.",
        "I'm Texas born.",
        "This is America.",
        "This is Bob's house.",
        "I'm Bob's boss.",
        "This is Windows on a small laptop.",
        "It's Monday and I'm Catholic.",
        "I'm not Bob.",
        "Thanks God it's over.",
        "Thank you, Mr. President.",
        "Thank you all, ladies and gentlemen.",
        "Good morning, Vietnam, and hello, World.",
        "However, you know what I mean.",
        "I went there with my brother, Bob.",
        "We saw Paris, London, Rome.",
        "Over here, please.",
        "Printing, as you know, began late, and before Printing there was no cheap printing.",
        "my name is bob and this is ann",
        "I'm NATO staff.",
        "I said I am Spartacus material.",
        "Um, okay, Siri, what time is it?",
    ],
)
def test_nobody_is_fooled(text: str):
    assert heard((B, "so what did you do then"), (A, text), (B, "well that is what I thought")) == {}


def test_a_name_in_quotes_counts_less():
    own = heard((B, "My name is Ann."))[B, "Ann"].weight
    assert heard((B, "And then she said my name is Ann."))[B, "Ann"].weight < own


def test_presenting_a_place_counts_less_than_presenting_oneself():
    person = heard((B, "This is Laredo, and welcome."))[B, "Laredo"].weight
    place = heard((B, "This is Laredo, and welcome."), (B, "We live in Laredo now."))[B, "Laredo"].weight
    assert place < 0.25 < person


def test_saying_this_is_late_counts_less_than_at_first():
    minutes = [(B, SMALL_TALK)] * 20
    late = heard(*minutes, (B, "So this is Laura, and she sings."))[B, "Laura"].weight
    assert late < heard((B, "This is Laura, and I sing."))[B, "Laura"].weight


def test_of_two_people_the_other_is_meant():
    found = heard((A, "so what do you make of it"), (B, "Thanks, Bob."), (A, "you are welcome"))
    assert set(found) == {(A, "Bob")}
    assert found[A, "Bob"].weight > 0.5
    assert found[A, "Bob"].said_by == B


def test_among_three_whoever_takes_the_floor_thanks_the_one_before():
    found = heard((A, "that is all from me"), (B, "Thank you, Bob."), (C, "and now to the news"))
    assert found[A, "Bob"].weight > found[C, "Bob"].weight > 0


def test_a_question_is_put_to_the_one_who_answers():
    found = heard((A, "that is all from me"), (B, "What do you think about it, Carla?"), (C, "I like it very much"))
    assert found[C, "Carla"].weight > found[A, "Carla"].weight
    first = heard((A, "we spoke with Carla about it"), (B, "Carla, what do you think?"), (C, "I like it"))
    assert first[C, "Carla"].weight > 0.25


def test_the_floor_is_given_to_the_next():
    found = heard((A, "that is all from me"), (B, "Over to you, Carla."), (C, "good evening from me too"))
    assert set(found) == {(C, "Carla")}


@pytest.mark.parametrize(
    "text",
    [
        "Let's welcome Dr Maria Lopez to our little show.",
        "Please welcome to the stage Maria Lopez.",
        "I'm joined as always by my co-host, Maria Lopez, who knows all about it.",
        "Joining me today is Dr. Maria Lopez, a sports analyst.",
        "So we're here with Maria Lopez from the city council.",
        "Our guest today is Maria Lopez.",
    ],
)
def test_who_is_introduced_speaks_next(text: str):
    found = heard((A, text), (A, "it is about time that we talked"), (B, "thank you so much for having me"))
    assert set(found) == {(B, "Maria Lopez")}
    assert found[B, "Maria Lopez"].source == "is introduced"


def test_somebody_may_speak_up_before_who_was_introduced():
    turns = [(A, "We're here with Maria Lopez from the council."), (B, "oh gosh"), (C, "thank you for having me")]
    found = heard(*turns)
    assert found[B, "Maria Lopez"].weight > found[C, "Maria Lopez"].weight > 0
    assert found[B, "Maria Lopez"].weight < 0.5
    known = heard((B, "hello to you all"), *turns)
    assert known[C, "Maria Lopez"].weight > known[B, "Maria Lopez"].weight


def test_who_has_long_left_is_not_addressed():
    spoken = talk((A, "I have to go now"), (B, "Thanks, Bob."))
    apart = spoken.segments[1].model_copy(update={"start": 500.0, "end": 502.0})
    assert list(evidence(spoken.model_copy(update={"segments": (spoken.segments[0], apart)}))) == []


def test_nobody_is_meant_where_speakers_are_unknown():
    assert list(evidence(talk((None, "My name is Bob."), (B, "Thanks, Bob."), (None, SMALL_TALK)))) == []


def test_words_that_the_recogniser_doubts_count_less():
    spoken = talk((B, "My name is Ann."), (A, SMALL_TALK))
    doubtful = spoken.segments[0].model_copy(update={"doubts": (Doubt.LOW_CONFIDENCE,)})
    (sure,) = evidence(spoken)
    (unsure,) = evidence(spoken.model_copy(update={"segments": (doubtful, spoken.segments[1])}))
    assert unsure.weight < sure.weight


@pytest.mark.parametrize("shout", [str.upper, str.lower, str.title])
def test_capitals_that_tell_nothing_yield_nothing(shout):
    said = ["My name is Bob.", "Thanks, Bob.", SMALL_TALK]
    assert list(evidence(talk(*((f"SPEAKER_0{i % 2}", shout(text)) for i, text in enumerate(said))))) == []


def test_languages_without_capitals_yield_nothing():
    assert heard((B, "我 叫 王伟"), language="zh") == {}


PIECES = "My name is|I'm|this is|thanks,|Hi|welcome|Bob|Ann Lee|Dr.|O'Neill|what do you think,|in Texas|Bob's|and|?|.|,"
said = st.lists(st.sampled_from(PIECES.split("|")), min_size=1, max_size=12).map(" ".join)
speakers = st.sampled_from([A, B, C, None])


@settings(max_examples=60)
@given(st.lists(st.tuples(speakers, said), min_size=1, max_size=8))
def test_whatever_is_said_names_are_plain_and_their_speakers_exist(turns: list[tuple[str | None, str]]):
    for each in evidence(talk(*turns, (None, SMALL_TALK))):
        assert each.label in {speaker for speaker, _ in turns} - {None}
        assert 0 < each.weight <= 1
        assert is_name(each.name)
        assert turns[each.segments[0]][0] == each.said_by


@settings(max_examples=60)
@given(st.text(max_size=400), st.sampled_from(["My name is ", "Thanks, ", "Please welcome ", "This is "]))
def test_hostile_names_never_come_through(name: str, cue: str):
    for each in evidence(talk((A, f"{cue}{name} x"), (B, SMALL_TALK), (A, SMALL_TALK))):
        assert all(character.isalpha() or character in " .'’-" for character in each.name)  # noqa: RUF001
        assert len(each.name) <= MOST_CHARACTERS
