import json
import subprocess
import sys
import typing
from pathlib import Path

from sqlalchemy import Engine

from tests.cli.conftest import Run
from tests.ledger.samples import claimed, take, transcript, upload
from transcribe_pipeline import cli
from transcribe_pipeline.errors import CATALOGUE, ErrorCode, PipelineError
from transcribe_pipeline.ledger import leases, transcripts
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.states import State
from transcribe_pipeline.stage import STAGES


def test_the_options_offer_what_there_is() -> None:
    assert list(cli.StateName) == list(State)
    assert typing.get_args(cli.AnyStageName) == tuple(STAGES)


def test_looking_at_files_loads_no_dagster_and_help_no_database_driver() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from transcribe_pipeline.cli import app\n"
        "for heavy, words in (('sqlalchemy', ['--help']), ('sqlalchemy', ['config']), ('dagster', ['ls']),"
        " ('dagster', ['show', 'x']), ('dagster', ['watch'])):\n"
        "    CliRunner().invoke(app, words); assert heavy not in sys.modules, words"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_ledger_the_command_to_run_is_named_and_nothing_is_created(run: Run, home: Path) -> None:
    result = run("ls")
    assert result.exit_code == 1
    assert "Run 'transcribe migrate'. [DATABASE_NOT_MIGRATED]" in result.stderr
    assert result.stdout == ""
    assert not (home / "ledger.db").exists()


def test_migrate_makes_the_ledger_and_may_be_repeated(run: Run) -> None:
    assert run("migrate").exit_code == run("migrate").exit_code == run("ls").exit_code == 0


# --- ls -------------------------------------------------------------------------------------------------------------


def test_ls_shows_files_of_an_owner_or_state(run: Run, meeting: str, waiting: str) -> None:
    assert [file["partition_key"] for file in json.loads(run("ls", "--json").stdout)] == [waiting, meeting]
    assert [file["owner"] for file in json.loads(run("ls", "--owner", "bob", "--json").stdout)] == ["bob"]
    assert [file["status"] for file in json.loads(run("ls", "--status", "completed", "--json").stdout)] == ["completed"]


def test_ls_prints_one_line_a_file_when_piped(run: Run, meeting: str, waiting: str) -> None:
    header, first, second = run("ls").stdout.splitlines()
    assert header.startswith("FILE")
    assert first.split()[:3] == ["interview.wav", "bob", "pending"]
    assert second.split()[:3] == ["meeting.mp3", "ann", "completed"]


def test_ls_says_that_there_is_more(run: Run, meeting: str, waiting: str) -> None:
    result = run("ls", "--limit", "1")
    assert len(result.stdout.splitlines()) == 2
    assert "more than 1" in result.stderr


def test_names_cannot_command_the_terminal(run: Run, ledger: Engine) -> None:
    register(ledger, [upload("a\x1b[2J\x9b2Jb.wav")], settle_seconds=0)
    assert not {"\x1b", "\x9b"} & set(run("ls").stdout + run("watch", "nothing").stderr)


# --- show -----------------------------------------------------------------------------------------------------------


def test_show_begins_the_transcript_and_names_the_results(run: Run, meeting: str, home: Path) -> None:
    results = home / "store" / "results" / "ann" / meeting
    assert "results" not in run("show", "meeting.mp3").stdout
    results.mkdir(parents=True)
    for name in ("transcript.srt", "transcript.html", "summary.md"):
        (results / name).write_text("x")
    text = run("show", "meeting.mp3").stdout
    assert "SPEAKER_00: Hello word1" in text
    places = [str(results / name) for name in ("transcript.html", "summary.md", "transcript.srt")]
    assert [place for line in text.splitlines() for place in places if place in line] == places
    described = json.loads(run("show", meeting, "--json").stdout)
    assert described["transcript"]["speakers"][0] == {
        "label": "SPEAKER_00",
        "seconds": 12.5,
        "share": 0.5,
        "words": 30,
        "name": None,
        "band": "none",
    }
    assert [version["is_current"] for version in described["versions"]] == [True]


def test_show_explains_an_error_with_its_remedy(run: Run, ledger: Engine) -> None:
    leases.fail(ledger, claimed(ledger), PipelineError(ErrorCode.NO_AUDIO), final=True)
    text = run("show", "meeting.mp3").stdout
    assert "error: NO_AUDIO" in text
    assert CATALOGUE[ErrorCode.NO_AUDIO].remedy in text
    assert json.loads(run("show", "meeting.mp3", "--json").stdout)["remedy"] == CATALOGUE[ErrorCode.NO_AUDIO].remedy


def test_an_unknown_name_is_not_found(run: Run, ledger: Engine) -> None:
    for command in (("show", "nope"), ("export", "nope", "--format", "srt"), ("watch", "nope")):
        result = run(*command)
        assert result.exit_code == 3
        assert "[FILE_UNKNOWN]" in result.stderr


def test_a_name_of_several_files_asks_which(run: Run, meeting: str, ledger: Engine) -> None:
    other = upload(owner="bob")
    register(ledger, [other], settle_seconds=0)
    result = run("show", "meeting.mp3")
    assert result.exit_code == 2
    assert meeting in result.stderr
    assert other.partition_key in result.stderr
    assert run("show", "meeting.mp3", "--owner", "bob").exit_code == 0


# --- watch ----------------------------------------------------------------------------------------------------------


def test_watch_ends_with_nothing_to_do(run: Run, meeting: str) -> None:
    result = run("watch")
    assert (result.exit_code, result.stdout) == (0, "")


def test_watch_tells_how_it_ended(run: Run, ledger: Engine) -> None:
    claim = claimed(ledger)
    transcripts.save(ledger, claim, transcript(), artifact_key="x", provenance={})
    leases.complete(ledger, claim, degraded=["subtitles"])
    result = run("watch", "meeting.mp3", "--json")
    assert result.exit_code == 4
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["completed"]


def test_watch_prints_a_line_for_every_change(ledger: Engine, waiting: str) -> None:
    command = [sys.executable, "-m", "transcribe_pipeline.cli", "watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["status"] == "pending"
        claim = take(ledger, key=waiting)
        assert json.loads(process.stdout.readline())["status"] == "processing"
        leases.fail(ledger, claim, PipelineError(ErrorCode.NOT_MEDIA), final=True)
        assert json.loads(process.stdout.readline())["error_code"] == "NOT_MEDIA"
        assert process.stdout.read() == ""
    assert process.returncode == 1
