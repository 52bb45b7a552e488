"""What `transcribe search` prints, from a real index."""

import json

import pytest

from tests.cli.conftest import Run
from tests.search.samples import CORPUS, A, document, with_insights
from transcribe_pipeline.cli.output import ExitCode
from transcribe_pipeline.cli.search import search
from transcribe_pipeline.search.embedded import EmbeddedIndex
from transcribe_pipeline.search.index import Query, Scope

ALL = Scope.everything()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    index = EmbeddedIndex(tmp_path_factory.mktemp("search") / "search.db")
    index.put_all(CORPUS)
    return index


def test_hits_are_printed_for_people(index, capsys):
    search(index, Query("interest bank"), ALL, as_json=False)
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "Budget meeting.mp4  ann, 2026-01-10, en  budget",
        "  0:00:30  Bob Ray: The bank raised the interest rate of our house twice.",
    ]
    assert said.err.splitlines() == ["1 hit in 1 file."]


def test_chapters_and_summaries_say_what_they_are(tmp_path, capsys):
    index = EmbeddedIndex(tmp_path / "search.db")
    index.put(with_insights("call", "ann", [(A, "We sell the house.")], names={A: "Ann Lee"}))
    search(index, Query("house sells", kinds=frozenset({"summary"}), hits_per_file=1), ALL, as_json=False)
    assert capsys.readouterr().out.splitlines()[1].startswith("  0:00:00  [summary] ")
    search(index, Query("house", hits_per_file=100), ALL, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "  0:00:00  [chapter] The house (1)" in lines
    assert "  0:00:00  Ann Lee: We sell the house." in lines


def test_pages_facets_suggestions_and_notes_are_told(index, capsys):
    search(index, Query("bank", limit=1, hits_per_file=1, semantic=True), ALL, as_json=False)
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 2
    assert said.err.splitlines() == [
        "3 hits in 2 files; files 1 to 1, see --page.",
        "owner: ann 2, bob 1",
        "speaker: Bob Ray 2, Zebedee Quill 1",
        "Only words were searched: no embedding model is loaded.",
    ]
    search(index, Query("intrest"), ALL, as_json=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["Nothing was found.", "Did you mean: interest"]


def test_json_has_everything(index, capsys):
    search(index, Query("interest bank"), ALL, as_json=True)
    said = capsys.readouterr()
    (file,) = json.loads(said.out)["files"]
    assert (file["partition_key"], file["total"]) == ("budget", 1)
    (hit,) = file["hits"]
    assert (hit["start"], hit["position"]) == (30.0, 3)
    assert hit["text"] == "The bank raised the interest rate of our house twice."
    assert [piece["text"] for piece in hit["pieces"] if piece["is_match"]] == ["bank", "interest"]
    assert said.err == ""


def test_a_terminal_gets_no_control_characters(tmp_path, capsys):
    index = EmbeddedIndex(tmp_path / "search.db")
    index.put(
        document(
            "x", "a\x1bnn", "en", [(A, "the \x1b]0;pwned\x07 bank \x1b[31mis red")],
            names={A: "[red]E\x1bve[/red]"}, file_name="a\x1b[2J\nb.wav",
        )
    )  # fmt: skip
    search(index, Query("bank"), ALL, as_json=False)
    said = capsys.readouterr()
    assert not any(character < " " and character != "\n" for character in said.out + said.err)
    assert said.out.count("\n") == 2
    assert "[red]Eve[/red]: the ]0;pwned bank [31mis red" in said.out


# --- the commands -----------------------------------------------------------------------------------------------------


def test_what_was_said_is_found_once_the_index_is_complete(run: Run, meeting: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRANSCRIBE_SEARCH_MODEL", "none")
    assert "'transcribe index reconcile' mends it" in run("index", "status").stdout
    assert "1 missing" in run("index", "reconcile").stderr
    assert json.loads(run("index", "status", "--json").stdout)["is_complete"] is True
    assert "The index was complete." in run("index", "reconcile").stderr
    found = run("search", "hello", "--owner", "ann", "--since", "2020-01-01", "--fuzzy")
    assert found.exit_code == 0
    assert "Hello" in found.stdout
    assert meeting in found.stdout
    assert json.loads(run("search", "hello", "--json").stdout)["total_files"] == 1
    assert run("search", "hello", "--owner", "eve").stdout == ""
    assert run("search", "hello", "--until", "2020-01-01").stdout == ""


def test_what_cannot_be_asked_is_the_users_error(run: Run, meeting: str):
    assert run("search", "-everything").exit_code != 0
    assert run("search", "--", "-everything").exit_code == ExitCode.USAGE
    assert run("index", "rebuild").exit_code != 0
