"""What of the store may go: found by comparing all that lies there with all that the ledger still needs.

What belongs here: the rules. Each errs on the side of keeping: what is younger than a day, of a file at work or under
legal hold, or not of a shape that this program writes, is left alone.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from urllib.parse import urlsplit

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import cleanup
from transcribe_pipeline.ledger.cleanup import Ended, FileFacts
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.operations.cleanup.plans import Item, Kind, Plan, Site, Wishes, new_id
from transcribe_pipeline.operations.retention import Policy
from transcribe_pipeline.partitions import PARTITION_KEY
from transcribe_pipeline.resources.artifact_store import content_id
from transcribe_pipeline.resources.listing import Entry, UnfinishedWrite

MAX_ITEMS = 50_000
"""Of one plan: 15 MB of JSON. What is left over is for the next."""
SETTLED = timedelta(days=1)
"""Whatever is younger may be the work of this very moment."""
_PEOPLES_WRITES = timedelta(days=7)
"""Somebody may be uploading over a slow line; what cloud providers recommend."""
_FOLDERS_PER_QUERY = 200

_PARTIAL = re.compile(r"[0-9a-f]{16}/partial/.+")
_MADE = re.compile(r"(?P<content>[0-9a-f]{16})/g(?P<generation>\d{4,})/(?P<name>[^/]+)")
_AUDIO_ARTIFACT = "audio.json.zst"
_AUDIO_FILE = re.compile(r"audio\.flac|channel\d+\.flac")
"""What the artifact `audio` of the same generation points at."""


@dataclass
class Found:
    """What a look at the whole store brings."""

    items: list[Item] = field(default_factory=list)
    objects: int = 0
    held: set[str] = field(default_factory=set)
    working: set[str] = field(default_factory=set)
    unrecognised: int = 0
    present: set[str] = field(default_factory=set)
    """Which of the watched keys there are."""
    folders: Counter[bool] = field(default_factory=Counter)
    """Folders of files, by whether the ledger knows the file."""
    is_complete: bool = True
    """False: there is more than a plan may hold."""

    def add(self, items: Iterable[Item], watched: Collection[str]) -> None:
        """Keep those that are watched; without any watched, as many as a plan may hold."""
        for item in items:
            if item.key in watched or (not watched and len(self.items) < MAX_ITEMS):
                self.items.append(item)
            elif not watched:
                self.is_complete = False


def make_plan(site: Site, wishes: Wishes, policy: Policy, *, now: datetime | None = None) -> Plan:
    """Look through the store and write down what would go, as a plan in the store. Deletes nothing.

    Takes a listing of the prefixes for artifacts and results, and two SELECTs for 500 files.

    :raises PipelineError: PLAN_REFUSED, if the ledger is not the one that belongs to this store.
    """
    now = now or datetime.now(UTC)
    found = look(site, wishes, policy, now=now)
    plan_id = new_id(now)
    plan = Plan(
        id=plan_id,
        made_at=now,
        store=site.fingerprint,
        wishes=wishes,
        items=tuple(each for each in found.items if site.quarantine.has_room_for(plan_id, each.key)),
        objects=found.objects,
        held_files=len(found.held),
        working_files=len(found.working),
        unrecognised=found.unrecognised,
        is_complete=found.is_complete,
    )
    plan.save(site.quarantine)
    return plan


def look(site: Site, wishes: Wishes, policy: Policy, *, now: datetime, watched: Collection[str] = frozenset()) -> Found:
    """See `make_plan`.

    :param watched: keys of a plan: of these alone it is told what would go, and which of them there are.
    """
    if cleanup.count_files(site.ledger) == 0:
        raise PipelineError(ErrorCode.PLAN_REFUSED, "the ledger knows no file at all: is it the right database?")
    found = Found()
    artifacts = _folders(site, site.configured.artifacts_prefix, 1, found, watched)
    results = _folders(site, site.configured.results_prefix, 2, found, watched)
    for folders, of_folder in ((artifacts, _of_artifacts), (results, _of_results)):
        while batch := list(islice(folders, _FOLDERS_PER_QUERY)):
            known = cleanup.facts(site.ledger, {folder.partition_key for folder in batch})
            for folder in batch:
                file = known.get(folder.partition_key)
                found.folders[file is not None] += 1
                old = [entry for entry in folder.entries if entry.readable and entry.modified_at < now - SETTLED]
                if file is None:
                    found.add((_item(Kind.UNKNOWN_FILE, entry, None) for entry in old), watched)
                elif _is_touchable(file, found):
                    found.add(of_folder(site, wishes, file, folder, old, found, now), watched)
    if found.folders[False] and not found.folders[True]:
        raise PipelineError(
            ErrorCode.PLAN_REFUSED, "none of what lies in the store is known to the ledger: is it the right one?"
        )
    found.add(_unfinished(site, found, watched, now), watched)
    found.add(_originals(site, policy, found, watched, now), watched)
    return found


def _is_touchable(file: FileFacts, found: Found) -> bool:
    if file.legal_hold is not None:
        found.held.add(file.id)
        return False
    if not file.is_at_rest:
        found.working.add(file.id)
        return False
    return True


def _item(kind: Kind, entry: Entry, file: FileFacts | None) -> Item:
    return Item(
        kind=kind,
        key=entry.key,
        size_bytes=entry.size_bytes,
        etag=entry.etag,
        partition_key=file.partition_key if file else "",
        generation=file.generation if file else None,
    )


# --- folders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """All that lies in the folder of one file."""

    path: str
    partition_key: str
    entries: Sequence[Entry]


def _folders(site: Site, prefix: str, depth: int, found: Found, watched: Collection[str]) -> Iterator[Folder]:
    """Folders whose name, so many levels below the prefix, is a partition key. Others are not files'."""

    def folder_of(entry: Entry) -> str:
        parts = entry.key.removeprefix(f"{prefix}/").split("/")
        return "/".join(parts[:depth]) if len(parts) > depth else ""

    for name, entries in groupby(site.store.entries(prefix), folder_of):
        partition_key = name.rpartition("/")[2]
        if not PARTITION_KEY.fullmatch(partition_key):
            # One by one: quarantine, for instance, may hold any number.
            found.present.update(entry.key for entry in entries if entry.key in watched)
            continue
        listed = list(entries)
        found.objects += len(listed)
        found.present.update(entry.key for entry in listed if entry.key in watched)
        yield Folder(f"{prefix}/{name}", partition_key, listed)


# --- artifacts ------------------------------------------------------------------------------------------------------


def _of_artifacts(
    site: Site, wishes: Wishes, file: FileFacts, folder: Folder, old: list[Entry], found: Found, now: datetime
) -> Iterator[Item]:
    made: dict[str, Made] = {}
    for entry in folder.entries:
        path = entry.key.removeprefix(f"{folder.path}/")
        if match := _MADE.fullmatch(path):
            made[entry.key] = Made(match["content"], int(match["generation"]), match["name"], entry.key)
        elif not is_partial(path):
            found.unrecognised += 1
    needed = needed_by(file, made.values())
    renewable = _renewable_audio(site, wishes, file, made, now)
    for entry in old:
        if entry.key in renewable:
            yield _item(Kind.AUDIO, entry, file)
        elif entry.key in made and entry.key not in needed:
            yield _item(Kind.SUPERSEDED, entry, file)
        elif is_partial(entry.key.removeprefix(f"{folder.path}/")) and is_partial_done_with(
            file, site.configured.failed_files_hours, now
        ):
            yield _item(Kind.PARTIAL, entry, file)


@dataclass(frozen=True)
class Made:
    """An object that a generation has made of some content."""

    content: str
    generation: int
    name: str
    key: str


def needed_by(file: FileFacts, made: Iterable[Made]) -> set[str]:
    """Keys of what may still be read of these objects of a file.

    A run of a generation reads of each stage what the highest generation up to its own has made of the same content.
    Who may run, or look, is: the present generation, and each transcript version as it was made. What recovery goes on
    with, since `base_generation`, is kept whole. Audio files go with the artifact that points at them.
    """
    made = list(made)
    if file.sha256 is None or any(version.source_sha256 is None for version in file.versions):
        return {each.key for each in made}  # nobody can tell what content they belong to
    present = content_id(file.sha256)
    readers = {(present, file.generation)}
    readers |= {(content_id(version.source_sha256 or ""), version.generation) for version in file.versions}
    kept = {version.artifact_key for version in file.versions}
    kept |= {each.key for each in made if each.content == present and each.generation >= file.base_generation}
    by_name: dict[tuple[str, str], list[Made]] = defaultdict(list)
    for each in made:
        if each.name.endswith(".json.zst"):
            by_name[each.content, each.name].append(each)
        elif not _AUDIO_FILE.fullmatch(each.name):
            kept.add(each.key)  # another program's
    for content, generation in readers:
        for (of_content, _), candidates in by_name.items():
            readable = [each for each in candidates if of_content == content and each.generation <= generation]
            if readable:
                kept.add(max(readable, key=lambda each: each.generation).key)
    audible = {(each.content, each.generation) for each in made if each.name == _AUDIO_ARTIFACT and each.key in kept}
    kept |= {
        each.key for each in made if _AUDIO_FILE.fullmatch(each.name) and (each.content, each.generation) in audible
    }
    return kept


def _renewable_audio(
    site: Site, wishes: Wishes, file: FileFacts, made: Mapping[str, Made], now: datetime
) -> Collection[str]:
    """The audio of a file long completed whose upload is still there, with the artifacts that point at it: who wants
    to go on from a later stage is then told to begin with `audio`."""
    if wishes.audio_days is None or file.status is not Status.COMPLETED or not file.finished_at or not file.sha256:
        return ()
    if file.finished_at > now - timedelta(days=wishes.audio_days) or not is_uploaded(site, file):
        return ()
    return {
        key
        for key, each in made.items()
        if each.content == content_id(file.sha256)
        and (each.name == _AUDIO_ARTIFACT or _AUDIO_FILE.fullmatch(each.name))
    }


def is_uploaded(site: Site, file: FileFacts) -> bool:
    """Is the very content still there that the file was made from?"""
    try:
        return site.store.describe(file.object_key)[1] == file.etag
    except FileNotFoundError:
        return False


def is_partial(path: str) -> bool:
    """:param path: of an object, within its file's folder."""
    return bool(_PARTIAL.fullmatch(path))


def is_partial_done_with(file: FileFacts, hours: float, now: datetime) -> bool:
    """Has the work on this file ended so long ago, and in such a way, that nobody goes on where it stopped?

    A file that failed in a way that may pass, and one in quarantine, keeps what it had done: hours of recognition, say,
    that a redrive need not do again.
    """
    if not file.is_at_rest or file.may_pass or file.finished_at is None:
        return False
    return file.finished_at < now - timedelta(hours=hours)


# --- the others -----------------------------------------------------------------------------------------------------


def _of_results(
    site: Site, wishes: Wishes, file: FileFacts, folder: Folder, old: list[Entry], found: Found, now: datetime
) -> Iterator[Item]:
    if file.current_transcript_id is None:
        yield from (_item(Kind.HALF_RESULT, entry, file) for entry in old)


def unfinished_writes(site: Site, now: datetime) -> Iterator[tuple[UnfinishedWrite, bool]]:
    """Every write under our prefixes that was begun and not ended, and whether it is too old to end yet."""
    c = site.configured
    ages = {c.artifacts_prefix: SETTLED, c.results_prefix: SETTLED}
    if urlsplit(c.resolved_store_url).scheme not in ("", "file"):
        # Not in a folder: people's own files may be called as if they were being written.
        ages[c.uploads_prefix] = _PEOPLES_WRITES
    for prefix, age in ages.items():
        for write in site.store.unfinished(prefix):
            yield write, write.started_at < now - age


def _unfinished(site: Site, found: Found, watched: Collection[str], now: datetime) -> Iterator[Item]:
    for write, is_old in unfinished_writes(site, now):
        if write.key in watched:
            found.present.add(write.key)
        if is_old:
            yield Item(
                kind=Kind.UNFINISHED_WRITE, key=write.key, size_bytes=write.size_bytes, upload_id=write.upload_id
            )


def _originals(site: Site, policy: Policy, found: Found, watched: Collection[str], now: datetime) -> Iterator[Item]:
    for owner, besides, days in policy.groups("originals_days"):
        which = Ended([Status.COMPLETED], now - timedelta(days=days), owner, besides, has_transcript=True)
        for file in cleanup.ended(site.ledger, which, limit=MAX_ITEMS):
            if not is_uploaded(site, file):
                continue
            if file.object_key in watched:
                found.present.add(file.object_key)
            yield Item(
                kind=Kind.ORIGINAL,
                key=file.object_key,
                size_bytes=file.size_bytes,
                etag=file.etag,
                partition_key=file.partition_key,
                generation=file.generation,
            )
