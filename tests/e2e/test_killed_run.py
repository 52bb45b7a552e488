"""Runs killed with SIGKILL: the work goes on from the failed stage, nothing is doubled, nothing is left behind."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import psycopg2
import pytest
import soundfile
from sqlalchemy import text

from tests.e2e.deployment import TERMINAL, Home, daemon, wait_for
from transcribe_pipeline.ledger import events, timings, transcripts
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.stage import STAGES


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Home]:
    """A deployment whose ledger is a database of a real PostgreSQL."""
    connection = psycopg2.connect(postgres_url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS killed")
        cursor.execute("CREATE DATABASE killed")
    connection.close()
    home = Home(
        tmp_path_factory.mktemp("home"),
        TRANSCRIBE_DATABASE_URL=f"{postgres_url.rsplit('/', 1)[0]}/killed",
        TRANSCRIBE_WINDOW_SECONDS="30",
    )
    with daemon(home):
        yield home
    home.ledger.dispose()


def assert_converged(home: Home, key: str, killed_in: str) -> FileView:
    """One transcript, finished stages not redone, no zombie, no orphan process, no temporary file."""
    file = home.wait(key, lambda seen: seen.status in TERMINAL)
    assert (file.status, file.error_text) == (Status.COMPLETED, None)
    assert file.attempts == 2
    runs = home.runs(file)
    assert [run.status for run in runs] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]
    assert len(transcripts.versions(home.ledger, file.partition_key)) == 1
    done = Counter(timing.stage for timing in timings.of_file(home.ledger, file.id))
    assert done == Counter(STAGES.keys())  # the killed stage has no timing of its first attempt; no other ran twice
    second = {timing.stage for timing in timings.of_file(home.ledger, file.id) if timing.run_id == runs[1].run_id}
    assert second == set(list(STAGES)[list(STAGES).index(killed_in) :])
    announced = [event.kind.value for event in events.pending(home.ledger, 100) if event.media_file_id == file.id]
    assert announced == ["transcribed", "completed"]
    with home.ledger.connect() as connection:
        leases = connection.execute(text("SELECT count(*) FROM media_file WHERE lease_owner IS NOT NULL")).scalar()
    assert leases == 0
    wait_for(lambda: not home.leftovers(), 20, lambda: f"left behind: {home.leftovers()}")
    return file


def test_killed_during_transcription(on_postgres: Home, two_speakers: Path, tmp_path: Path) -> None:
    """The call three times over, in windows of 30 s: what was recognised before the kill is not recognised again."""
    recording = tmp_path / "long.wav"
    samples, rate = soundfile.read(two_speakers, dtype="int16")
    soundfile.write(recording, np.tile(samples, 3), rate)
    key = on_postgres.drop(recording, "ann", "killed in transcription.wav")

    def finished_windows() -> list[Path]:
        return list((on_postgres.folder / "store" / "artifacts").glob("killed-*/*/partial/transcription/*/*.zst"))

    wait_for(lambda: len(finished_windows()) >= 2, 180, lambda: f"{on_postgres.file(key)}")
    on_postgres.run_process().kill()
    finished = len(finished_windows())
    file = assert_converged(on_postgres, key, "transcription")
    (event,) = [
        event.asset_materialization
        for event in on_postgres.instance.fetch_materializations(dg.AssetKey("transcription"), limit=10).records
        if event.partition_key == file.partition_key
    ]
    assert event.metadata["resumed_windows"].value == finished
    assert not finished_windows()
    assert file.current_transcript_id
    words = [w.text for w in transcripts.load(on_postgres.ledger, file.current_transcript_id).words]
    assert sum("Jersey" in word for word in words) == 9  # three times in each call


def test_killed_inside_the_transaction_of_the_record(on_postgres: Home, two_speakers: Path) -> None:
    # A plain connection: the ledger's own would be ended by its idle timeout before the run gets there.
    url = on_postgres.environment["TRANSCRIBE_DATABASE_URL"].replace("+psycopg2", "")
    with psycopg2.connect(url) as blocker, blocker.cursor() as cursor:
        # Readers pass; the INSERT of the transcript, in the middle of the transaction, has to wait.
        cursor.execute("LOCK TABLE transcript IN SHARE ROW EXCLUSIVE MODE")
        key = on_postgres.drop(two_speakers, "ann", "killed in record.wav")

        def is_inserting() -> bool:
            # On a connection of its own: a transaction sees pg_stat_activity as it was when it first looked.
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT%'"
            with on_postgres.ledger.connect() as observer:
                return bool(observer.execute(text(waiting)).scalar())

        wait_for(is_inserting, 180, lambda: f"{on_postgres.file(key)}")
        on_postgres.run_process().kill()
    assert_converged(on_postgres, key, "transcript_record")


def test_a_file_whose_runs_are_killed_again_and_again_is_quarantined(on_postgres: Home, two_speakers: Path) -> None:
    key = on_postgres.drop(two_speakers, "ann", "always killed.wav")
    for attempt in (1, 2, 3):  # the run and its two retries
        on_postgres.wait(key, lambda seen, n=attempt: seen.attempts == n and seen.stage == "transcription")  # type: ignore[misc]
        wait_for(lambda: _kill(on_postgres), 30, lambda: "no run process")
    file = on_postgres.wait(key, lambda seen: seen.status in TERMINAL)
    assert (file.status, file.error_code) == (Status.QUARANTINED, "WORKER_LOST")


def _kill(home: Home) -> bool:
    try:
        home.run_process().kill()
    except AssertionError:
        return False
    return True
