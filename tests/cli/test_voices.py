"""`transcribe voices`: decisions on the command line, and the backfill that follows them."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine

from tests.cli.conftest import Run
from tests.ledger.samples import upload
from tests.ledger.test_voices import heard
from transcribe_pipeline.cli.voices import RELABELLED
from transcribe_pipeline.ledger import voices

ROOT = Path(__file__).parents[2]
NOT_NOW = "--no-relabel"


@pytest.fixture
def files(ledger: Engine) -> None:
    """Two files of ann with the same two voices."""
    heard(ledger, "a.mp3", {"SPEAKER_00": 0, "SPEAKER_01": 90})
    heard(ledger, "b.mp3", {"SPEAKER_00": 92, "SPEAKER_01": 2})


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded Dagster home that `make up` makes."""
    folder = home / "dagster"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", folder)
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_HOME")
    return folder


def test_confirming_asks_dagster_to_relabel_exactly_the_affected_files(run: Run, files: None, instance: Path, ledger):
    heard(ledger, "stranger.mp3", {"SPEAKER_00": 180})
    heard(ledger, "other.mp3", {"SPEAKER_00": 0}, owner="bob")
    told = json.loads(run("voices", "confirm", "a.mp3", "SPEAKER_00", "Ann Lee", "--json").stdout)
    assert told["files"] == 2
    with dg.DagsterInstance.from_config(str(instance)) as dagster:
        backfill = dagster.get_backfill(told["backfill"])
    assert backfill
    assert backfill.title == "Voices: confirm (1)"
    assert backfill.tags == {"transcribe/owner": "ann", "transcribe/trigger": "voices"}
    assert backfill.asset_backfill_data
    wanted = backfill.asset_backfill_data.target_subset.iterate_asset_partitions()
    assert {(each.asset_key.to_user_string(), each.partition_key) for each in wanted} == {
        (asset, upload(name).partition_key) for asset in RELABELLED for name in ("a.mp3", "b.mp3")
    }


def test_without_dagster_nothing_is_decided(run: Run, files: None, ledger: Engine):
    result = run("voices", "confirm", "a.mp3", "SPEAKER_00", "Ann")
    assert result.exit_code == 2
    assert "--no-relabel" in result.stderr
    assert voices.known(ledger, "ann").decisions == ()


def test_a_life_of_a_voice(run: Run, files: None):
    said = run("voices", "confirm", "a.mp3", "SPEAKER_00", "Ann", NOT_NOW)
    assert "SPEAKER_00 of transcript" in said.stdout
    assert "2 files to re-label; 'transcribe voices relabel' does it." in said.stderr
    assert run("voices", "confirm", "b.mp3", "SPEAKER_00", "Bob", NOT_NOW).exit_code == 0
    assert run("voices", "rename", "bob", "Ben", NOT_NOW).exit_code == 0
    assert run("voices", "merge", "Ben", "Ann", NOT_NOW).exit_code == 0
    assert [line.split()[:2] for line in run("voices", "ls").stdout.splitlines()] == [["NAME", "SAMPLES"], ["Ann", "2"]]
    assert run("voices", "undo", "--json", NOT_NOW).exit_code == 0
    listed = json.loads(run("voices", "ls", "--json").stdout)
    assert [(each["name"], each["samples"], each["owner"]) for each in listed] == [("Ann", 1, "ann"), ("Ben", 1, "ann")]
    assert "b.mp3  SPEAKER_00  20.0 s" in run("voices", "show", "Ben").stdout
    again = run("voices", "undo", "4", NOT_NOW)
    assert again.exit_code == 2
    assert "decision 4 is undone already, by 5" in again.stderr
    entries = json.loads(run("voices", "log", "--json").stdout)
    assert [(entry["kind"], entry["undone_by"]) for entry in entries] == [
        ("confirm", None),
        ("confirm", None),
        ("rename", None),
        ("merge", 5),
        ("undo", None),
    ]
    assert len(run("voices", "log").stdout.splitlines()) == 6


def test_names_are_shown_where_the_transcript_is(run: Run, meeting: str, ledger: Engine):
    from tests.ledger.test_voices import say

    (version,) = json.loads(run("show", meeting, "--json").stdout)["versions"]
    run("voices", "confirm", meeting, "SPEAKER_00", "Ann Lee", NOT_NOW)
    say(ledger, "meeting.mp3", version["transcript_id"])
    text = run("show", meeting).stdout
    assert "Ann Lee: Hello word1" in text
    assert "SPEAKER_01  12.5 s" in text
    assert "Ann Lee" in run("export", meeting, "--format", "srt").stdout
    speakers = json.loads(run("show", meeting, "--json").stdout)["transcript"]["speakers"]
    assert [(each["name"], each["band"]) for each in speakers] == [("Ann Lee", "confirmed"), ("Ann Lee", "suggested")]
    assert "Ann Lee?" in text  # the other voice is the same to a machine: a question, not a name


def test_whose_voice_is_asked_when_it_is_not_clear(run: Run, files: None, ledger: Engine):
    heard(ledger, "c.mp3", {"SPEAKER_00": 0}, owner="bob")
    run("voices", "confirm", "a.mp3", "SPEAKER_00", "Ann", NOT_NOW)
    result = run("voices", "rename", "Ann", "Eve", NOT_NOW)
    assert (result.exit_code, result.stderr) == (2, "Whose? --owner is one of: ann, bob\n")
    assert run("voices", "rename", "Ann", "Eve", "--owner", "bob", NOT_NOW).exit_code == 3
    assert run("voices", "rename", "Ann", "Eve", "--owner", "ann", NOT_NOW).exit_code == 0


@pytest.mark.parametrize("name", ["\x1b[2J", "\u202eeel nnA", "", "a" * 101])
def test_hostile_names_are_refused(run: Run, files: None, name: str):
    result = run("voices", "confirm", "a.mp3", "SPEAKER_00", name, NOT_NOW)
    assert result.exit_code == 2
    assert "[VOICE_REFUSED]" in result.stderr
    assert not {"\x1b", "\u202e"} & set(result.stderr)


def test_what_is_not_there(run: Run, files: None, waiting: str):
    for label in ("SPEAKER_07", "speaker_00", "", "\udcff", "' OR 1=1 --"):
        assert run("voices", "confirm", "a.mp3", label, "Ann", NOT_NOW).exit_code == 3
    assert run("voices", "ls", "--owner", "\udcff", "--json").stdout == "[]\n"
    assert run("voices", "log", "--owner", "\udcff").exit_code == 2
    assert run("voices", "confirm", waiting, "SPEAKER_00", "Ann", NOT_NOW).exit_code == 3
    assert run("voices", "show", "nobody\x1b", "--owner", "ann").exit_code == 3
    assert "\x1b" not in run("voices", "show", "nobody\x1b", "--owner", "ann").stderr
