"""What failed files leave behind, cleared away day by day without asking: nothing of it holds anything that is wanted.

What goes: parts of stages that nobody will take up, results of files without a transcript, writes that were begun and
never ended, and the working folders of dead processes on this machine. What stays: the upload, every artifact of a
finished stage, and the unfinished work of files that failed in a way that may pass, since a redrive goes on from there.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from transcribe_pipeline.ledger import cleanup
from transcribe_pipeline.ledger.cleanup import Ended, FileFacts
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations.cleanup.planning import SETTLED, is_partial, is_partial_done_with, unfinished_writes
from transcribe_pipeline.operations.cleanup.plans import Site
from transcribe_pipeline.resources.listing import Entry
from transcribe_pipeline.scratch import sweep

_ENDED_BADLY = (Status.ERROR, Status.CANCELLED, Status.ORPHANED, Status.QUARANTINED)


@dataclass
class Cleared:
    files: int = 0
    """That ended badly and were looked at."""
    partials: int = 0
    results: int = 0
    unfinished_writes: int = 0
    bytes: int = 0
    is_complete: bool = True
    """False: the time was up; the rest is for tomorrow."""


def clear(
    site: Site,
    *,
    limit: int,
    seconds: float,
    now: datetime | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Cleared:
    """Clear away what files that ended badly more than `failed_files_hours` ago have left, the latest first.

    Costs two listings for each file, of at most `limit`.
    """
    now = now or datetime.now(UTC)
    cleared = Cleared()
    deadline = clock() + seconds
    sweep(site.configured.home)
    for write, is_old in unfinished_writes(site, now):
        if is_old:
            site.store.abandon(write)
            cleared.unfinished_writes += 1
            cleared.bytes += write.size_bytes
    which = Ended(_ENDED_BADLY, now - timedelta(hours=site.configured.failed_files_hours))
    for file in cleanup.ended(site.ledger, which, newest_first=True, limit=limit):
        if clock() > deadline:
            cleared.is_complete = False
            break
        cleared.files += 1
        _clear(site, file, cleared, now)
    return cleared


def _clear(site: Site, file: FileFacts, cleared: Cleared, now: datetime) -> None:
    c = site.configured
    folder = f"{c.artifacts_prefix}/{file.partition_key}"
    partials: list[Entry] = []
    if is_partial_done_with(file, c.failed_files_hours, now):
        partials = [entry for entry in site.store.entries(folder) if is_partial(entry.key.removeprefix(f"{folder}/"))]
    results: list[Entry] = []
    if file.current_transcript_id is None:
        results = list(site.store.entries(f"{c.results_prefix}/{file.owner}/{file.partition_key}"))
    if not partials and not results:
        return
    # Listing took a moment, in which somebody may have asked for the file again.
    if cleanup.facts(site.ledger, [file.partition_key]).get(file.partition_key) != file:
        return
    cleared.partials += _delete(site, partials, cleared, now)
    cleared.results += _delete(site, results, cleared, now)


def _delete(site: Site, entries: Iterable[Entry], cleared: Cleared, now: datetime) -> int:
    old = [entry for entry in entries if entry.readable and entry.modified_at < now - SETTLED]
    for entry in old:
        site.store.delete(entry.key)
        cleared.bytes += entry.size_bytes
    return len(old)
