"""The state machine, held by the database itself: every pair of statuses, on both databases."""

from itertools import product

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from tests.ledger.samples import upload
from transcribe_pipeline.errors import ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.states import AT_WORK, ENDED, NEXT, UNFINISHED, State, ending, entering, state_of

PATHS = {
    Status.PENDING: [],
    Status.QUEUED: ["queued"],
    Status.PROCESSING: ["processing"],
    Status.CANCELLING: ["processing", "cancelling"],
    **{end: ["processing", end.value] for end in map(Status, ENDED)},
}
"""By which steps a new file gets there."""


def change(engine: Engine, **values: object) -> bool:
    """Whether the database lets a statement typed by hand do this."""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE media_file SET {assignments}"), values)
    except IntegrityError:
        return False
    return True


def begin(engine: Engine, status: Status) -> None:
    register(engine, [upload()], settle_seconds=0)
    for step in PATHS[status]:
        assert change(engine, status=step)


@pytest.mark.parametrize("before", list(Status))
def test_the_database_allows_exactly_what_the_state_machine_says(engine: Engine, before: Status):
    begin(engine, before)
    for generation, after in enumerate(Status, start=2):
        allowed = change(engine, status=after.value)
        assert allowed == (after is before or after in NEXT[before]), f"{before} to {after}"
        if allowed:  # back to where it was, as another generation
            assert change(engine, status="pending", generation=generation)
            for step in PATHS[before]:
                assert change(engine, status=step)


@pytest.mark.parametrize(("before", "after"), list(product((Status.COMPLETED, Status.PROCESSING), Status)))
def test_another_generation_begins_pending_or_sealed(engine: Engine, before: Status, after: Status):
    begin(engine, before)
    assert change(engine, status=after.value, generation=2) == (after in (Status.PENDING, Status.ERROR))


def test_a_generation_never_falls(engine: Engine):
    begin(engine, Status.PENDING)
    assert change(engine, generation=5)
    assert not change(engine, generation=4)


def test_every_status_is_in_the_machine_and_can_be_reached_and_left():
    assert NEXT.keys() == set(Status) == {*UNFINISHED, *ENDED}
    assert set().union(*NEXT.values()) | {Status.PENDING} == set(Status)
    assert all(NEXT.values()), "a person can bring back whatever has ended"


def test_entering_a_status():
    for status in Status:
        values = entering(status)
        assert ("lease_owner" in values) == (status not in AT_WORK)
        assert values.get("ended_as") == (status if status in ENDED else None)


def test_what_people_see():
    assert {state_of(status, []) for status in Status} | {state_of(Status.COMPLETED, ["summary"])} == set(State)
    assert state_of(Status.ERROR, ["summary"]) is State.ERROR


@pytest.mark.parametrize("code", list(ErrorCode))
@pytest.mark.parametrize("tries", [0, 2, 3])
def test_how_a_failure_ends(code: ErrorCode, tries: int):
    error = PipelineError(code)
    special = {
        ErrorCode.CANCELLED: Status.CANCELLED,
        ErrorCode.SOURCE_GONE: Status.ORPHANED,
        ErrorCode.TRIES_EXHAUSTED: Status.QUARANTINED,
    }
    exhausted = tries == 3 and error.error_class is not ErrorClass.PERMANENT
    expected = special.get(code, Status.QUARANTINED if exhausted else Status.ERROR)
    assert ending(error, tries=tries, max_tries=3) is expected
