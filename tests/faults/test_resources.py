"""A machine that lacks something (disk, memory, a model), and deletions beside a run: rows 8, 27, 28 and 45."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
import soundfile
from sqlalchemy import Connection, text, update

from tests.e2e.deployment import ROOT
from tests.faults.harness import Site, Speech, row, store_of
from tests.faults.invariants import assert_fit_for_people, assert_sound
from transcribe_pipeline.errors import CATALOGUE, ErrorCode, PipelineError
from transcribe_pipeline.ledger.database import connect, migrate, write
from transcribe_pipeline.ledger.models import MediaFile, Status
from transcribe_pipeline.ledger.states import UNFINISHED
from transcribe_pipeline.operations import requests
from transcribe_pipeline.operations.recovery import UNANSWERED_SECONDS


def in_namespace(script: str) -> list[str]:
    """A command to start a process with: file systems of its own, made by this script, which end with it."""
    return ["unshare", "--map-root-user", "--mount", "sh", "-euc", f'{script}; exec "$@"', "sh"]


SMALL_SCRATCH = in_namespace('mount -t tmpfs -o size=8m scratch "$TRANSCRIBE_HOME/scratch"')
FULL_STORE = in_namespace(
    'cp -a "$TRANSCRIBE_HOME/store" "$TRANSCRIBE_HOME/copy"; mount -t tmpfs -o size=4m store "$TRANSCRIBE_HOME/store";'
    'cp -a "$TRANSCRIBE_HOME/copy/." "$TRANSCRIBE_HOME/store"; rm -r "$TRANSCRIBE_HOME/copy";'
    'head -c 4m /dev/zero >"$TRANSCRIBE_HOME/store/filling" || true'
)
SMALL_FILES = ["prlimit", "--fsize=8000000"]

UNANSWERED = timedelta(seconds=UNANSWERED_SECONDS + 1)


@pytest.fixture
def bulky(recording: Path, tmp_path: Path) -> Path:
    """The recording, as 12 MB."""
    samples, rate = soundfile.read(recording, dtype="int16")
    wide = np.repeat(samples, 192_000 // rate * 2).reshape(-1, 2)
    target = tmp_path / "bulky.wav"
    soundfile.write(target, np.tile(wide, (4, 1)), 192_000, subtype="PCM_32")
    assert target.stat().st_size > 10_000_000
    return target


def require_namespaces(command: Sequence[str]) -> None:
    if command[0] == "unshare" and subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this machine gives unprivileged processes no file systems of their own")


def assert_told(site: Site, key: str, code: ErrorCode, fact: str = "") -> None:
    """The file has not failed for good, and says what is lacking."""
    file = site.file(key)
    assert file
    assert (file.status in UNFINISHED, file.error_code) == (True, code)
    assert str(file.error_text).startswith(CATALOGUE[code].sentence[:-1])
    assert fact in str(file.error_text)
    assert_fit_for_people(site, str(file.error_text))


@row(8)
@pytest.mark.parametrize(
    "lack",
    [
        pytest.param(SMALL_SCRATCH, id="scratch", marks=pytest.mark.nightly),
        pytest.param(SMALL_FILES, id="limit", marks=pytest.mark.nightly),
    ],
)
def test_no_room_for_one_recording(site: Site, recording: Path, bulky: Path, lack: list[str]) -> None:
    """The large one waits for better times and leaves no half copy in the way of the small one."""
    require_namespaces(lack)
    (site.folder / "scratch").mkdir(exist_ok=True)
    large, small = site.drop(bulky, "ann"), site.drop(recording, "ann", "small.wav")
    site.work(under=lack)
    assert_told(site, large, ErrorCode.DISK_FULL)
    after = site.file(small)
    assert after
    assert after.status is Status.COMPLETED
    assert_mends(site, large)


def assert_mends(site: Site, key: str) -> None:
    """By itself, as soon as recovery looks again and there is no lack any more."""
    with site.ledger.begin() as connection:
        long_ago = datetime.now(UTC) - UNANSWERED
        connection.execute(update(MediaFile).where(MediaFile.object_key == key).values(status_since=long_ago))
    site.recover(key)
    mended = site.file(key)
    assert mended
    assert (mended.status, mended.error_code) == (Status.COMPLETED, None)
    assert_sound(site)


@row(8)
@pytest.mark.nightly
def test_no_room_for_results(site: Site, recording: Path) -> None:
    require_namespaces(FULL_STORE)
    key = site.drop(recording, "ann")
    site.work(under=FULL_STORE)
    assert failure_of(site, key) == ErrorCode.DISK_FULL
    assert_mends(site, key)


def failure_of(site: Site, key: str) -> str:
    """The code that Dagster shows of the run that failed last."""
    file = site.file(key)
    assert file
    with site.instance as instance:
        run = next(iter(instance.get_runs(dg.RunsFilter(tags={"dagster/partition": file.partition_key}))))
        entries = [record.event_log_entry for record in instance.get_records_for_run(run.run_id).records]
    events = [entry.dagster_event for entry in entries if entry.dagster_event and entry.dagster_event.is_step_failure]
    details = events[0].step_failure_data.user_failure_data
    assert details
    assert_fit_for_people(site, str(details.description))
    return str(details.metadata["error_code"].value)


@row(8)
def test_no_room_for_the_ledger(tmp_path: Path) -> None:
    """Said to be what it is, not that the database does not answer; and what was there is still there."""
    ledger = connect(f"sqlite:///{tmp_path / 'ledger.db'}")
    migrate(ledger)

    def fill(connection: Connection) -> None:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        connection.execute(text("CREATE TABLE filling AS SELECT hex(zeroblob(100000)) AS half"))

    with pytest.raises(PipelineError) as caught:
        write(ledger, fill)
    assert caught.value.code is ErrorCode.DISK_FULL


# --- memory ---------------------------------------------------------------------------------------------------------


@row(27)
@pytest.mark.nightly
@pytest.mark.parametrize("mebibytes", [900, 1_500])
def test_too_little_memory(tmp_path: Path, speech: Speech, recording: Path, mebibytes: int) -> None:
    """A real model in a process that may not have enough: words or OUT_OF_MEMORY, never a crash."""
    site = Site(tmp_path / "site", speech, TRANSCRIBE_RECOGNISER="faster-whisper")
    key = site.drop(recording, "ann")
    site.work(under=["prlimit", f"--as={mebibytes * 2**20}"])
    file = site.file(key)
    assert file
    print(f"{mebibytes} MiB: {file.status}, {file.error_text}")
    if file.status is not Status.COMPLETED:
        assert_told(site, key, ErrorCode.OUT_OF_MEMORY)
    site.close()


# --- models ---------------------------------------------------------------------------------------------------------


@row(28)
@pytest.mark.parametrize(
    "hub", ["HF_HUB_OFFLINE=1", pytest.param("HF_ENDPOINT=http://127.0.0.1:9", marks=pytest.mark.nightly)]
)
def test_no_model(tmp_path: Path, speech: Speech, recording: Path, hub: str) -> None:
    """The error names it, not where it was looked for; `transcribe doctor` says it before any run."""
    variable, _, value = hub.partition("=")
    wanted = {"TRANSCRIBE_RECOGNISER": "faster-whisper", "TRANSCRIBE_WHISPER_MODEL": "large-v3", variable: value}
    site = Site(tmp_path / "site", speech, **wanted)
    warned = command_line(site, "doctor")
    assert "Whisper 'large-v3' is not on this machine" in warned.stdout
    key = site.drop(recording, "ann")
    site.work()
    assert_told(site, key, ErrorCode.MODEL_UNAVAILABLE, "large-v3")
    site.close()


def command_line(site: Site, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "transcribe_pipeline.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, env=site.environment, capture_output=True, text=True, check=False)


# --- deletions beside a run -----------------------------------------------------------------------------------------


@row(45)
def test_forgotten_while_it_is_transcribed(site: Site, recording: Path) -> None:
    """Refused while a run is at work, with nothing deleted; once that is cancelled, nothing is left or comes back."""
    secret = site.drop(recording, "ann", "secret.wav")
    with site.speech.held(), site.worker(secret) as run:
        site.speech.wait_until_asked()
        refused = command_line(site, "forget", secret, "--apply", "--yes")
        assert refused.returncode == 1
        assert ErrorCode.LEASE_HELD in refused.stderr
        assert secret in objects(site)
        file = site.file(secret)
        assert file
        with site.instance as instance:
            (answer,) = requests.cancel(site.ledger, instance, [file.partition_key], actor="faults")
        site.speech.gate.set()
        site.finish(run)
    stopped = site.file(secret)
    assert stopped
    assert stopped.status is Status.CANCELLED, answer
    done = command_line(site, "forget", secret, "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    assert (site.file(secret), objects(site)) == (None, [])
    kept = site.drop(recording, "bob", "kept.wav")
    site.work()
    assert_sound(site)
    after = site.file(kept)
    assert after
    assert after.status is Status.COMPLETED
    assert not any("secret" in name for name in objects(site))


def objects(site: Site) -> list[str]:
    return [name for prefix in ("uploads", "artifacts", "results") for name in store_of(site).list_keys(prefix)]
