import hashlib
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.cli.conftest import Run
from tests.ledger.samples import take
from transcribe_pipeline.ledger import backlog, files, leases


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "Board Meeting.wav"
    path.write_bytes(b"RIFF once")
    return path


def test_an_added_file_is_whole_registered_and_may_run_at_once(
    run: Run, ledger: Engine, home: Path, recording: Path
) -> None:
    result = run("add", recording, "--owner", "ann")
    key, object_key = result.stdout.strip().split("\t")
    assert object_key == "uploads/ann/Board Meeting.wav"
    assert (home / "store" / object_key).read_bytes() == recording.read_bytes()
    assert [needed.partition_key for needed in backlog.next_requests(ledger, 10)] == [key]


def test_the_same_bytes_again_change_nothing(run: Run, ledger: Engine, recording: Path) -> None:
    key = run("add", recording, "--owner", "ann").stdout.split("\t")[0]
    _process(ledger, key, recording)
    result = run("add", recording, "--owner", "ann")
    assert "already there" in result.stderr
    assert files.get(ledger, key).generation == 1


def test_other_bytes_of_that_name_are_the_next_generation(run: Run, ledger: Engine, recording: Path) -> None:
    key = run("add", recording, "--owner", "ann").stdout.split("\t")[0]
    _process(ledger, key, recording)
    recording.write_bytes(b"RIFF twice")
    result = run("add", recording, "--owner", "ann")
    assert "generation 2" in result.stderr
    assert [needed.generation for needed in backlog.next_requests(ledger, 10)] == [2]


def test_sidecars_go_beside_their_recording_before_it(run: Run, ledger: Engine, recording: Path, home: Path) -> None:
    sidecar = recording.with_name(f"{recording.name}.options.yaml")
    sidecar.write_text("language: de")
    result = run("add", recording, sidecar, "--owner", "ann")
    (line,) = result.stdout.splitlines()
    file = files.get(ledger, line.split("\t")[0])
    assert file.file_name == recording.name
    assert file.sidecars, "its first run is asked for with the sidecar"
    assert (home / "store/uploads/ann" / sidecar.name).read_text() == "language: de"
    assert "put beside" in result.stderr
    assert "already there" in run("add", sidecar, "--owner", "ann").stderr


@pytest.mark.parametrize("owner", ["a/b", ".ann", "..", "a\nb"])
def test_an_owner_is_one_visible_folder(run: Run, ledger: Engine, home: Path, recording: Path, owner: str) -> None:
    assert run("add", recording, "--owner", owner).exit_code == 2
    assert not (home / "store").exists()


def test_a_hidden_file_would_never_be_picked_up(run: Run, ledger: Engine, tmp_path: Path) -> None:
    (tmp_path / ".secret.wav").write_bytes(b"RIFF")
    assert run("add", tmp_path / ".secret.wav", "--owner", "ann").exit_code == 2


def test_files_that_would_replace_each_other_are_refused(run: Run, ledger: Engine, recording: Path) -> None:
    twin = recording.parent / "twin" / recording.name
    twin.parent.mkdir()
    twin.write_bytes(b"RIFF other")
    assert run("add", recording, twin, "--owner", "ann").exit_code == 2
    assert files.list_files(ledger) == []


def test_a_file_that_is_not_there_is_wrong_usage(run: Run, ledger: Engine, tmp_path: Path) -> None:
    assert run("add", tmp_path / "nope.wav").exit_code == 2


def _process(ledger: Engine, key: str, recording: Path) -> None:
    claim = take(ledger, key=key)
    leases.record_sha256(ledger, claim, hashlib.sha256(recording.read_bytes()).hexdigest())
    leases.complete(ledger, claim)
