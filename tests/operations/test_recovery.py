"""Recovery: each cause is found, acted upon, and its healthy twin left alone; twice at once does no harm."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from sqlalchemy import Engine, text

from tests.ledger.conftest import engine, postgres_ledger, sqlite_template  # noqa: F401  # fixtures
from tests.ledger.samples import upload
from transcribe_pipeline.artifacts import GivenTranscript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import INSIGHTS
from transcribe_pipeline.ledger import backlog, events, files, forgetting, leases, operations, recovery, timings
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations import runs
from transcribe_pipeline.operations.recovery import Action, Cause, Pass, Wait, look, recover, stages_to_repeat
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.sensors import runs_to_request
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import GENERATION_TAG, STAGES

SHA = "ab" * 32
DEAD = PipelineError(ErrorCode.WORKER_LOST)
STORE_DOWN = PipelineError(ErrorCode.STORE_UNAVAILABLE)
RunStatus = dg.DagsterRunStatus


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


ORIGIN = RemoteJobOrigin(RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("code"), "repository"), "idle")


@dataclass
class Place:
    """A ledger, a store in a folder and a Dagster instance, in which files are brought into any state."""

    ledger: Engine
    instance: dg.DagsterInstance
    store: ObjectStore
    folder: Path
    configured: Settings

    def add(self, name: str = "ann/a.wav") -> str:
        path = self.folder / "uploads" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"RIFF")
        for page in self.store.list_uploads("uploads"):
            files.register(self.ledger, page.uploads, settle_seconds=0)
        return partition_key(f"uploads/{name}")

    def queued(self, name: str = "ann/a.wav") -> str:
        """A file whose run has been requested."""
        key = self.add(name)
        self.request(key)
        return key

    def request(self, key: str) -> None:
        wanted = [each for each in backlog.next_requests(self.ledger, 1_000) if each.partition_key == key]
        backlog.mark_queued(self.ledger, wanted)

    def claim(self, key: str, run_id: str = "run", *, own: bool = True) -> leases.Claim:
        max_tries = self.configured.max_tries if own else None
        nobody_finished = {"lease_seconds": 90.0, "holder_finished": lambda _: False}
        return leases.claim(self.ledger, key, None, run_id, max_tries=max_tries, **nobody_finished)  # type: ignore[arg-type]

    def at_work(self, name: str = "ann/a.wav", run_id: str = "run") -> leases.Claim:
        """A file that a run of the pipeline's own works on; its bytes are known."""
        claim = self.claim(self.queued(name), run_id)
        leases.record_sha256(self.ledger, claim, SHA)
        return claim

    def run(self, key: str, status: RunStatus, generation: int | None = 1, run_id: str | None = None) -> dg.DagsterRun:
        """What Dagster has of a run."""
        tags = {"dagster/partition": key} | ({GENERATION_TAG: str(generation)} if generation else {})
        return self.instance.create_run_for_job(idle, run_id=run_id, tags=tags, status=status, remote_job_origin=ORIGIN)

    def make(self, key: str, stages: Sequence[str], generation: int = 1) -> None:
        """Store values of these stages."""
        artifacts = ArtifactStore(self.store, "artifacts")
        for stage in stages:
            artifacts.save(key, FileVersion(content_id(SHA), generation), stage, GivenTranscript())

    def hours_pass(self, hours: float = 3) -> None:
        """Every lease and every moment of the ledger lies so much further back."""
        moments = ("status_since", "requested_at", "started_at", "finished_at")
        if self.ledger.dialect.name == "sqlite":
            shifted = ", ".join(
                f"{name} = strftime('%Y-%m-%d %H:%M:%f000', {name}, '-{hours * 3600} seconds')" for name in moments
            )
            at = f"at = strftime('%Y-%m-%d %H:%M:%f000', at, '-{hours * 3600} seconds')"
        else:
            shifted = ", ".join(f"{name} = {name} - interval '{hours * 3600} seconds'" for name in moments)
            at = f"at = at - interval '{hours * 3600} seconds'"
        self.sql(f"UPDATE media_file SET {shifted}, lease_until = lease_until - {hours * 3600}")
        self.sql(f"UPDATE operation SET {at}")

    def sql(self, statement: str, **values: Any) -> None:
        with self.ledger.begin() as connection:
            connection.execute(text(statement), values)

    def column(self, key: str, name: str) -> Any:
        with self.ledger.begin() as connection:
            query = text(f"SELECT {name} FROM media_file WHERE partition_key = :key")
            return connection.execute(query, {"key": key}).scalar_one()

    def file(self, key: str) -> FileView:
        return files.get(self.ledger, key)

    def recover(self, **asked: Any) -> Pass:
        return recover(self.ledger, self.instance, self.store, self.configured, actor="test", **asked)

    def audit(self, key: str) -> list[tuple[str, str]]:
        return [(entry.cause, entry.action) for entry in operations.of_file(self.ledger, self.file(key).id)]


@pytest.fixture(scope="module")
def dagster() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def place(engine: Engine, dagster: dg.DagsterInstance, tmp_path: Path) -> Place:  # noqa: F811
    folder = tmp_path / "store"
    folder.mkdir()
    dagster.wipe()
    return Place(engine, dagster, open_store(folder.as_uri()), folder, Settings(home=tmp_path))


@pytest.fixture
def pooled(place: Place, tmp_path: Path) -> Iterator[Place]:
    """With a pool of one slot, which only an instance on disk can have."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        instance.event_log_storage.set_concurrency_slots("speech", 1)
        yield replace(place, instance=instance)


def before(stage: str) -> list[str]:
    return list(STAGES)[: list(STAGES).index(stage)]


def done(made: Pass) -> dict[tuple[Cause, Action], int]:
    return dict(made.done)


# --- runs that died -------------------------------------------------------------------------------------------------


def test_nothing_is_wrong(place: Place):
    place.at_work("ann/working.wav")
    place.run(place.queued("ann/queued.wav"), RunStatus.QUEUED)
    leases.complete(place.ledger, place.at_work("ann/done.wav"))
    place.add("ann/new.wav")
    place.sql("UPDATE media_file SET status_since = '2026-01-01' WHERE file_name = 'queued.wav'")
    before_it = files.list_files(place.ledger)
    made = place.recover(scan_orphans=True)
    assert done(made) == {}
    assert made.waiting == {Wait.IN_QUEUE: 1, Wait.AT_WORK: 1, Wait.IN_BACKLOG: 1, Wait.SETTLING: 0}
    assert made.orphaned_folders == {"artifacts": 0, "results": 0}
    assert files.list_files(place.ledger) == before_it
    assert str(look(place.ledger, place.instance, place.configured)) == (
        "1 in queue, 1 at work, 1 in backlog; nothing is stuck"
    )


@pytest.mark.parametrize("known", [True, False])
def test_a_dead_run_s_file_goes_on_with_what_is_missing(place: Place, known: bool):
    key = place.at_work().partition_key
    if known:
        run = place.run(key, RunStatus.FAILURE)
        place.sql("UPDATE media_file SET run_id = :id, lease_owner = :id", id=run.run_id)
    place.make(key, before("diarization"))
    assert done(place.recover()) == {}, "its lease still lives"
    place.hours_pass()
    assert done(place.recover()) == {(Cause.RUN_DEAD, Action.WENT_AGAIN): 1}
    file = place.file(key)
    assert (file.status, file.generation, file.sha256, file.attempts) == (Status.PENDING, 2, SHA, 0)
    assert [place.column(key, name) for name in ("base_generation", "tries", "cause")] == [1, 1, "recovery"]
    (needed,) = backlog.next_requests(place.ledger, 10)
    assert (needed.generation, needed.resume_from) == (2, "diarization")
    assert place.audit(key) == [("run_dead", "went_again")]
    assert done(place.recover()) == {}


def test_a_gap_is_made_again_and_what_was_stored_before_the_present_work_does_not_count(place: Place):
    key = place.at_work().partition_key
    place.make(key, [stage for stage in before("summary") if stage != "alignment"])
    place.hours_pass()
    place.recover()
    assert place.column(key, "resume_from") == "alignment"
    place.request(key)
    place.claim(key, "run-2")
    place.sql("UPDATE media_file SET base_generation = 2, resume_from = 'transcript'")  # as after a redrive
    place.make(key, ["transcript"], generation=2)
    place.hours_pass()
    place.recover()
    assert place.column(key, "resume_from") == "transcript_record"


def test_the_next_run_knows_how_often_and_where_others_died(place: Place):
    """Diarization spares the third run what killed two before it."""
    key = place.at_work(run_id="run-1").partition_key
    place.make(key, before("diarization"))
    for number in (1, 2):
        claim = place.claim(key, f"run-{number}")
        leases.heartbeat(place.ledger, claim, stage="diarization")
        place.hours_pass()
        place.recover()
        place.request(key)
    last = place.claim(key, "run-3")
    assert (last.tries, last.attempts, last.stage) == (3, 1, "diarization")


def test_a_file_whose_bytes_nobody_has_read_begins_anew(place: Place):
    key = place.queued()
    place.claim(key)
    place.hours_pass()
    assert done(place.recover()) == {(Cause.RUN_DEAD, Action.WENT_AGAIN): 1}
    assert place.column(key, "resume_from") is None


def test_a_lost_run_is_failed_and_dagster_does_not_retry_it(place: Place):
    key = place.queued()
    run = place.run(key, RunStatus.STARTED)
    place.claim(key, run.run_id)
    place.sql("UPDATE media_file SET lease_until = lease_until - 100")
    assert done(place.recover()) == {}, "its lease ran out just now: it may only pause"
    place.hours_pass()
    made = place.recover()
    assert done(made) == {(Cause.RUN_LOST, Action.WENT_AGAIN): 1}
    assert made.failed_runs == 1
    ended = place.instance.get_run_by_id(run.run_id)
    assert ended
    assert ended.status is RunStatus.FAILURE
    assert ended.tags["dagster/max_retries"] == "0"


def test_a_run_that_waits_for_its_pool_holds_an_old_lease_and_is_not_lost(pooled: Place):
    place, key = pooled, pooled.queued()
    run, other = place.run(key, RunStatus.STARTED), place.run("other", RunStatus.STARTED)
    place.claim(key, run.run_id)
    storage = place.instance.event_log_storage
    storage.claim_concurrency_slot("speech", other.run_id, "transcription")
    storage.claim_concurrency_slot("speech", run.run_id, "transcription")
    place.hours_pass()
    assert done(place.recover()) == {}
    assert runs.end_lost(place.ledger, place.instance, lease_seconds=90) == []
    storage.free_concurrency_slots_for_run(other.run_id)
    assert storage.claim_concurrency_slot("speech", run.run_id, "transcription").is_claimed
    assert done(place.recover()) == {}, "it has had its slot for a moment only"
    time.sleep(1.1)
    place.configured = Settings(home=place.folder, lease_seconds=1)
    assert done(place.recover()) == {(Cause.RUN_LOST, Action.WENT_AGAIN): 1}, "it has its slot, and does not beat"


def test_the_pool_slot_of_a_lost_run_goes_to_the_next(pooled: Place):
    place, key = pooled, pooled.queued()
    run, other = place.run(key, RunStatus.STARTED), place.run("other", RunStatus.STARTED)
    place.claim(key, run.run_id)
    storage = place.instance.event_log_storage
    storage.claim_concurrency_slot("speech", run.run_id, "transcription")
    assert not storage.claim_concurrency_slot("speech", other.run_id, "transcription").is_claimed
    place.configured = Settings(home=place.folder, lease_seconds=1)
    time.sleep(1.1)
    place.hours_pass()
    place.recover()
    assert storage.claim_concurrency_slot("speech", other.run_id, "transcription").is_claimed


def test_a_dead_run_whose_retry_waits_in_the_queue_is_left_to_the_retry(place: Place):
    key = place.at_work().partition_key
    place.run(key, RunStatus.QUEUED)
    place.hours_pass()
    assert done(place.recover()) == {}


def test_a_dead_run_that_dagster_is_about_to_retry_is_left_to_the_retry(place: Place):
    key = place.queued()
    run = place.run(key, RunStatus.STARTED)
    place.claim(key, run.run_id)
    place.instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    place.hours_pass()
    place.instance.report_run_failed(run)
    assert done(place.recover()) == {}
    place.instance.add_run_tags(run.run_id, {"dagster/will_retry": "false"})
    assert done(place.recover()) == {(Cause.RUN_DEAD, Action.WENT_AGAIN): 1}


# --- runs that never came -------------------------------------------------------------------------------------------


def test_waiting_three_hours_in_dagster_s_queue_is_not_stuck(place: Place):
    key = place.queued()
    place.run(key, RunStatus.QUEUED)
    place.hours_pass(3)
    assert done(place.recover()) == {}
    assert place.file(key).generation == 1


def test_a_request_that_came_to_nothing(place: Place):
    key = place.queued()
    assert done(place.recover()) == {}, "Dagster may still be about to start it"
    place.hours_pass()
    assert done(place.recover()) == {(Cause.NEVER_BEGAN, Action.WENT_AGAIN): 1}
    assert place.column(key, "tries") == 0, "no run has begun"


def test_runs_that_fail_before_they_claim_are_counted_too(place: Place):
    key = place.queued()
    for expected in (1, 2, 3):
        generation = place.file(key).generation
        place.run(key, RunStatus.FAILURE, generation)
        place.hours_pass()
        made = done(place.recover())
        if expected < 3:
            assert made == {(Cause.NEVER_BEGAN, Action.WENT_AGAIN): 1}
            assert place.column(key, "tries") == expected
            place.request(key)
    assert made == {(Cause.NEVER_BEGAN, Action.QUARANTINED): 1}


def test_a_retry_that_never_came(place: Place):
    claim = place.at_work()
    leases.fail(place.ledger, claim, STORE_DOWN, final=False)
    assert done(place.recover()) == {}, "Dagster may still be about to start it"
    place.hours_pass()
    retry = place.run(claim.partition_key, RunStatus.QUEUED)
    assert done(place.recover()) == {}
    place.instance.delete_run(retry.run_id)
    assert done(place.recover()) == {(Cause.RETRY_LOST, Action.WENT_AGAIN): 1}


def test_a_run_of_an_older_generation_says_nothing(place: Place):
    key = place.queued()
    place.run(key, RunStatus.QUEUED, generation=7)
    place.hours_pass()
    assert done(place.recover()) == {(Cause.NEVER_BEGAN, Action.WENT_AGAIN): 1}


def test_of_a_thousand_files_every_owner_s_go_forward_and_none_that_waits_is_stuck(place: Place):
    """One owner floods, two have a few. Dagster begins two an hour, in the order in which it got them."""
    flood = [upload(f"{number:03d}.wav", owner="flood") for number in range(990)]
    few = [upload(f"{number}.wav", owner=owner) for owner in ("bob", "zoe") for number in range(5)]
    files.register(place.ledger, flood + few, settle_seconds=0)
    queue: list[str] = []
    done: list[str] = []
    while not {each.partition_key for each in few} <= set(done):
        requests = runs_to_request(place.ledger, place.configured)
        backlog.mark_queued(place.ledger, requests)
        # What nobody has answered for long is asked for again; Dagster knows those run keys.
        new = [request.partition_key for request in requests if request.partition_key not in queue]
        for key in new:
            place.run(key, RunStatus.QUEUED)
        queue += new
        place.hours_pass(3)
        findings = look(place.ledger, place.instance, place.configured)
        assert findings.stuck == ()
        assert findings.waiting[Wait.IN_QUEUE] == len(queue) <= place.configured.max_runs_queued
        for key in (queue.pop(0), queue.pop(0)):
            leases.complete(place.ledger, place.claim(key, f"run of {key}"))
            done.append(key)
        assert len(done) <= 3 * len(few), "the owners take turns"
    assert len(done) > len(few), "the flood goes forward too"


# --- what was done, and nobody said so ------------------------------------------------------------------------------


def test_everything_is_made_and_the_ledger_was_never_told(place: Place):
    key = place.queued()
    run = place.run(key, RunStatus.SUCCESS)
    claim = place.claim(key, run.run_id)
    leases.record_sha256(place.ledger, claim, SHA)
    place.make(key, list(STAGES))
    place.hours_pass()
    assert done(place.recover()) == {(Cause.LEDGER_BEHIND, Action.COMPLETED): 1}
    file = place.file(key)
    assert (file.status, file.progress, file.generation) == (Status.COMPLETED, 1.0, 1)
    assert [event.kind for event in events.pending(place.ledger, 10)] == ["completed"]


def test_insights_that_were_left_out_are_not_missing(place: Place):
    claim = place.at_work()
    key = claim.partition_key
    insights = [stage for stage in STAGES if stage in INSIGHTS]
    place.make(key, [stage for stage in STAGES if stage not in INSIGHTS])
    now = datetime.now(UTC)
    for stage in insights[:-1]:
        timings.record(place.ledger, claim, stage, started_at=now, finished_at=now)
    place.hours_pass()
    place.recover()
    assert place.column(key, "resume_from") == insights[-1]
    held = place.claim(key, "run-2")
    timings.record(place.ledger, held, insights[-1], started_at=now, finished_at=now)
    place.hours_pass()
    assert done(place.recover()) == {(Cause.RUN_DEAD, Action.COMPLETED): 1}


def test_a_stage_of_speech_that_stored_nothing_is_missing_whatever_its_timing_says(place: Place):
    claim = place.at_work()
    place.make(claim.partition_key, [stage for stage in STAGES if stage != "given_transcript"])
    now = datetime.now(UTC)
    timings.record(place.ledger, claim, "given_transcript", started_at=now, finished_at=now)
    place.hours_pass()
    place.recover()
    assert place.column(claim.partition_key, "resume_from") == "given_transcript"


def test_a_cancel_that_nobody_is_left_to_hear(place: Place):
    claim = place.at_work()
    place.sql("UPDATE media_file SET status = 'cancelling'")
    assert done(place.recover()) == {}
    place.hours_pass()
    assert done(place.recover()) == {(Cause.CANCEL_LOST, Action.CANCELLED): 1}
    assert place.file(claim.partition_key).status is Status.CANCELLED
    assert events.pending(place.ledger, 10)[-1].payload == {"error_code": "CANCELLED", "status": "cancelled"}


@pytest.mark.parametrize("status", [RunStatus.CANCELED, RunStatus.CANCELING])
def test_a_run_that_was_cancelled_in_dagster_while_nobody_listened(place: Place, status: RunStatus):
    key = place.queued()
    run = place.run(key, status)
    place.claim(key, run.run_id)
    place.hours_pass()
    assert done(place.recover()) == {(Cause.CANCEL_LOST, Action.CANCELLED): 1}
    ended = place.instance.get_run_by_id(run.run_id)
    assert ended
    assert ended.status is RunStatus.CANCELED


@pytest.mark.parametrize("status", ["processing", "cancelling"])
def test_a_person_s_run_that_died_leaves_the_file_as_it_was(place: Place, status: str):
    claim = place.at_work()
    leases.complete(place.ledger, claim)
    place.claim(claim.partition_key, "backfill", own=False)
    place.sql("UPDATE media_file SET status = :status", status=status)
    place.hours_pass()
    place.recover()
    file = place.file(claim.partition_key)
    assert (file.status, file.generation, file.error_code) == (Status.COMPLETED, 1, None)


# --- failures that may pass -----------------------------------------------------------------------------------------


def failed(place: Place, error: PipelineError, tries: int, name: str = "ann/a.wav") -> str:
    claim = place.at_work(name)
    place.sql("UPDATE media_file SET tries = :tries WHERE id = :id", tries=tries, id=claim.media_file_id)
    leases.fail(place.ledger, replace(claim, tries=tries), error, final=True)
    return claim.partition_key


@pytest.mark.parametrize(("tries", "minutes"), [(1, 5), (2, 20)])
def test_a_failure_that_may_pass_is_tried_again_after_a_rest_that_grows(place: Place, tries: int, minutes: int):
    key = failed(place, STORE_DOWN, tries)
    place.hours_pass((minutes - 0.5) / 60)
    assert done(place.recover()) == {}
    place.hours_pass(1 / 60)
    assert done(place.recover()) == {(Cause.FAILED_FOR_NOW, Action.WENT_AGAIN): 1}
    assert place.file(key).error_code is None


def test_what_would_fail_again_is_left_alone(place: Place):
    failed(place, PipelineError(ErrorCode.CORRUPT_MEDIA), 1)
    place.hours_pass()
    assert done(place.recover()) == {}


def test_a_file_that_had_its_tries_is_quarantined_with_the_evidence(place: Place):
    key = place.queued()
    for attempt in (1, 2, 3):
        claim = place.claim(key, f"run-{attempt}")
        now = datetime.now(UTC)
        code = ErrorCode.OUT_OF_MEMORY
        timings.record(place.ledger, claim, "transcription", started_at=now, finished_at=now, error_code=code)
        place.hours_pass()
        made = done(place.recover())
    assert made == {(Cause.RUN_DEAD, Action.QUARANTINED): 1}
    file = place.file(key)
    assert (file.status, file.error_code) == (Status.QUARANTINED, "WORKER_LOST")
    entry = operations.of_file(place.ledger, file.id)[-1]
    assert entry.operation == "quarantine"
    failures = [(each["run_id"], each["stage"], each["error_code"]) for each in entry.detail["failed_stages"]]
    assert failures == [(f"run-{n}", "transcription", "OUT_OF_MEMORY") for n in (1, 2, 3)]
    assert [(each["run_id"], each["action"]) for each in entry.detail["recoveries"]] == [
        ("run-1", "went_again"),
        ("run-2", "went_again"),
    ]
    assert events.pending(place.ledger, 10)[-1].payload["status"] == "quarantined"
    place.hours_pass(1_000)
    assert done(place.recover()) == {}, "only a person brings it back"


def test_quarantined_files_whose_tries_were_given_back_go_again(place: Place):
    key = failed(place, STORE_DOWN, 3)
    assert place.file(key).status is Status.QUARANTINED
    place.sql("UPDATE media_file SET tries = 0")
    assert done(place.recover()) == {(Cause.FAILED_FOR_NOW, Action.WENT_AGAIN): 1}


# --- what is lacking ------------------------------------------------------------------------------------------------


def degraded(place: Place, *stages: str) -> str:
    claim = place.at_work()
    leases.complete(place.ledger, claim, degraded=stages)
    return claim.partition_key


def test_missing_stages_alone_are_repeated_three_times_at_growing_intervals(place: Place):
    key = degraded(place, "chapters", "subtitles", "search_document")
    waits = (5, 20, 80)
    for number, minutes in enumerate(waits, start=1):
        place.hours_pass((minutes - 0.5) / 60)
        assert done(place.recover()) == {}
        place.hours_pass(1 / 60)
        assert done(place.recover()) == {(Cause.DEGRADED, Action.REPEATED): 1}
        backfills = place.instance.get_backfills(status=BulkActionStatus.REQUESTED)
        assert len(backfills) == number
    place.hours_pass(1_000)
    assert done(place.recover()) == {}
    assert place.file(key).status is Status.COMPLETED
    asset_names = {name.to_user_string() for name in backfills[0].asset_selection or ()}
    assert asset_names == {"subtitles", "search_document", "chapters"}


def test_search_alone_is_mended_by_its_own_reconciliation(place: Place):
    degraded(place, "search_document")
    place.hours_pass()
    assert done(place.recover()) == {}


def test_missing_stages_wait_for_a_run_that_is_under_way(place: Place):
    key = degraded(place, "chapters")
    place.run(key, RunStatus.QUEUED, generation=None)
    place.hours_pass()
    assert done(place.recover()) == {}


def test_speech_takes_along_what_is_built_from_it():
    assert stages_to_repeat(["summary", "chapters"]) == ["chapters", "summary"]
    assert stages_to_repeat(["a stage of long ago"]) == []
    assert stages_to_repeat(["diarization"]) == list(STAGES)[list(STAGES).index("diarization") :]


# --- what is gone ---------------------------------------------------------------------------------------------------


def test_files_whose_uploads_are_gone(place: Place):
    gone, there, late = place.add("ann/gone.wav"), place.add("ann/there.wav"), place.at_work("ann/late.wav")
    place.make(late.partition_key, before("transcription"))
    leases.fail(place.ledger, late, PipelineError(ErrorCode.SERVICE_REFUSED), final=True)
    spent = failed(place, STORE_DOWN, 2, "ann/spent.wav")
    place.sql("UPDATE media_file SET tries = 3 WHERE partition_key = :key", key=spent)
    for name in ("gone", "late", "spent"):
        (place.folder / f"uploads/ann/{name}.wav").unlink()
    assert done(place.recover()) == {}, "a pass that does not look into the store cannot know"
    assert done(place.recover(scan_orphans=True)) == {(Cause.OBJECT_GONE, Action.ORPHANED): 2}
    assert place.file(spent).status is Status.ORPHANED
    assert (place.file(gone).status, place.file(gone).error_code) == (Status.ORPHANED, "SOURCE_GONE")
    assert place.file(there).status is Status.PENDING
    assert place.file(late.partition_key).status is Status.ERROR, "its audio is there: it needs the upload no more"


def test_a_dead_run_s_file_whose_upload_is_gone(place: Place):
    key = place.queued()
    place.claim(key)
    (place.folder / "uploads/ann/a.wav").unlink()
    place.hours_pass()
    assert done(place.recover()) == {(Cause.RUN_DEAD, Action.ORPHANED): 1}


def test_folders_that_no_file_has_are_counted_and_left(place: Place):
    key = place.add()
    lost = ["lost-0123456789ab", "lost-ba9876543210"]
    of_files = [f"artifacts/{key}", f"results/ann/{key}", *(f"artifacts/{name}" for name in lost)]
    for folder in (*of_files, f"results/bob/{lost[0]}", "artifacts/operations"):
        place.store.put_bytes(f"{folder}/c/g0001/a.json.zst", b"")
        place.store.put_bytes(f"{folder}/c/g0001/b.json.zst", b"")
    assert place.recover(scan_orphans=True).orphaned_folders == {"artifacts": 2, "results": 1}
    assert place.store.exists(f"artifacts/{lost[0]}/c/g0001/a.json.zst")


def test_a_file_that_is_being_forgotten_is_nobody_s_business(place: Place):
    key = place.at_work().partition_key
    place.hours_pass()
    forgetting.seal(place.ledger, key, holder_finished=lambda _: True)
    place.hours_pass(1_000)
    assert done(place.recover(scan_orphans=True, only=[key])) == {}


# --- side by side ---------------------------------------------------------------------------------------------------


def test_of_two_recoverers_at_once_one_acts(place: Place):
    keys = [place.at_work(f"ann/{n}.wav", f"run-{n}").partition_key for n in range(10)]
    place.hours_pass()
    start = Barrier(2)

    def run_once(_number: int) -> Pass:
        start.wait()
        return place.recover()

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(run_once, range(2)))
    assert sum(each.done.total() for each in made) == 10
    for key in keys:
        assert place.file(key).generation == 2
        assert place.audit(key) == [("run_dead", "went_again")]


def test_a_run_that_only_paused_keeps_its_file(place: Place):
    claim = place.at_work()
    place.hours_pass()
    (suspect,) = recovery.suspects(place.ledger, 10, lease_seconds=90, unanswered_seconds=120, max_tries=3)
    leases.heartbeat(place.ledger, claim)  # it thaws between the look and the act
    act = recovery.Act(Cause.RUN_DEAD, Action.WENT_AGAIN, "test", {})
    assert not recovery.go_again(place.ledger, suspect, act, resume_from=None)
    assert not recovery.quarantine(place.ledger, suspect, act)
    leases.complete(place.ledger, claim)


def test_a_run_that_was_taken_for_dead_can_write_nothing_more(place: Place):
    claim = place.at_work()
    place.hours_pass()
    place.recover()
    with pytest.raises(PipelineError) as refused:
        leases.complete(place.ledger, claim)
    assert refused.value.code is ErrorCode.LEASE_LOST


def test_a_store_that_does_not_answer_leaves_the_file_to_the_next_pass(place: Place, monkeypatch: pytest.MonkeyPatch):
    key = place.at_work().partition_key
    place.hours_pass()
    place.store = open_store("s3://nowhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    made = place.recover()
    assert (made.left, done(made)) == (1, {})
    assert place.file(key).status is Status.PROCESSING


# --- bounded, over all who try again --------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", ["rrrr", "dddd", "rdrd", "drdr", "ddrr"])
def test_no_content_is_begun_more_than_three_times_whoever_tries_again(place: Place, ways: str):
    """Recovery (r) and Dagster's run retries (d), each alone and mixed, with runs that die every time."""
    key, begun, retries, refusal = place.queued(), 0, 0, None
    for number, way in enumerate(ways):
        try:
            place.claim(key, f"run-{number}")
        except PipelineError as error:
            refusal = error
            break
        begun += 1
        place.hours_pass()
        if way == "r":
            place.recover()
            place.request(key)
            retries = 0
        elif retries == 2:
            leases.fail_abandoned(place.ledger, key, place.file(key).generation, f"run-{number}", DEAD)
        else:
            retries += 1
        if place.file(key).status is Status.QUARANTINED:
            break
    assert begun == 3
    assert refusal is None or refusal.code is ErrorCode.TRIES_EXHAUSTED
    if refusal:
        place.recover()
    assert place.file(key).status is Status.QUARANTINED
