"""What must hold after every fault, whatever it was: reliability's I1 to I8.

What belongs here: looking at what a fault has left, and saying what is wrong with it. What does not: faults.

`assert_sound` is for a site that has come to rest: nothing is being worked on, and nothing is waiting to be.
"""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from tests.e2e.deployment import wait_for
from tests.faults.harness import PATIENCE, Site, store_of
from transcribe_pipeline.errors import CATALOGUE, ErrorCode
from transcribe_pipeline.ledger import events, files, timings, transcripts
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.ledger.models import Outcome, Status
from transcribe_pipeline.ledger.states import ENDED, UNFINISHED
from transcribe_pipeline.settings import Settings

CHECKS = 0
"""How often one of these looked at a site, for the published table."""

Result = Mapping[str, Any]
"""What became of one file, but for ids, times and names: equal for two files with equal content."""


def assert_sound(
    site: Site,
    *,
    golden: Result | None = None,
    completed: Iterable[str] = (),
    ended_as: Mapping[str, Status] | None = None,
    allowed_processes: int = 0,
) -> None:
    """All invariants.

    :param golden: what a file comes to when nothing happens to it.
    :param completed: object keys of files that must have come to exactly that.
    :param ended_as: object key -> how a file must have ended instead.
    :param allowed_processes: daemons that the test has running.
    """
    nothing_is_lost(site)
    for key in completed:
        assert golden is not None
        nothing_is_doubled(site, key, golden)
    for key, status in (ended_as or {}).items():
        errors_are_clear(site, key, status)
    no_zombies(site)
    nothing_is_leaked(site, allowed_processes=allowed_processes)


# --- I1 -------------------------------------------------------------------------------------------------------------


def nothing_is_lost(site: Site) -> None:
    """I1: every listed object has exactly one row, which has ended, or which somebody works on, or which waits."""
    _counted()
    listed = [upload.object_key for page in store_of(site).list_uploads("uploads") for upload in page.uploads]
    rows = [file.object_key for file in _files(site)]
    assert len(listed) == len(set(listed))
    assert len(rows) == len(set(rows))
    assert set(listed) <= set(rows), f"lost: {set(listed) - set(rows)}"


# --- I2, I6, I7 -----------------------------------------------------------------------------------------------------


def result_of(site: Site, object_key: str) -> Result:
    """What became of a file, comparable with another of the same content."""
    file = site.file(object_key)
    assert file, object_key
    return {
        "status": file.status,
        "progress": file.progress,
        "stage": file.stage,
        "error": (file.error_code, file.error_text),
        "degraded": file.degraded,
        "sha256": file.sha256,
        "versions": [
            (record.version, record.words, record.speakers, record.is_current, record.held_back)
            for record in transcripts.versions(site.ledger, file.partition_key)
        ],
        "words": _words(site, file),
        "rows": _rows(site, file),
        "announced": sorted(
            event.kind.value for event in events.pending(site.ledger, 1_000_000) if event.media_file_id == file.id
        ),
        "succeeded stages": sorted(
            {timing.stage for timing in timings.of_file(site.ledger, file.id) if timing.outcome is Outcome.SUCCEEDED}
        ),
        "found": _passages(site, file),
        "published": _published(site, file),
    }


def nothing_is_doubled(site: Site, object_key: str, golden: Result) -> None:
    """I2: rows, versions, search passages and published files equal those of a run without a fault, byte for byte.

    I6: within its tries. I7: announced once for each generation that came to an end, however often it was tried.
    """
    _counted()
    found = result_of(site, object_key)
    file = site.file(object_key)
    assert file
    differing = {name: (found[name], golden[name]) for name in golden if found[name] != golden[name]}
    assert not differing, f"{object_key}: {differing}"
    assert file.tries <= Settings().max_tries


def _words(site: Site, file: FileView) -> list[Any]:
    if file.current_transcript_id is None:
        return []
    return [(w.text, w.start, w.end) for w in transcripts.load(site.ledger, file.current_transcript_id).words]


def _rows(site: Site, file: FileView) -> dict[str, int]:
    of_transcripts = "transcript_id IN (SELECT id FROM transcript WHERE media_file_id = :id)"
    where = {"transcript": "media_file_id = :id"} | dict.fromkeys(
        ("segment", "speaker", "insight", "speaker_identity"), of_transcripts
    )
    return {
        table: site.scalar(f"SELECT count(*) FROM {table} WHERE {condition}", id=file.id)
        for table, condition in where.items()
    }


def _passages(site: Site, file: FileView) -> int:
    """In the embedded index."""
    path = site.folder / "search.db"
    if not path.exists():
        return 0
    with sqlite3.connect(path) as connection:
        statement = "SELECT sum(passages) FROM speaker WHERE media_id IN (SELECT id FROM media WHERE partition_key = ?)"
        found = connection.execute(statement, [file.partition_key]).fetchone()[0]
    connection.close()
    return int(found or 0)


def _published(site: Site, file: FileView) -> dict[str, str]:
    """Every published file's text, with what differs between two equal recordings taken out."""
    store = store_of(site)
    prefix = f"results/{file.owner}/{file.partition_key}"
    return {
        key.removeprefix(f"{prefix}/"): _without_names(store.get_bytes(key).decode(), file)
        for key in sorted(store.list_keys(prefix))
    }


_CHANGING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?"), "TIME"),
)


def _without_names(text: str, file: FileView) -> str:
    for name in (file.partition_key, file.object_key, quote(file.object_key), file.file_name, quote(file.file_name)):
        text = text.replace(name, "NAME")
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text


# --- I3 -------------------------------------------------------------------------------------------------------------


def no_zombies(site: Site) -> None:
    """I3: nothing is at work without anybody working. The site is at rest, so nothing may be at work at all."""
    _counted()
    unfinished = [(file.object_key, file.status, file.stage) for file in _files(site) if file.status in UNFINISHED]
    assert not unfinished, unfinished
    assert site.scalar("SELECT count(*) FROM media_file WHERE lease_owner IS NOT NULL") == 0
    with site.instance as instance:
        runs = [(run.run_id, run.status) for run in instance.get_runs() if not run.is_finished]
    assert not runs, runs


# --- I4 -------------------------------------------------------------------------------------------------------------


def nothing_is_leaked(site: Site, *, allowed_processes: int = 0) -> None:
    """I4: no process, scratch folder, pool slot, database connection or unfinished upload is left behind."""
    _counted()
    wait_for(lambda: not leaks(site, allowed_processes), PATIENCE / 8, lambda: str(leaks(site, allowed_processes)))


def leaks(site: Site, allowed_processes: int = 0) -> list[str]:
    found: list[str] = []
    if not allowed_processes:
        found += [f"process {process.pid}: {process.cmdline()}" for process in site.processes()]
    scratch = site.folder / "scratch"
    # What a killed run leaves is its successor's to clear; a run that follows has done so.
    found += site.leftovers() if scratch.is_dir() else []
    found += [str(path) for path in (site.folder / "store").rglob("*#*")]  # obstore's unfinished files
    with site.instance as instance:
        storage = instance.event_log_storage
        for key in storage.get_concurrency_keys():
            info = storage.get_concurrency_info(key)
            found += [f"slot {key} of {slot.run_id}" for slot in info.claimed_slots]
            found += [f"pending {key} of {step.run_id}" for step in info.pending_steps]
    if site.is_postgres and not allowed_processes:
        found += [f"{number} database connections"] if (number := site.connections()) else []
    return found


# --- I5 -------------------------------------------------------------------------------------------------------------


def errors_are_clear(site: Site, object_key: str, status: Status) -> None:
    """I5: an entry of the closed list, in one sentence with a remedy, without a traceback, a path or a key."""
    _counted()
    file = site.file(object_key)
    assert file, object_key
    assert (file.status, file.status in ENDED) == (status, True), file
    assert file.error_code, file
    entry = CATALOGUE[ErrorCode(file.error_code)]
    told = f"{file.error_text}"
    assert told.startswith(entry.sentence[:-1]), told
    assert entry.remedy
    assert_fit_for_people(site, told)


def assert_fit_for_people(site: Site, told: str) -> None:
    """No traceback, no path of the machine, no address with credentials."""
    for forbidden in ("Traceback", 'File "', str(site.folder), "postgresql+", "site-packages", "\n"):
        assert forbidden not in told, told


# --- I8 -------------------------------------------------------------------------------------------------------------


def wait_until_at_rest(site: Site, *object_keys: str, seconds: float = PATIENCE) -> None:
    """I8: these files end, and Dagster's runs of media files with them, without anybody's help."""

    def at_rest() -> bool:
        ended = {file.object_key for file in _files(site) if file.status in ENDED}
        return set(object_keys) <= ended and not _unfinished_runs(site)

    def describe() -> str:
        states = [(file.object_key, file.status.value, file.stage, file.error_code) for file in _files(site)]
        return f"{states}; {_unfinished_runs(site)}"

    wait_for(at_rest, seconds, describe)


def _unfinished_runs(site: Site) -> list[tuple[str, str]]:
    statuses = [status for status in dg.DagsterRunStatus if status not in _FINISHED]
    with site.instance as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=statuses))
    return [(run.run_id, run.status.value) for run in runs if "dagster/partition" in run.tags]


_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def _files(site: Site) -> list[FileView]:
    return files.list_files(site.ledger, limit=100_000)


def _counted() -> None:
    global CHECKS
    CHECKS += 1


def folder_bytes(folder: Path) -> int:
    """I6: what a folder holds."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
