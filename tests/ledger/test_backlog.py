"""Which files are run next."""

from sqlalchemy import Engine

from tests.ledger.samples import NOON, claimed, seconds, take, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.backlog import count_queued, mark_queued, next_requests, unanswered_requests
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.leases import fail


def _register(engine: Engine, names: str, owner: str, at: float = 0) -> None:
    """One file per letter, written and seen in this order."""
    for number, name in enumerate(names):
        moment = NOON + seconds(at + number)
        register(engine, [upload(name, owner=owner, modified_at=moment)], settle_seconds=0, now=moment)


def _names(engine: Engine, limit: int = 99) -> str:
    return "".join(needed.file_name for needed in next_requests(engine, limit, now=NOON + seconds(1000)))


def test_owners_take_turns_oldest_first(engine: Engine):
    _register(engine, "abcd", "ann")
    _register(engine, "xy", "bob", at=100)
    assert _names(engine) == "axbycd"
    assert _names(engine, limit=3) == "axb"


def test_what_an_owner_has_running_counts_as_its_turns(engine: Engine):
    _register(engine, "abcd", "ann")
    mark_queued(engine, next_requests(engine, 2))
    take(engine, key=upload("a").partition_key)  # one running, one queued
    _register(engine, "xyz", "bob", at=100)
    assert _names(engine) == "xyczd"


def test_a_flood_does_not_hold_up_a_single_file(engine: Engine):
    register(engine, [upload(f"{n}", owner="flood") for n in range(3000)], settle_seconds=0, now=NOON)
    _register(engine, "x", "bob", at=500)
    assert "x" in _names(engine, limit=2)


def test_no_owner_fills_the_queue(engine: Engine):
    _register(engine, "abcdef", "ann")
    _register(engine, "xy", "bob", at=100)
    moment = NOON + seconds(1000)
    mark_queued(engine, next_requests(engine, 2, now=moment))  # one of each
    take(engine, key=upload("a").partition_key)
    assert [needed.file_name for needed in next_requests(engine, 99, per_owner=2, now=moment)] == ["b", "y", "c"]
    assert next_requests(engine, 99, per_owner=0, now=moment) == []
    assert len(next_requests(engine, 99, now=moment)) == 6


def test_a_request_is_not_returned_again(engine: Engine):
    _register(engine, "ab", "ann")
    mark_queued(engine, next_requests(engine, 1))
    assert _names(engine) == "b"
    assert count_queued(engine) == 1


def test_a_request_that_nobody_answers_is_repeated_with_the_same_run_key(engine: Engine):
    _register(engine, "ab", "ann")
    asked = next_requests(engine, 9, now=NOON + seconds(10))
    mark_queued(engine, asked, now=NOON + seconds(10))
    assert unanswered_requests(engine, 9, older_than_seconds=60, now=NOON + seconds(69)) == []
    take(engine, key=upload("b").partition_key)
    (again,) = unanswered_requests(engine, 9, older_than_seconds=60, now=NOON + seconds(70))
    assert again == asked[0]
    mark_queued(engine, [again], now=NOON + seconds(70))
    assert unanswered_requests(engine, 9, older_than_seconds=60, now=NOON + seconds(71)) == []


def test_a_failed_run_that_is_to_come_back_is_not_requested_here(engine: Engine):
    claim = claimed(engine)
    fail(engine, claim, PipelineError(ErrorCode.STORE_UNAVAILABLE), final=False)
    later = NOON + seconds(10**9)
    assert next_requests(engine, 9, now=later) == []
    assert unanswered_requests(engine, 9, older_than_seconds=0, now=later) == []


def test_marking_leaves_alone_what_has_moved_on(engine: Engine):
    _register(engine, "ab", "ann")
    stale = next_requests(engine, 9)
    take(engine, key=stale[0].partition_key)
    mark_queued(engine, stale[1:])
    register(engine, [upload("b", etag="e2")], settle_seconds=0, now=NOON)
    mark_queued(engine, stale)
    assert count_queued(engine) == 0
    mark_queued(engine, [])
