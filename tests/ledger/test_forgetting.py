"""What is forgotten with a file, on both databases."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.ledger.samples import MEETING, claimed, nobody_finished, take, transcript, upload
from tests.ledger.test_insights import chapters
from tests.ledger.test_language_model_calls import CALL
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import (
    backlog,
    files,
    forgetting,
    insights,
    language_model_calls,
    leases,
    transcripts,
    voices,
)
from transcribe_pipeline.ledger.models import DecisionKind
from transcribe_pipeline.ledger.voices import Decision, Voices


def transcribed(engine: Engine) -> files.FileView:
    claim = claimed(engine)
    record = transcripts.save(engine, claim, transcript(), artifact_key="x", provenance={})
    insights.save(engine, claim, "chapters", chapters(record.transcript_id))
    language_model_calls.record(engine, claim, "chapters", CALL)
    leases.complete(engine, claim)
    return files.get(engine, MEETING)


def test_all_rows_go_and_those_of_others_stay(engine: Engine, scalar: Callable[[str], Any]):
    file = transcribed(engine)
    files.register(engine, [upload(owner="bob")], settle_seconds=0)
    ids = forgetting.transcript_ids(engine, file.id)
    voices.confirm(engine, "ann", ids[0], "SPEAKER_00", name="Zoë")
    assert forgetting.count(engine, "ann", file.id, ids) == {
        "insights": 1,
        "speakers": 2,
        "segments": 3,
        "transcript versions": 1,
        "language model calls": 1,
        "events": 2,
        "file": 1,
        "voice decisions": 1,
    }
    forgetting.seal(engine, MEETING, holder_finished=nobody_finished)
    for _ in range(2):  # as after an interruption
        forgetting.forget_file(engine, "ann", file.id, ids)
    assert forgetting.count(engine, "ann", file.id, ids) == {}
    assert scalar("SELECT count(*) FROM media_file") == 1
    assert not voices.known(engine, "ann").decisions


def test_a_file_that_is_not_sealed_is_left_alone(engine: Engine):
    file = transcribed(engine)
    forgetting.forget_file(engine, "ann", file.id, forgetting.transcript_ids(engine, file.id))
    assert files.get(engine, MEETING) == file


def test_sealing_takes_a_file_out_of_the_world(engine: Engine):
    files.register(engine, [upload()], settle_seconds=0)
    claim = take(engine)
    leases.release(engine, claim)
    forgetting.seal(engine, MEETING, holder_finished=nobody_finished)
    sealed = files.get(engine, MEETING)
    files.register(engine, [upload()], settle_seconds=0)
    assert files.get(engine, MEETING) == sealed
    assert not backlog.next_requests(engine, 10)
    assert not backlog.unanswered_requests(engine, 10, older_than_seconds=-1)
    with pytest.raises(PipelineError) as refusal:
        take(engine, "run-2")
    assert refusal.value.code is ErrorCode.LEASE_HELD


def test_a_seal_may_be_put_on_again_and_outlives_leases(engine: Engine, expire: Callable[[], None]):
    files.register(engine, [upload()], settle_seconds=0)
    forgetting.seal(engine, MEETING, holder_finished=nobody_finished)
    expire()
    with pytest.raises(PipelineError):
        take(engine, "run-2")
    forgetting.seal(engine, MEETING, holder_finished=nobody_finished)


@pytest.mark.parametrize("finished", [True, False])
def test_a_file_at_work_is_sealed_only_when_its_run_has_ended(engine: Engine, finished: bool):
    claimed(engine)
    if finished:
        forgetting.seal(engine, MEETING, holder_finished=lambda run_id: run_id == "run-1")
        return
    with pytest.raises(PipelineError) as refusal:
        forgetting.seal(engine, MEETING, holder_finished=nobody_finished)
    assert refusal.value.code is ErrorCode.LEASE_HELD
    assert "run-1" in refusal.value.detail


def test_a_lease_that_has_run_out_does_not_hold(engine: Engine, expire: Callable[[], None]):
    claimed(engine)
    expire()
    forgetting.seal(engine, MEETING, holder_finished=nobody_finished)


def test_what_is_not_there_cannot_be_sealed(engine: Engine):
    with pytest.raises(PipelineError) as refusal:
        forgetting.seal(engine, MEETING, holder_finished=nobody_finished)
    assert refusal.value.code is ErrorCode.FILE_UNKNOWN


# --- voice decisions ------------------------------------------------------------------------------------------------


class Log(list[Decision]):
    """Decisions as they are taken."""

    def take(self, kind: DecisionKind, **values: Any) -> int:
        number = len(self) + 1
        self.append(Decision(f"id-{number}", number, kind, datetime.now(UTC), **values))
        return number

    def confirm(self, profile: str, transcript_id: str) -> int:
        return self.take(DecisionKind.CONFIRM, profile_id=profile, name=profile, transcript_id=transcript_id, label="A")

    def rename(self, profile: str) -> int:
        return self.take(DecisionKind.RENAME, profile_id=profile, name=f"{profile} II")

    def merge(self, source: str, into: str) -> int:
        return self.take(DecisionKind.MERGE, profile_id=into, name=into, merged_id=source)

    def undo(self, number: int) -> int:
        return self.take(DecisionKind.UNDO, undoes=number)

    def without(self, *transcript_ids: str) -> list[int]:
        gone = forgetting.decisions_to_forget(self, transcript_ids)
        left = [decision for decision in self if decision.id not in gone]
        assert not {each.undoes for each in left} - {None} - {each.number for each in left}
        Voices.derived_from(left)
        return [decision.number for decision in left]


def test_a_voice_known_only_from_there_is_forgotten_with_its_name():
    log = Log()
    log.confirm("zoe", "gone")
    log.undo(log.rename("zoe"))
    stays = log.confirm("ann", "kept")
    assert log.without("gone") == [stays]


def test_a_voice_known_from_elsewhere_keeps_its_name():
    log = Log()
    log.confirm("zoe", "gone")
    kept = [log.rename("zoe"), log.confirm("zoe", "kept")]
    assert log.without("gone") == kept


def test_a_profile_that_others_were_merged_into_lives_on_with_their_samples():
    log = Log()
    log.confirm("zoe", "gone")
    kept = [log.confirm("zoey", "kept"), log.merge("zoey", "zoe"), log.rename("zoe")]
    assert log.without("gone") == kept
    assert [profile.name for profile in Voices.derived_from(log).profiles] == ["zoe II"]


def test_merging_a_voice_that_goes_goes_with_it():
    log = Log()
    log.confirm("zoe", "gone")
    log.confirm("zoey", "gone")
    log.merge("zoey", "zoe")
    assert log.without("gone") == []


def test_nothing_goes_with_transcripts_that_nobody_decided_about():
    log = Log()
    log.confirm("zoe", "kept")
    assert log.without("other") == [1]
