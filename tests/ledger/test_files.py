"""Registering listings, and finding files again."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.ledger.conftest import empty
from tests.ledger.samples import MEETING, NOON, claimed, seconds, take, upload
from transcribe_pipeline.artifacts import Sidecar
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger.backlog import mark_queued, next_requests
from transcribe_pipeline.ledger.files import Registered, find, fingerprint, list_files, register
from transcribe_pipeline.ledger.leases import complete, fail, heartbeat, record_sha256, record_sidecars
from transcribe_pipeline.ledger.models import Status


def test_a_new_object_becomes_a_pending_file(engine: Engine):
    assert register(engine, [upload()], settle_seconds=0, now=NOON) == Registered(1, 0, 0, ())
    (file,) = list_files(engine)
    assert (file.status, file.generation, file.progress, file.registered_at) == (Status.PENDING, 1, 0, NOON)


def test_listing_it_again_changes_nothing(engine: Engine):
    register(engine, [upload()], settle_seconds=0)
    before = list_files(engine)
    later = upload(version="v2", modified_at=NOON + timedelta(days=1))  # same bytes put again: same etag
    assert register(engine, [later, later], settle_seconds=0) == Registered(0, 0, 1, ())
    assert list_files(engine) == before


@pytest.mark.parametrize("change", [{"etag": "e2"}, {"size_bytes": 2000}])
def test_new_content_is_a_new_generation_without_a_past(engine: Engine, change: dict[str, Any]):
    claim = claimed(engine)
    record_sha256(engine, claim, "a" * 64)
    heartbeat(engine, claim, progress=0.5, stage="audio")
    fail(engine, claim, PipelineError(ErrorCode.NO_AUDIO), final=True)

    assert register(engine, [upload(**change)], settle_seconds=0) == Registered(0, 1, 0, ())
    (file,) = list_files(engine)
    assert (file.generation, file.status, file.attempts, file.progress) == (2, Status.PENDING, 0, 0)
    assert (file.stage, file.error_code, file.error_text, file.sha256, file.run_id) == (None, None, None, None, None)


def test_new_content_takes_the_lease_from_who_works_on_the_old(engine: Engine):
    claim = claimed(engine)
    register(engine, [upload(etag="e2")], settle_seconds=0)
    for write in (heartbeat, complete, lambda e, c: record_sha256(e, c, "a" * 64)):
        with pytest.raises(PipelineError) as lost:
            write(engine, claim)
        assert lost.value.code == ErrorCode.LEASE_LOST
    (file,) = list_files(engine)
    assert (file.generation, file.status, file.sha256) == (2, Status.PENDING, None)


def test_a_file_still_being_written_stays_in_its_generation(engine: Engine):
    for second in range(4):
        growing = upload(etag=f"e{second}", size_bytes=second, modified_at=NOON + seconds(second))
        register(engine, [growing], settle_seconds=3, now=NOON + seconds(second))
        assert next_requests(engine, 9, now=NOON + seconds(second)) == []
    assert next_requests(engine, 9, now=NOON + seconds(5.9)) == []
    (needed,) = next_requests(engine, 9, now=NOON + seconds(6))
    assert (needed.generation, needed.size_bytes) == (1, 3)


def test_content_that_changes_after_its_run_was_requested_is_a_new_generation(engine: Engine):
    register(engine, [upload()], settle_seconds=0)
    mark_queued(engine, next_requests(engine, 9))
    register(engine, [upload(etag="e2")], settle_seconds=0)
    assert [needed.generation for needed in next_requests(engine, 9)] == [2]


def test_a_settled_file_is_eligible_at_once(engine: Engine):
    register(engine, [upload(modified_at=NOON - timedelta(hours=1))], settle_seconds=3, now=NOON)
    assert len(next_requests(engine, 9, now=NOON)) == 1


def test_a_store_whose_clock_is_ahead_holds_nothing_back(engine: Engine):
    register(engine, [upload(modified_at=NOON + timedelta(days=400))], settle_seconds=3, now=NOON)
    assert next_requests(engine, 9, now=NOON + seconds(2)) == []
    assert len(next_requests(engine, 9, now=NOON + seconds(3))) == 1


def test_names_that_no_database_takes_stop_no_other_file(engine: Engine):
    bad = [upload("nul\x00.mp3"), upload("half\ud83d.mp3"), upload("long" * 600)]
    registered = register(engine, [bad[0], upload("first.mp3"), *bad[1:], upload("last.mp3")], settle_seconds=0)
    assert registered == Registered(2, 0, 0, tuple(each.partition_key for each in bad))
    assert {file.file_name for file in list_files(engine)} == {"first.mp3", "last.mp3"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=5, unique=True))
def test_any_name_is_kept_exactly_or_refused(engine: Engine, names: list[str]):
    empty(engine)
    uploads = [upload(name) for name in names]
    registered = register(engine, uploads, settle_seconds=0)
    kept = {file.object_key for file in list_files(engine)}
    assert kept == {each.object_key for each in uploads if each.partition_key not in registered.refused}
    assert registered.new + len(registered.refused) == len(names)
    assert register(engine, uploads, settle_seconds=0).unchanged == registered.new


def test_two_ticks_at_once_register_each_file_once(engine: Engine):
    uploads = [upload(f"{number}.mp3") for number in range(200)]
    changed = [upload(f"{number}.mp3", etag="e2") for number in range(200)]
    for listing in (uploads, changed):
        threads = [
            threading.Thread(target=register, args=(engine, listing), kwargs={"settle_seconds": 0}) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(list_files(engine, limit=1000)) == 200
    assert {file.generation for file in list_files(engine, limit=1000)} == {1}


def test_ten_thousand_objects(engine: Engine, scalar: Callable[[str], Any], capsys: pytest.CaptureFixture[str]):
    from time import perf_counter

    uploads = [upload(f"{number}.mp3") for number in range(10_000)]
    took = {}
    for what, listing in (
        ("new", uploads),
        ("unchanged", uploads),
        ("10 changed", [upload(f"{number}.mp3", etag="e2") for number in range(10)] + uploads[10:]),
    ):
        start = perf_counter()
        register(engine, listing, settle_seconds=0)
        took[what] = round(perf_counter() - start, 2)
    start = perf_counter()
    assert len(next_requests(engine, 50)) == 50
    took["next_requests"] = round(perf_counter() - start, 2)
    with capsys.disabled():
        print(f"\n10,000 objects on {engine.dialect.name}, seconds: {took}")
    assert scalar("SELECT count(*) FROM media_file") == 10_000
    assert scalar("SELECT count(*) FROM media_file WHERE etag = 'e2'") == 10


# --- sidecars -------------------------------------------------------------------------------------------------------

SRT, YAML = (Sidecar(object_key=f"uploads/ann/meeting.mp3{suffix}", etag="s1") for suffix in (".srt", ".options.yaml"))


def generation(engine: Engine) -> int:
    return list_files(engine)[0].generation


def test_a_sidecar_before_anybody_asked_is_noted_and_settles(engine: Engine):
    register(engine, [upload()], settle_seconds=3, now=NOON)
    late = upload(sidecars=(SRT,), sidecars_modified_at=NOON + seconds(2))
    assert register(engine, [late], settle_seconds=3, now=NOON + seconds(2)) == Registered(0, 1, 0, ())
    assert next_requests(engine, 9, now=NOON + seconds(4.9)) == []
    (needed,) = next_requests(engine, 9, now=NOON + seconds(5))
    assert needed.generation == 1
    assert list_files(engine)[0].sidecars == fingerprint([SRT])


def test_a_sidecar_before_a_run_has_begun_needs_no_second_run(engine: Engine):
    register(engine, [upload()], settle_seconds=0)
    mark_queued(engine, next_requests(engine, 9))
    assert register(engine, [upload(sidecars=(SRT,))], settle_seconds=0).changed == 1
    (file,) = list_files(engine)
    assert (file.generation, file.status, file.sidecars) == (1, Status.QUEUED, fingerprint([SRT]))


@pytest.mark.parametrize("changed", [(), (SRT, YAML), (SRT.model_copy(update={"etag": "s2"}),)])
def test_a_sidecar_that_comes_changes_or_goes_is_a_new_generation(engine: Engine, changed: tuple[Sidecar, ...]):
    register(engine, [upload(sidecars=(SRT,))], settle_seconds=0)
    claim = take(engine)
    record_sha256(engine, claim, "a" * 64)
    complete(engine, claim)
    again = upload(sidecars=changed, sidecars_modified_at=NOON + timedelta(days=1) if changed else None)
    tomorrow = NOON + timedelta(days=1, seconds=1)
    assert register(engine, [again], settle_seconds=3, now=tomorrow) == Registered(0, 1, 0, ())
    (file,) = list_files(engine)
    assert (file.generation, file.status, file.sidecars) == (2, Status.PENDING, fingerprint(changed))
    assert register(engine, [again], settle_seconds=3, now=tomorrow).changed == 0
    # What has vanished may be on its way back: it has no time of its own, so it settles from now.
    assert next_requests(engine, 9, now=tomorrow + seconds(1.5)) == []
    assert len(next_requests(engine, 9, now=tomorrow + seconds(3))) == 1


def test_a_run_at_work_is_superseded_by_a_sidecar_but_not_by_what_it_found_itself(engine: Engine):
    claim = claimed(engine)
    record_sidecars(engine, claim, fingerprint([SRT]))
    assert register(engine, [upload(sidecars=(SRT,))], settle_seconds=0).changed == 0
    heartbeat(engine, claim)
    register(engine, [upload(sidecars=(YAML, SRT))], settle_seconds=0)
    with pytest.raises(PipelineError, match="LEASE_LOST"):
        record_sidecars(engine, claim, "")


def test_a_listing_that_cannot_tell_changes_nothing(engine: Engine):
    register(engine, [upload(sidecars=(SRT,))], settle_seconds=0)
    complete(engine, take(engine))
    assert register(engine, [upload(sidecars=None)], settle_seconds=0).changed == 0
    register(engine, [upload(sidecars=None, etag="e2")], settle_seconds=0)
    assert (generation(engine), list_files(engine)[0].sidecars) == (2, fingerprint([SRT]))


def test_a_fingerprint_knows_keys_and_contents_in_any_order():
    assert fingerprint([]) == ""
    assert fingerprint([SRT, YAML]) == fingerprint([YAML, SRT]) != fingerprint([SRT])
    assert len({fingerprint([each]) for each in (SRT, YAML, SRT.model_copy(update={"etag": "s2"}))}) == 3


# --- finding --------------------------------------------------------------------------------------------------------


def test_find_by_any_name_within_an_owner(engine: Engine):
    register(engine, [upload("a.mp3", owner="ann"), upload("a.mp3", owner="bob")], settle_seconds=0)
    (anns,) = find(engine, "a.mp3", owner="ann")
    assert len(find(engine, "a.mp3")) == 2
    for name in (anns.id, anns.partition_key, anns.object_key):
        assert find(engine, name) == [anns]
        assert find(engine, name, owner="bob") == []
    for nothing in ("nothing", "nul\x00", "' OR 1=1 --", "half\ud83d"):
        assert find(engine, nothing) == []


def test_list_files_pages_newest_first(engine: Engine):
    for number in range(5):
        register(engine, [upload(f"{number}.mp3")], settle_seconds=0, now=NOON + seconds(number // 2))
    register(engine, [upload("0.mp3", owner="bob")], settle_seconds=0, now=NOON)
    take(engine, key=upload("3.mp3").partition_key)

    pages, after = [], None
    while page := list_files(engine, owner="ann", limit=2, after=after):
        pages += page
        after = page[-1].id
    assert [file.registered_at for file in pages] == sorted((file.registered_at for file in pages), reverse=True)
    assert {file.file_name for file in pages} == {f"{number}.mp3" for number in range(5)}
    assert [file.file_name for file in list_files(engine, status=Status.PROCESSING)] == ["3.mp3"]
    assert len(list_files(engine)) == 6


def test_times_come_back_aware(engine: Engine):
    register(engine, [upload()], settle_seconds=0, now=NOON)
    assert list_files(engine)[0].registered_at.utcoffset() == timedelta(0)
    assert take(engine, key=MEETING).modified_at == NOON
