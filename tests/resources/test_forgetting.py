"""Forgetting on both databases and both kinds of store, with a real Dagster instance and real runs."""

import json
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.scheduler.instigation import InstigatorType, TickData, TickStatus
from sqlalchemy import Engine, text

from tests.ledger.conftest import create_database
from tests.ledger.samples import take
from tests.resources.installations import NAME, WORD, Installation, traces
from transcribe_pipeline.backfills import launch
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files, leases, voices
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.resources.forgetting import Holdings, Outcome, Places
from transcribe_pipeline.resources.run_history import RunHistory
from transcribe_pipeline.stage import OWNER_TAG

everywhere = pytest.mark.parametrize("installation", ["folder", "s3"], indirect=True)
"""On SQLite and a folder, and on PostgreSQL and S3; without it on the first alone."""


def places(installation: Installation, owner: str | None = None) -> Places:
    history = RunHistory(installation.instance)
    return Places(installation.configured, installation.ledger, installation.store, history, installation.index, owner)


def forget(installation: Installation, key: str) -> Outcome:
    of_files = places(installation)
    return of_files.forget([of_files.target(files.get(installation.ledger, key))])


def forget_owner(installation: Installation, owner: str) -> Outcome:
    of_owner = places(installation, owner)
    return of_owner.forget(of_owner.of_owner())


def unshared(holdings: Holdings) -> dict[str, int]:
    """Without what Dagster keeps of several files together: caches are emptied, an owner's backfills go."""
    return {kind: count for kind, count in holdings.counts.items() if kind != "mentions in Dagster"}


def rows(ledger: Engine, table: str) -> int:
    with ledger.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()


@everywhere
def test_nothing_is_left_of_a_file_and_everything_of_the_others(
    installation: Installation, tmp_path: Path, dagster_home: Path
):
    annes = installation.done("anne", really=True)
    installation.upload(f"uploads/anne/{NAME}.options.yaml", b"prompt: x")
    bobs = installation.done("bob", really=True)
    bob = places(installation)
    his = bob.target(files.get(installation.ledger, bobs))
    before = bob.look([his])

    outcome = forget(installation, annes)

    assert outcome.is_proven, outcome.left
    assert outcome.forgotten.counts.keys() >= {
        "uploads", "sidecars", "results", "artifacts", "file", "transcript versions", "segments", "speakers",
        "insights", "language model calls", "stage timings", "events", "voice decisions",
        "runs", "run events", "run files", "run logs", "partition keys",
        "mentions in Dagster",
        "search documents",
    }  # fmt: skip
    assert not list(installation.store.entries("uploads/anne"))
    assert not [*traces(tmp_path, annes, f"anne's {WORD}"), *traces(dagster_home, annes)]
    assert {rows(installation.ledger, table) for table in ("insight", "language_model_call")} == {1}
    assert unshared(bob.look([his])) == unshared(before)
    assert rows(installation.ledger, "media_file") == 1
    latest = installation.instance.get_latest_materialization_event(dg.AssetKey("transcript"))
    assert latest
    assert latest.run_id in his.run_ids


def test_no_byte_of_it_stays_on_the_disk(installation: Installation, tmp_path: Path, dagster_home: Path):
    before = traces(dagster_home, WORD, NAME)
    key = installation.done("anne", really=True)
    traced = {place[:13] for place in traces(tmp_path, key, WORD, NAME)}
    assert {"ledger.db-wal", "search.db", "store/results", "store/uploads"} <= traced
    assert "history/runs/index.db" in traces(dagster_home, key, WORD, NAME)

    assert forget(installation, key).is_proven

    assert not traces(tmp_path, key, WORD, NAME)
    assert not traces(dagster_home, key)
    assert traces(dagster_home, WORD, NAME) == before


def test_what_was_forgotten_may_be_uploaded_again(installation: Installation):
    key = installation.done("anne")
    forget(installation, key)
    installation.upload(f"uploads/anne/{NAME}", b"RIFF")
    assert installation.register(f"uploads/anne/{NAME}") == key
    again = files.get(installation.ledger, key)
    assert (again.status, again.generation) == (Status.PENDING, 1)


def test_the_receipt_names_nothing(installation: Installation):
    key = installation.done("anne")
    outcome = forget(installation, key)
    receipt = json.loads(installation.store.get_bytes(outcome.receipt_key))
    assert len(receipt["object_keys_sha256"]) == 1
    assert receipt["counts"]["segments"] == 3
    assert receipt["left"] == {}
    assert not any(name in json.dumps(receipt) for name in (key, NAME, "anne", WORD))


@pytest.mark.parametrize("place", ["results", "search", "runs", "ledger"])
def test_an_interrupted_forgetting_is_repeated(installation: Installation, place: str, monkeypatch: pytest.MonkeyPatch):
    key = installation.done("anne")
    broken = {
        "results": "transcribe_pipeline.resources.object_store.ObjectStore.delete_prefix",
        "search": "transcribe_pipeline.resources.run_history.RunHistory.forget",
        "runs": "dagster.DagsterInstance.delete_dynamic_partition",
        "ledger": "transcribe_pipeline.ledger.forgetting.forget_file",
    }[place]

    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(broken, interrupt)
        with pytest.raises(KeyboardInterrupt):
            forget(installation, key)
    installation.register(f"uploads/anne/{NAME}")
    assert files.get(installation.ledger, key).status is Status.ERROR

    assert forget(installation, key).is_proven
    assert rows(installation.ledger, "media_file") == 0


def test_a_sealed_file_is_neither_listed_anew_nor_claimed(installation: Installation, monkeypatch: pytest.MonkeyPatch):
    key = installation.done("anne")
    claim = take(installation.ledger, "run-2", key=key)
    leases.release(installation.ledger, claim)
    with monkeypatch.context() as patch:
        patch.setattr(Places, "_await_end", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(installation, key)
    before = files.get(installation.ledger, key)
    installation.register(f"uploads/anne/{NAME}")
    assert files.get(installation.ledger, key) == before
    with pytest.raises(PipelineError) as held:
        take(installation.ledger, "run-3", key=key)
    assert held.value.code is ErrorCode.LEASE_HELD
    with pytest.raises(PipelineError) as lost:
        leases.heartbeat(installation.ledger, claim)
    assert lost.value.code is ErrorCode.LEASE_LOST


def test_a_file_at_work_is_refused(installation: Installation):
    key = installation.done("anne")
    other = installation.instance.create_run_for_job(
        _empty_job,
        tags={"dagster/partition": key},
        status=dg.DagsterRunStatus.STARTED,
    )
    with pytest.raises(PipelineError) as refusal:
        forget(installation, key)
    assert refusal.value.code is ErrorCode.LEASE_HELD
    assert other.run_id in refusal.value.detail
    assert files.get(installation.ledger, key).status is Status.COMPLETED
    installation.instance.report_run_canceled(other)
    assert forget(installation, key).is_proven


def test_a_live_lease_without_a_run_that_dagster_knows_is_taken_over(installation: Installation):
    key = installation.done("anne")
    take(installation.ledger, "no-such-run", key=key)
    assert forget(installation, key).is_proven


def test_runs_that_wait_are_cancelled(installation: Installation):
    key = installation.done("anne")
    installation.instance.create_run_for_job(
        _empty_job, tags={"dagster/partition": key}, status=dg.DagsterRunStatus.NOT_STARTED
    )
    outcome = forget(installation, key)
    assert outcome.is_proven
    assert outcome.forgotten.counts["runs"] == 1


def test_backfills_and_ticks_keep_their_record_without_the_name(installation: Installation):
    annes, bobs = installation.done("anne"), installation.done("bob")
    backfill_id = launch(installation.instance, ["transcript"], [annes, bobs], title="again", tags={})
    with pytest.raises(PipelineError) as refusal:
        forget(installation, annes)
    assert refusal.value.code is ErrorCode.LEASE_HELD
    backfill = installation.instance.get_backfill(backfill_id)
    assert backfill
    installation.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))

    assert forget(installation, annes).is_proven

    kept = installation.instance.get_backfill(backfill_id)
    assert kept
    assert bobs in str(kept.asset_backfill_data)
    assert annes not in str(kept.asset_backfill_data)


@everywhere
def test_voices_known_from_elsewhere_stay_known(installation: Installation):
    first, second = installation.done("anne"), installation.done("anne", "other.wav")
    other = files.get(installation.ledger, second).current_transcript_id or ""
    voices.confirm(installation.ledger, "anne", other, "SPEAKER_01", name="Zoë")
    voices.rename(installation.ledger, "anne", "Zoë", "Zoë Lee")

    outcome = forget(installation, first)

    assert outcome.forgotten.counts["voice decisions"] == 1
    known = voices.known(installation.ledger, "anne")
    assert sorted(profile.name for profile in known.profiles) == ["Zoë Lee", f"anne's {WORD}"]
    assert all(transcript_id == other for profile in known.profiles for transcript_id, _ in profile.samples)


@everywhere
def test_an_owner_is_forgotten_as_a_whole(installation: Installation, tmp_path: Path, dagster_home: Path):
    installation.done("anne")
    installation.done("anne", "second.wav")
    bobs = installation.done("bob")
    installation.upload("uploads/anne/not-registered.wav", b"RIFF")
    launch(installation.instance, ["transcript"], [bobs], title="x", tags={OWNER_TAG: "anne"})
    his = places(installation)
    before = his.look([his.target(files.get(installation.ledger, bobs))])

    outcome = forget_owner(installation, "anne")

    assert outcome.is_proven, outcome.left
    assert outcome.forgotten.counts["uploads"] == 3
    assert outcome.forgotten.counts["backfills"] == 1
    traced = [place for folder in (tmp_path, dagster_home) for place in traces(folder, "s/anne", f"anne's {WORD}")]
    assert not traced
    assert unshared(his.look([his.target(files.get(installation.ledger, bobs))])) == unshared(before)
    assert [file.owner for file in files.list_files(installation.ledger)] == ["bob"]


def test_an_owner_whose_uploads_are_not_registered_yet(installation: Installation):
    bobs = installation.done("bob")
    launch(installation.instance, ["transcript"], [bobs], title="x", tags={})
    installation.upload("uploads/anne/new.wav", b"RIFF")
    outcome = forget_owner(installation, "anne")
    assert outcome.is_proven
    assert outcome.forgotten.counts == {"uploads": 1}
    assert RunHistory(installation.instance).count_mentions([bobs]) == 1


@pytest.mark.parametrize("installation", ["s3"], indirect=True)
@pytest.mark.parametrize("owner", [None, "anne"])
def test_a_bucket_that_keeps_versions_keeps_none_of_it(
    installation: Installation, s3_client: Any, bucket: str, owner: str | None
):
    s3_client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    installation.upload(f"uploads/anne/{NAME}", b"an earlier recording")
    installation.upload("uploads/anne/zorblax.srt", b"x")
    key = installation.done("anne")
    installation.upload("uploads/anne/zorblax-2.wav", b"another recording")
    installation.upload("uploads/anne/zorblax-2.wav", b"and its second version")

    outcome = forget_owner(installation, "anne") if owner else forget(installation, key)

    assert outcome.is_proven, outcome.left
    page = s3_client.list_object_versions(Bucket=bucket)
    left = [item["Key"] for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, ())]
    others = [] if owner else ["some/base/uploads/anne/zorblax-2.wav"] * 2
    assert left == ["some/base/" + outcome.receipt_key, *others]


def test_sidecars_go_where_people_have_deleted_the_recording_already(installation: Installation):
    installation.upload(f"uploads/anne/{NAME}.options.yaml", b"prompt: x")
    key = installation.done("anne")
    installation.store.delete(f"uploads/anne/{NAME}")
    assert forget(installation, key).is_proven
    assert not list(installation.store.entries("uploads/anne"))


def test_dagsters_own_storage_may_be_postgresql(installation: Installation, postgres_url: str, tmp_path: Path):
    url = create_database(postgres_url, "dagster")
    (tmp_path / "production").mkdir()
    storage = {"telemetry": {"enabled": False}, "storage": {"postgres": {"postgres_url": url}}}
    (tmp_path / "production/dagster.yaml").write_text(json.dumps(storage))
    with dg.DagsterInstance.from_config(str(tmp_path / "production")) as instance:
        production = replace(installation, instance=instance)
        key = production.done("anne", really=True)
        bobs = production.done("bob", really=True)
        assert RunHistory(instance).count_mentions([key]) > 0
        outcome = forget(production, key)
        assert outcome.is_proven, outcome.left
        assert outcome.forgotten.counts["runs"] == 1
        latest = instance.get_latest_materialization_event(dg.AssetKey("transcript"))
        assert latest
        assert latest.dagster_event
        assert latest.dagster_event.partition == bobs
        dump = subprocess.run(
            ["pg_dump", "--inserts", url.replace("+psycopg2", "")], capture_output=True, check=True, text=True
        )
    assert bobs in dump.stdout
    assert key not in dump.stdout


def test_what_a_tick_in_flight_writes_back_is_found(installation: Installation):
    key = installation.done("anne")
    data = TickData("sensor", "new_uploads", InstigatorType.SENSOR, TickStatus.STARTED, time.time(), run_ids=[])
    requests = [
        dg.RunRequest(f"{each}:1", partition_key=each, tags={"transcribe/file": NAME}) for each in (key, "bobs")
    ]
    data = data.with_run_info(run_id="1", run_key=f"{key}:1").with_run_requests(requests)
    tick = installation.instance.create_tick(data)
    ended = tick.with_status(TickStatus.SUCCESS)
    late = threading.Timer(1.0, installation.instance.update_tick, [ended])
    late.start()
    outcome = forget(installation, key)
    late.join()
    assert outcome.is_proven
    assert RunHistory(installation.instance).count_mentions([key]) == 0
    (kept,) = installation.instance.get_ticks("sensor", data.selector_id)
    assert kept.run_keys == ["forgotten:1"]
    assert [request.tags for request in kept.tick_data.run_requests or ()] == [{}, {"transcribe/file": NAME}]


@pytest.mark.parametrize("owner", ["", "anne/private", "../bob"])
def test_an_owner_is_one_folder(installation: Installation, owner: str):
    with pytest.raises(PipelineError) as refusal:
        places(installation, owner)
    assert refusal.value.code is ErrorCode.FILE_UNKNOWN


def test_a_sidecar_that_two_recordings_share_stays_with_the_other(installation: Installation):
    for name in (f"{NAME}.options.yaml", "zorblax.srt", "zorblax.de.srt", "zorblax.vtt"):
        installation.upload(f"uploads/anne/{name}", b"x")
    key = installation.done("anne")
    assert {entry.key for entry in installation.store.beside("uploads", f"uploads/anne/{NAME}")} == {
        f"uploads/anne/{name}" for name in (f"{NAME}.options.yaml", "zorblax.srt", "zorblax.de.srt", "zorblax.vtt")
    }
    installation.upload("uploads/anne/zorblax.mp4", b"other")

    assert forget(installation, key).is_proven

    left = [entry.key for entry in installation.store.entries("uploads/anne")]
    assert left == [f"uploads/anne/zorblax.{ending}" for ending in ("de.srt", "mp4", "srt", "vtt")]


def test_what_comes_back_meanwhile_is_told(installation: Installation, monkeypatch: pytest.MonkeyPatch):
    key = installation.done("anne")
    delete = installation.store.delete

    def delete_and_upload_again(object_key: str) -> None:
        delete(object_key)
        installation.upload(f"uploads/anne/{NAME}", b"RIFF again")
        installation.register(f"uploads/anne/{NAME}")

    monkeypatch.setattr(installation.store, "delete", delete_and_upload_again)
    outcome = forget(installation, key)
    assert not outcome.is_proven
    assert outcome.left.counts.keys() >= {"uploads", "file"}
    assert files.get(installation.ledger, key).status is Status.PENDING


@dg.job
def _empty_job() -> None:
    pass
