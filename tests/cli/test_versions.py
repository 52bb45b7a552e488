import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.cli.conftest import Run
from tests.ledger.samples import take, transcript, upload
from transcribe_pipeline.ledger import backlog, files, leases, transcripts
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.models import Cause
from transcribe_pipeline.options import OPTIONS


def save(ledger: Engine, sentences: int = 3, first_word: str = "Hello") -> None:
    """Another version of the meeting; three sentences of ten words, 10.25 s of covered speech."""
    value = transcript(sentences, first_word=first_word)
    quality = value.quality.model_copy(update={"covered_speech_seconds": sentences * 4.0})
    claim = take(ledger, f"run-{first_word}")
    transcripts.save(ledger, claim, value.model_copy(update={"quality": quality}), artifact_key="x", provenance={})
    leases.complete(ledger, claim)


@pytest.fixture
def two(meeting: str, ledger: Engine) -> str:
    """The meeting with a second version, which is current."""
    save(ledger, first_word="Bye")
    return meeting


@pytest.fixture
def collapsed(meeting: str, ledger: Engine) -> str:
    """The meeting with a second version, which was held back."""
    save(ledger, 1)
    return meeting


# --- versions, diff -------------------------------------------------------------------------------------------------


def test_versions_lists_them_with_their_standing(run: Run, collapsed: str) -> None:
    header, first, second = run("versions", "meeting.mp3").stdout.splitlines()
    assert header.split()[:3] == ["VERSION", "MADE", "WORDS"]
    assert first.split()[-1] == "current"
    assert second.endswith("held back: 4 s of certain speech, the current version has 10 s")
    assert "held back" in run("show", collapsed).stdout
    listed = json.loads(run("versions", collapsed, "--json").stdout)
    assert [(each["version"], each["words"], each["is_current"]) for each in listed] == [(1, 30, True), (2, 10, False)]


def test_diff_shows_figures_words_and_times(run: Run, two: str) -> None:
    lines = run("diff", "meeting.mp3").stdout.splitlines()
    assert lines[0].split() == ["VERSION", "1", "VERSION", "2"]
    assert next(line for line in lines if line.startswith("words")).split() == ["words", "30", "30"]
    assert "27 words the same, 3 different, 0 said by somebody else." in lines
    assert lines[-3:] == ["[0:00:00] -Hello +Bye", "[0:00:05] -Hello +Bye", "[0:00:10] -Hello +Bye"]


def test_diff_of_named_versions_and_as_json(run: Run, collapsed: str) -> None:
    found = json.loads(run("diff", collapsed, "--json").stdout)
    assert found["versions"] == [1, 2]
    assert found["figures"]["words"] == [30, 10]
    assert [len(change["before"]) for change in found["words"]] == [20]
    assert json.loads(run("diff", collapsed, "2", "--json").stdout)["versions"] == [2, 1]
    assert json.loads(run("diff", collapsed, "2", "2", "--json").stdout)["words"] == []


def test_diff_needs_two_versions(run: Run, meeting: str) -> None:
    result = run("diff", meeting)
    assert result.exit_code == 3
    assert "there are no two versions to compare" in result.stderr
    assert "version 7" in run("diff", meeting, "7").stderr
    assert run("diff", meeting, "1", "7").exit_code == 3


def test_words_cannot_command_the_terminal(run: Run, meeting: str, ledger: Engine) -> None:
    save(ledger, first_word="\x9b2J[bold]")
    assert not {"\x1b", "\x9b"} & set(run("diff", meeting).stdout)
    assert "[bold]" in run("diff", meeting).stdout


# --- promote, rollback ----------------------------------------------------------------------------------------------


def srt(home: Path, key: str) -> str:
    return (home / "store" / "results" / "ann" / key / "transcript.srt").read_text()


def test_promote_makes_a_version_current_and_rewrites_the_files(run: Run, two: str, home: Path) -> None:
    result = run("promote", "meeting.mp3", "1")
    assert result.exit_code == 0
    assert "Version 1 of meeting.mp3 is current: 30 words." in result.stderr
    assert "'transcribe insight <file> --again'" in result.stderr
    assert str(home / "store" / "results" / "ann" / two / "transcript.srt") in result.stdout.splitlines()
    assert "Hello" in srt(home, two)
    assert run("promote", "meeting.mp3", "2").exit_code == 0
    assert "Bye" in srt(home, two)
    assert "Hello" not in srt(home, two)


def test_promote_refuses_a_collapse_unless_forced(run: Run, collapsed: str, home: Path) -> None:
    refused = run("promote", "meeting.mp3", "2")
    assert refused.exit_code == 1
    assert "4 s of certain speech, the current version has 10 s" in refused.stderr
    assert "[PROMOTION_REFUSED]" in refused.stderr
    assert not (home / "store" / "results").exists()
    assert run("promote", "meeting.mp3", "2", "--force").exit_code == 0
    assert srt(home, collapsed).count("-->") <= 2


def test_rollback_goes_to_the_version_before_and_no_further(run: Run, two: str, ledger: Engine) -> None:
    assert run("rollback", "meeting.mp3").exit_code == 0
    assert [each.is_current for each in transcripts.versions(ledger, two)] == [True, False]
    again = run("rollback", "meeting.mp3")
    assert again.exit_code == 3
    assert "no earlier version of the same content" in again.stderr


def test_rollback_passes_over_what_was_held_back(run: Run, collapsed: str, ledger: Engine) -> None:
    save(ledger, first_word="Bye")
    assert run("rollback", collapsed).exit_code == 0
    assert [each.is_current for each in transcripts.versions(ledger, collapsed)] == [True, False, False]


def test_nothing_is_promoted_under_a_run(run: Run, two: str, ledger: Engine) -> None:
    take(ledger, "at-work")
    result = run("promote", two, "1")
    assert result.exit_code == 1
    assert "[LEASE_HELD]" in result.stderr


# --- reprocess ------------------------------------------------------------------------------------------------------


def test_reprocess_asks_for_a_new_generation_with_options(run: Run, meeting: str, ledger: Engine) -> None:
    result = run("reprocess", "meeting.mp3", "--option", "model=small", "-o", "vocabulary=Acme, Zoë")
    assert result.exit_code == 0
    assert result.stdout.split() == [meeting]
    (needed,) = backlog.next_requests(ledger, 9)
    assert (needed.partition_key, needed.generation, needed.cause) == (meeting, 2, Cause.REPROCESS)
    assert files.get(ledger, meeting).requested_options == {"model": "small", "vocabulary": ["Acme", " Zoë"]}
    run("reprocess", "meeting.mp3", "--clear")
    assert files.get(ledger, meeting).requested_options == {}


def test_reprocess_touches_nothing_if_anything_is_wrong(run: Run, meeting: str, waiting: str, ledger: Engine) -> None:
    assert run("reprocess", meeting, "-o", "max_speakers=2").exit_code == 0
    leases.complete(ledger, take(ledger, "run-2"))
    for words in (("-o", "modell=small"), ("-o", "beam_size=x"), ("-o", "small"), ("-o", "min_speakers=3")):
        result = run("reprocess", waiting, meeting, *words)
        assert result.exit_code == 1, words
        assert "[BAD_OPTIONS]" in result.stderr
    assert run("reprocess", meeting, "nope").exit_code == 3
    assert files.get(ledger, meeting).generation == 2


def test_reprocess_all_of_an_owner(run: Run, meeting: str, ledger: Engine) -> None:
    others = [upload(f"{number}.wav", owner="bob") for number in range(3)]
    register(ledger, others, settle_seconds=0)
    result = run("reprocess", "--all", "--owner", "bob")
    assert sorted(result.stdout.split()) == sorted(each.partition_key for each in others)
    assert files.get(ledger, meeting).generation == 1
    assert len(run("reprocess", "--all").stdout.split()) == 4


def test_reprocess_wants_files_or_all(run: Run, meeting: str) -> None:
    assert run("reprocess").exit_code == 2
    assert run("reprocess", "--all", meeting).exit_code == 2


# --- options --------------------------------------------------------------------------------------------------------


def test_options_lists_every_option(run: Run) -> None:
    lines = run("options").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(OPTIONS)
    assert json.loads(run("options", "--json").stdout)["language"]["allowed"].startswith("an ISO 639-1 code")
    table = run("options", "--markdown").stdout.splitlines()
    assert table[0] == "| Option | Meaning | Allowed |"
    assert len(table) == len(OPTIONS) + 2


def test_options_of_a_file_say_who_decided(run: Run, meeting: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIBE_WHISPER_BEAM_SIZE", "2")
    folder = home / "store" / "uploads" / "ann"
    folder.mkdir(parents=True)
    (folder / "meeting.mp3").write_bytes(b"x")
    (folder / "meeting.mp3.options.yaml").write_text("language: de\nprompt: |\n  Guten\n  Tag.\n")
    (folder / "meeting.srt").write_text("1")
    run("reprocess", meeting, "-o", "speakers=2")
    result = run("options", "meeting.mp3")
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines()}
    assert lines["language"] == ["language", "de", "sidecar", "meeting.mp3.options.yaml"]
    assert lines["prompt"][1:3] == ["Guten", "Tag."]
    assert lines["beam_size"] == ["beam_size", "2", "setting", "TRANSCRIBE_WHISPER_BEAM_SIZE"]
    assert lines["speakers"] == ["speakers", "2", "transcribe", "reprocess"]
    assert lines["translate"] == ["translate", "false", "default"]
    assert "Its text is given: uploads/ann/meeting.srt" in result.stderr
    assert json.loads(run("options", meeting, "--json").stdout)["language"] == "de"


def test_options_of_a_file_name_what_is_wrong(run: Run, meeting: str, home: Path) -> None:
    folder = home / "store" / "uploads" / "ann"
    folder.mkdir(parents=True)
    (folder / "meeting.mp3").write_bytes(b"x")
    (folder / "meeting.mp3.options.yaml").write_text("langauge: de")
    result = run("options", meeting)
    assert result.exit_code == 1
    assert "did you mean language?" in result.stderr
