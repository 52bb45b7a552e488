from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from tests.ledger.samples import MEETING, claimed, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import cleanup, leases, transcripts
from transcribe_pipeline.ledger.cleanup import Ended, FileFacts, Version
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.models import Status

LATER = datetime.now(UTC) + timedelta(days=1)


def failed(engine: Engine, code: ErrorCode = ErrorCode.NOT_MEDIA) -> FileFacts:
    claim = claimed(engine)
    leases.record_sha256(engine, claim, "ab" * 32)
    leases.fail(engine, claim, PipelineError(code), final=True)
    return cleanup.facts(engine, [MEETING])[MEETING]


def test_facts_tell_of_every_version_where_it_was_made(engine: Engine):
    claim = claimed(engine)
    leases.record_sha256(engine, claim, "ab" * 32)
    for word in ("one", "two"):
        transcripts.save(engine, claim, transcript(first_word=word), artifact_key=f"key of {word}", provenance={})
    assert not cleanup.facts(engine, [MEETING, "unknown"])[MEETING].is_at_rest
    leases.complete(engine, claim)
    (file,) = cleanup.facts(engine, [MEETING, "unknown"]).values()
    assert file.is_at_rest
    assert set(file.versions) == {Version("ab" * 32, 1, "key of one"), Version("ab" * 32, 1, "key of two")}
    assert (file.owner, file.generation, file.sha256) == ("ann", 1, "ab" * 32)


def test_ended_files_are_found_by_what_they_are(engine: Engine):
    file = failed(engine)
    register(engine, [upload("other.mp3", owner="bob")], settle_seconds=0)

    def found(**conditions: object) -> bool:
        which = Ended(**{"statuses": [Status.ERROR], "before": LATER} | conditions)  # type: ignore[arg-type]
        return cleanup.ended(engine, which, limit=10) == [file]

    assert found()
    assert found(owner="ann")
    assert found(besides=["bob"])
    assert found(has_transcript=False)
    assert not found(owner="bob")
    assert not found(besides=["ann"])
    assert not found(has_transcript=True)
    assert not found(statuses=[Status.COMPLETED])
    assert not found(before=datetime.now(UTC) - timedelta(minutes=5))
    with engine.begin() as connection:
        connection.execute(text("UPDATE media_file SET legal_hold = 'case 7'"))
    assert not found()
    assert cleanup.count_held(engine, Ended([Status.ERROR], LATER)) == 1


def test_only_what_is_unchanged_is_sealed(engine: Engine):
    file = failed(engine)
    take(engine, "run-2")
    assert not cleanup.seal_unchanged(engine, file)
    leases.fail(engine, take(engine, "run-2"), PipelineError(ErrorCode.NOT_MEDIA), final=True)
    (file,) = cleanup.facts(engine, [MEETING]).values()
    assert cleanup.seal_unchanged(engine, file)
    assert not cleanup.seal_unchanged(engine, file)
    assert [each.id for each in cleanup.sealed_before(engine, LATER, limit=10)] == [file.id]
    assert not cleanup.ended(engine, Ended([Status.ERROR], LATER), limit=10)


def test_work_is_told_from_its_end(engine: Engine):
    assert not cleanup.is_anybody_at_work(engine)
    assert cleanup.count_files(engine) == 0
    failed(engine)
    assert not cleanup.is_anybody_at_work(engine)
    take(engine, "run-2")
    assert cleanup.is_anybody_at_work(engine)
    assert cleanup.partition_keys(engine) == [MEETING]
    assert cleanup.partition_keys(engine, after=MEETING) == []
