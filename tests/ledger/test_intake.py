"""Pauses of intake: what brings one about, what does not, and how it ends."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from tests.ledger.samples import seconds, take, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import intake, operations
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.leases import claim, complete, fail

DOWN = PipelineError(ErrorCode.STORE_UNAVAILABLE)


def end(engine: Engine, name: str, error: PipelineError | None, *, own: bool = True) -> None:
    """A file that one run of the pipeline's own has ended, well or for good."""
    listed = upload(name)
    register(engine, [listed], settle_seconds=0)
    held = claim(
        engine,
        listed.partition_key,
        None,
        f"run of {name}",
        lease_seconds=90,
        holder_finished=lambda _: False,
        max_tries=3 if own else None,
    )
    if error is None:
        complete(engine, held)
    else:
        fail(engine, held, error, final=True, max_tries=1)


def end_many(engine: Engine, number: int, error: PipelineError | None, prefix: str = "f", **how: bool) -> None:
    for index in range(number):
        end(engine, f"{prefix}{index}.wav", error, **how)


def tries_of(engine: Engine) -> list[int]:
    with engine.begin() as connection:
        return list(connection.execute(text("SELECT tries FROM media_file ORDER BY file_name")).scalars())


def test_intake_is_open(engine: Engine):
    assert intake.status(engine) is None
    assert intake.watch(engine, 10) is None
    assert intake.resume(engine, "ann") is None


def test_ten_of_the_last_twenty_pause_it(engine: Engine):
    end_many(engine, 12, None, "good")
    end_many(engine, 9, DOWN)
    assert intake.watch(engine, 10) is None
    end(engine, "tenth.wav", DOWN)
    pause = intake.watch(engine, 10)
    assert pause
    assert (pause.paused_by, pause.error_code) == ("breaker", "STORE_UNAVAILABLE")
    assert pause.reason == "10 of the last 20 files failed with STORE_UNAVAILABLE."
    assert str(pause).endswith("when one completes, intake resumes. Now: 'transcribe intake resume'.")
    assert intake.watch(engine, 10) == pause
    (entry,) = operations.recent(engine, operation=operations.Operation.INTAKE)
    assert (entry.action, entry.actor) == ("paused", "breaker")


@pytest.mark.parametrize(
    "error", [PipelineError(ErrorCode.CORRUPT_MEDIA), PipelineError(ErrorCode.CANCELLED)], ids=lambda e: e.code.value
)
def test_what_is_wrong_with_the_files_themselves_pauses_nothing(engine: Engine, error: PipelineError):
    end_many(engine, 20, error)
    assert intake.watch(engine, 10) is None


def test_failures_of_different_kinds_pause_nothing(engine: Engine):
    end_many(engine, 9, DOWN, "a")
    end_many(engine, 9, PipelineError(ErrorCode.DISK_FULL), "b")
    assert intake.watch(engine, 10) is None


def test_what_people_try_out_pauses_nothing(engine: Engine):
    end_many(engine, 20, DOWN, own=False)
    assert intake.watch(engine, 10) is None


def test_old_failures_pause_nothing(engine: Engine):
    end_many(engine, 10, DOWN)
    end_many(engine, 11, None, "good")
    assert intake.watch(engine, 10) is None


def test_a_breaker_that_is_off(engine: Engine):
    end_many(engine, 20, DOWN)
    assert intake.watch(engine, 0) is None


def test_a_file_that_goes_all_its_way_resumes_it_and_the_failed_get_their_tries_back(engine: Engine):
    end(engine, "before.wav", PipelineError(ErrorCode.DISK_FULL))
    end_many(engine, 10, DOWN)
    listed = upload("at work before the pause.wav")
    register(engine, [listed], settle_seconds=0)
    earlier = take(engine, "earlier", key=listed.partition_key)
    assert intake.watch(engine, 10)
    end(engine, "another failure.wav", DOWN)
    complete(engine, earlier)
    assert intake.watch(engine, 10), "it had begun before the pause, so it proves nothing"
    end(engine, "probe.wav", None)
    assert intake.watch(engine, 10) is None
    assert tries_of(engine).count(0) == 13, "ten, the one that failed meanwhile, and two that completed"
    assert tries_of(engine).count(1) == 1, "what failed otherwise is left alone"
    entries = operations.recent(engine, operation=operations.Operation.INTAKE)
    assert [entry.action for entry in entries].count("tries_given_back") == 11
    (resumed,) = [entry for entry in entries if entry.action == "resumed"]
    assert (resumed.actor, resumed.detail["files"]) == ("breaker", 11)
    assert intake.watch(engine, 10) is None, "what failed before does not count again"


def test_single_files_are_let_through_at_intervals(engine: Engine):
    end_many(engine, 10, DOWN)
    pause = intake.watch(engine, 10)
    assert pause
    later = pause.paused_at + seconds(601)
    assert not intake.may_probe(pause, 600, now=pause.paused_at + seconds(599))
    assert intake.may_probe(pause, 600, now=later)
    assert intake.note_probe(engine, pause, now=later)
    assert not intake.note_probe(engine, pause, now=later), "another tick was faster"
    probed = intake.status(engine)
    assert probed
    assert not intake.may_probe(probed, 600, now=later + seconds(599))
    assert intake.may_probe(probed, 600, now=later + timedelta(seconds=601))


def test_where_no_file_waits_one_that_failed_is_given_a_try(engine: Engine):
    end_many(engine, 10, DOWN)
    pause = intake.watch(engine, 10)
    assert pause
    for _ in range(3):
        intake.offer_probe(engine, pause)
        assert tries_of(engine) == [0] + [1] * 9


def test_a_person_pauses_and_only_a_person_resumes(engine: Engine):
    assert intake.pause(engine, "moving the store", "cli:ann")
    assert not intake.pause(engine, "me too", "cli:bob")
    end_many(engine, 10, DOWN)
    end(engine, "good.wav", None)
    pause = intake.watch(engine, 10)
    assert pause
    assert not intake.may_probe(pause, 0)
    assert "by cli:ann: moving the store. Now:" in str(pause)
    assert intake.resume(engine, "cli:ann") == 0
    assert intake.status(engine) is None


def test_two_ticks_at_once_pause_once(engine: Engine):
    end_many(engine, 10, DOWN)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: intake.watch(engine, 10), range(2))
    assert first == second
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM intake_pause")).scalar() == 1
