"""An owner's request shows and changes nothing of another's: every query and every command is looked at.

By introspection: a new query of the ledger or the search index is either limited to owners, and tried here with one who
has nothing to do with the file; or wants a key (of a file, a version, a claim) that only such a limited query gives; or
is about the whole installation, and listed here with the reason why it may be.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from sqlalchemy import Connection, Engine
from typer.testing import CliRunner

from tests.ledger.samples import claimed, transcript
from transcribe_pipeline import ledger as ledger_room
from transcribe_pipeline import search as search_room
from transcribe_pipeline.cli import app
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.ledger import (
    daily,
    files,
    forgetting,
    language_model_calls,
    leases,
    timings,
    transcripts,
    voices,
)
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.models import Base
from transcribe_pipeline.ledger.slices import Slice
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.speech.voices import Thresholds

WORD = "Quuxify"
"""What nobody else says, and the name of ann's known voice."""
FOREIGN = ("bob", "ANN", "ann ", "ann%", "*", "", "ann' OR '1'='1", "ann/../bob")

HANDLES = {"engine", "connection", "index", "ledger"}
"""Parameters through which rows are reached; a function without any of them is a calculation."""
LIMITS = {"owner", "scope", "within", "window"}
KEYS = {
    *("partition_key", "partition_keys", "media_file_id", "transcript_id", "transcript_ids"),
    *("claim", "suspect", "file", "document", "event_ids", "requests", "uploads"),
}

WHOLE_INSTALLATION = {
    "backlog.count_queued": "a number, for the sensor",
    "backlog.next_requests": "the sensor's; fair between owners",
    "backlog.unanswered_requests": "the sensor's",
    "cleanup.count_files": "a number",
    "cleanup.count_held": "a number",
    "cleanup.ended": "for admins: what cleanup plans",
    "cleanup.held_partition_keys": "for admins: what cleanup leaves alone",
    "cleanup.is_anybody_at_work": "yes or no",
    "cleanup.partition_keys": "for admins: what the store is compared with",
    "cleanup.sealed_before": "for admins: what a forgetting left half done",
    "daily.first_received": "a moment",
    "database.migrate": "no rows",
    "database.read": "what every query goes through",
    "database.require_current": "no rows",
    "database.upsert": "what every query goes through",
    "database.write": "what every query goes through",
    "events.pending": "for what delivers notifications",
    "files.lacking": "keys, for the search index's reconciliation",
    "health.figures": "numbers, and keys of the oldest files, for admins",
    "intake.note_probe": "intake is one",
    "intake.offer_probe": "intake is one",
    "intake.pause": "intake is one",
    "intake.resume": "intake is one",
    "intake.status": "intake is one",
    "intake.watch": "intake is one",
    "operations.counts": "numbers",
    "operations.recent": "the audit log is for admins",
    "recovery.maybe_gone": "recovery's",
    "recovery.suspects": "recovery's",
    "recovery.waiting": "numbers",
    "searchable.all_files": "for the search index's reconciliation",
    "voices.owners": "for relabelling all owners' files",
    "reconcile.repair": "the whole index",
    "reindex.abandon": "the whole index",
    "reindex.confirm": "the whole index",
    "reindex.reindex": "the whole index",
    "reindex.roll_back": "the whole index",
}


def _modules(room: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(room.__path__):
        if found.name != "migrations":
            yield importlib.import_module(f"{room.__name__}.{found.name}")


QUERIES = {
    f"{module.__name__.rpartition('.')[2]}.{name}": set(inspect.signature(function).parameters)
    for room in (ledger_room, search_room)
    for module in _modules(room)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
    if HANDLES & set(inspect.signature(function).parameters)
}
LIMITED = {name for name, parameters in QUERIES.items() if LIMITS & parameters}


class Mine:
    """What ann has: a file with a transcript, a known voice, a spent call, all in `engine`."""

    def __init__(self, engine: Engine) -> None:
        claim = claimed(engine)
        self.engine = engine
        self.key = claim.partition_key
        self.file_id = claim.media_file_id
        leases.record_sha256(engine, claim, "ab" * 32)
        record = transcripts.save(engine, claim, transcript(first_word=WORD), artifact_key="x", provenance={})
        self.transcript_id = record.transcript_id
        now = datetime.now(UTC)
        timings.record(engine, claim, "transcription", started_at=now - timedelta(seconds=5), finished_at=now)
        voices.confirm(engine, "ann", self.transcript_id, "SPEAKER_00", name=WORD)
        voices.confirm(engine, "ann", self.transcript_id, "SPEAKER_01", name="Other")
        leases.complete(engine, claim)
        _, self.profile = voices.known(engine, "ann").profiles

    def rows(self) -> list[str]:
        with self.engine.connect() as connection:
            return [str(row) for table in Base.metadata.sorted_tables for row in connection.execute(table.select())]

    def within(self, work: Callable[[Connection], Any]) -> Any:
        with self.engine.begin() as connection:
            return work(connection)


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Mine]:
    engine = connect(f"sqlite:///{tmp_path / 'ledger.db'}")
    migrate(engine)
    yield Mine(engine)
    engine.dispose()


def _of_a_day(query: Callable[[Connection, daily.Window], Iterator[Any]]) -> Callable[[Mine, str], Any]:
    since = datetime.now(UTC) - timedelta(days=36_500)
    until = datetime.now(UTC) + timedelta(days=1)
    return lambda mine, owner: mine.within(lambda c: list(query(c, daily.Window(since, until, owner))))


def _totals(mine: Mine, owner: str) -> Any:
    since, until = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1)
    return mine.within(lambda c: language_model_calls.totals_by_owner(c, since=since, until=until, owner=owner))


PROBES: dict[str, Callable[[Mine, str], Any]] = {
    "files.find": lambda mine, owner: files.find(mine.engine, mine.key, owner=owner),
    "files.list_files": lambda mine, owner: files.list_files(mine.engine, owner=owner),
    "files.every": lambda mine, owner: files.every(mine.engine, Slice(owner=owner)),
    "forgetting.count_of_owner": lambda mine, owner: sum(
        forgetting.count_of_owner(mine.engine, owner, besides=[]).values()
    ),
    "forgetting.forget_file": lambda mine, owner: forgetting.forget_file(
        mine.engine, owner, mine.file_id, [mine.transcript_id]
    ),
    "forgetting.forget_owner": lambda mine, owner: forgetting.forget_owner(mine.engine, owner),
    "language_model_calls.totals": lambda mine, owner: language_model_calls.totals(mine.engine, owner=owner),
    "language_model_calls.totals_by_owner": _totals,
    "voices.confirm": lambda mine, owner: voices.confirm(
        mine.engine, owner, mine.transcript_id, "SPEAKER_01", profile=mine.profile.id
    ),
    "voices.known": lambda mine, owner: voices.known(mine.engine, owner).decisions,
    "voices.last_said": lambda mine, owner: voices.last_said(mine.engine, owner, mine.transcript_id).speakers,
    "voices.lock": lambda mine, owner: mine.within(lambda c: voices.lock(c, owner)),
    "voices.merge": lambda mine, owner: voices.merge(mine.engine, owner, mine.profile.id, "Other"),
    "voices.outdated": lambda mine, owner: voices.outdated(mine.engine, owner, Thresholds.of(Settings())),
    "voices.rename": lambda mine, owner: voices.rename(mine.engine, owner, mine.profile.id, "Eve"),
    "voices.samples": lambda mine, owner: voices.samples(mine.engine, owner, mine.profile),
    "voices.undo": lambda mine, owner: voices.undo(mine.engine, owner, 1),
    **{
        f"daily.{query.__name__}": _of_a_day(query)
        for query in (daily.begun, daily.cared, daily.endings, daily.made, daily.received, daily.stage_runs)
    },
}
"""Limited query -> the call of it by which `owner` reaches for what ann has."""

OTHERWISE = {
    "embedded_search.completions": "tried in tests/search/contract.py, with SearchIndex.suggest and .search",
    "forgetting.count": "numbers of rows, by the ids of a file",
}


def test_every_query_is_limited_or_wants_a_key_or_is_listed_with_its_reason():
    free = {name for name, parameters in QUERIES.items() if not (LIMITS | KEYS) & parameters}
    assert free == WHOLE_INSTALLATION.keys()


def test_every_limited_query_is_tried():
    assert PROBES.keys() | OTHERWISE.keys() == LIMITED


@pytest.mark.parametrize("name", PROBES)
def test_another_owner_sees_and_changes_nothing(mine, name):
    before = mine.rows()
    for owner in FOREIGN:
        try:
            seen = PROBES[name](mine, owner)
        except PipelineError as refused:
            seen = WORD in str(refused)
        assert not seen, f"{owner!r} sees {seen}"
        assert mine.rows() == before, f"{owner!r} changed something"


def test_a_sealed_file_goes_for_its_owner_only(mine):
    forgetting.seal(mine.engine, mine.key, holder_finished=lambda _: True)
    before = mine.rows()
    for owner in (*FOREIGN, "ann"):
        assert mine.rows() == before
        forgetting.forget_file(mine.engine, owner, mine.file_id, [mine.transcript_id])
    assert files.find(mine.engine, mine.key) == []


NOTHING_FOR_ANN = {
    "daily.cared": "nobody asked for anything again",
    "forgetting.forget_file": "it is not sealed",
    "language_model_calls.totals": "no model was asked",
    "language_model_calls.totals_by_owner": "no model was asked",
    "voices.last_said": "nothing was said of it yet",
    "voices.lock": "it says nothing",
    "voices.outdated": "nothing is outdated",
}
"""Queries that are tried above, and give ann nothing either."""


@pytest.mark.parametrize("name", sorted(PROBES.keys() - NOTHING_FOR_ANN.keys()))
def test_the_owner_does(mine, name):
    """Otherwise queries that find nothing for anybody would pass."""
    before = mine.rows()
    assert PROBES[name](mine, "ann") or mine.rows() != before


# --- commands -------------------------------------------------------------------------------------------------------

COMMANDS: dict[str, list[str]] = {
    "ls": ["--json"],
    "show": ["{key}"],
    "watch": ["{key}"],
    "insight": ["{key}"],
    "costs": ["--json"],
    "open": ["{key}"],
    "export": ["{key}", "-f", "txt"],
    "export-data": ["{key}", "-o", "{home}/data"],
    "forget": ["{key}", "--apply", "--yes"],
    "versions": ["{key}"],
    "diff": ["{key}"],
    "promote": ["{key}", "1", "--force"],
    "rollback": ["{key}", "--force"],
    "report": ["today", "--json"],
    "reprocess": ["{key}"],
    "options": ["{key}"],
    "cancel": ["{key}"],
    "redrive": ["{key}", "--from", "transcript"],
    "recover": ["{key}"],
    "hold": ["{key}", "--reason", "mine"],
    "history": ["{key}"],
    "voices ls": ["--json"],
    "voices show": ["{profile}"],
    "voices confirm": ["{key}", "SPEAKER_00", "Eve"],
    "voices suggestions": ["{key}"],
    "voices accept": ["{key}", "SPEAKER_00"],
    "voices rename": ["{profile}", "Eve"],
    "voices merge": ["{profile}", "Other"],
    "voices undo": ["1"],
    "voices log": ["--json"],
    "voices relabel": [],
}
"""Command with --owner -> what somebody else says to reach what ann has."""
OF_ONES_OWN = {
    "add": "it takes an owner for what is new",
    "search": "tried with hostile queries in tests/search/contract.py",
}


def _commands() -> Iterator[str]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        for name, each in getattr(command, "commands", {}).items():
            yield from walk(each, (*path, name))
        if path and any(parameter.name == "owner" for parameter in command.params):
            yield " ".join(path)

    yield from walk(typer.main.get_command(app), ())


def test_every_command_with_an_owner_is_tried():
    assert set(_commands()) == COMMANDS.keys() | OF_ONES_OWN.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_for_another_owner_sees_and_changes_nothing(mine, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSCRIBE_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    places = {"key": mine.key, "profile": mine.profile.id, "home": str(tmp_path)}
    before = mine.rows()
    for owner in ("bob", "ann%"):
        words = [*command.split(), *(word.format_map(places) for word in COMMANDS[command]), "--owner", owner]
        result = CliRunner().invoke(app, words)
        assert result.exit_code in (0, 1, 2, 3), result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert WORD not in result.output
        assert "meeting.mp3" not in result.output
        assert mine.rows() == before
        assert not (tmp_path / "data").exists()
