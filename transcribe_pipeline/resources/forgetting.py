"""Forgetting: a file, or an owner, deleted from every place that this pipeline writes to, and proof of it.

What belongs here: the places, the order, the looking again, the receipt. What does not: how each place deletes
(`ledger.forgetting`, `run_history`, the store, the search index).

The order lets a forgetting that was interrupted simply be repeated. First the file is sealed in the ledger, so that no
run and no listing brings it back; its ledger rows go last, so that everything else can still be found through them.
What cannot be reached from here: backups, what Google's and Azure's stores keep of deleted objects, PostgreSQL's dead
rows until its vacuum has passed, logs of processes, and copies that people downloaded.
"""

import hashlib
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger import forgetting as rows
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.resources.listing import OldVersion
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.quarantine import Quarantine
from transcribe_pipeline.resources.sidecars import is_sidecar, stem_of
from transcribe_pipeline.resources.sqlite_files import scrub
from transcribe_pipeline.scratch import sweep
from transcribe_pipeline.search.index import SearchIndex
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.stage import OWNER_TAG

if TYPE_CHECKING:
    from transcribe_pipeline.resources.run_history import RunHistory

_RECEIPTS = "receipts"
_OLD_VERSIONS = "old versions of objects"
_PAGE = 1_000
_RUN_END_SECONDS = 30.0
"""A run that began as its file was sealed is refused by the ledger at its first stage, and ends."""


@dataclass
class Holdings:
    """What there is: kind -> how many, and how many bytes where that is known."""

    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, size_bytes: int) -> None:
        self.counts[kind] += 1
        self.sizes[kind] += size_bytes

    def __bool__(self) -> bool:
        return any(self.counts.values())


@dataclass(frozen=True)
class Target:
    """All by which a file can be recognised, taken down before anything of it is deleted."""

    media_file_id: str
    partition_key: str
    object_key: str
    owner: str
    transcript_ids: tuple[str, ...]
    run_ids: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a forgetting did."""

    forgotten: Holdings
    left: Holdings
    """What was found when everything was looked at again: nothing, if all is well."""
    busy_databases: tuple[str, ...]
    """SQLite files in which deleted rows may still be read, because somebody kept them busy."""
    receipt_key: str

    @property
    def is_proven(self) -> bool:
        return not self.left and not self.busy_databases


@dataclass(frozen=True)
class Places:
    """Everywhere that something of a file may be, or of all files of one owner.

    `owner` None stands for single files: then folders and decisions that are the owner's as a whole are left alone.
    """

    configured: Settings
    ledger: Engine
    store: ObjectStore
    history: "RunHistory"
    index: SearchIndex
    owner: str | None = None

    def __post_init__(self) -> None:
        if self.owner is not None and (not self.owner or "/" in self.owner):
            raise PipelineError(ErrorCode.FILE_UNKNOWN, "an owner is the name of one folder under the uploads prefix")

    # --- looking ------------------------------------------------------------------------------------------------------

    def target(self, file: FileView) -> Target:
        return Target(
            media_file_id=file.id,
            partition_key=file.partition_key,
            object_key=file.object_key,
            owner=file.owner,
            transcript_ids=rows.transcript_ids(self.ledger, file.id),
            run_ids=self.history.run_ids(file.partition_key),
        )

    def of_owner(self) -> list[Target]:
        """Every file of the owner."""
        found: list[Target] = []
        last: str | None = None
        while page := files.list_files(self.ledger, owner=self.owner, limit=_PAGE, after=last):
            found += map(self.target, page)
            last = page[-1].id
        return found

    def look(self, targets: Iterable[Target]) -> Holdings:
        """What there is of these files, everywhere; with an owner, also what is the owner's as a whole."""
        found = Holdings()
        known = {target.partition_key: target for target in targets}
        versions: set[OldVersion] = set()
        for target in known.values():
            self._look_into_store(target, found)
            versions |= set(self._old_versions(target))
            found.counts.update(rows.count(self.ledger, target.owner, target.media_file_id, target.transcript_ids))
            found.counts.update(self.history.count(target.partition_key, target.run_ids))
        for entry in self._quarantine.about(self._is_of(known.values())):
            found.add("quarantined objects", entry.size_bytes)
        found.counts["cleanup plans' items"] += self._quarantine.mentions(self._is_of(known.values()))
        found.counts["mentions in Dagster"] += self.history.count_mentions(_keys(known.values()))
        found.counts["search documents"] += sum(held.partition_key in known for held in self.index.held())
        versions |= set(self._old_versions_in_quarantine(known.values()))
        if self.owner:
            for kind, prefix in self._folders(self.owner).items():
                for entry in self.store.entries(prefix):
                    found.add(kind, entry.size_bytes)
            versions |= set(self._old_versions_of_owner(self.owner))
            of_files = {id_ for target in known.values() for id_ in target.transcript_ids}
            found.counts.update(rows.count_of_owner(self.ledger, self.owner, besides=of_files))
            found.counts.update(self.history.count_of_owner(OWNER_TAG, self.owner))
        for version in versions:
            found.add(_OLD_VERSIONS, version.size_bytes)
        found.counts = +found.counts
        return found

    def _look_into_store(self, target: Target, found: Holdings) -> None:
        prefixes = {"artifacts": self._artifacts(target)}
        if not self.owner:  # else the owner's folders are looked through as a whole
            prefixes["results"] = self._results(target)
            upload = self.store.find_upload(self.configured.uploads_prefix, target.object_key)
            if upload:
                found.add("uploads", upload.size_bytes)
            for entry in self.store.beside(self.configured.uploads_prefix, target.object_key):
                found.add("sidecars", entry.size_bytes)
        for kind, prefix in prefixes.items():
            for entry in self.store.entries(prefix):
                found.add(kind, entry.size_bytes)

    def _old_versions(self, target: Target) -> Iterator[OldVersion]:
        stem = f"{stem_of(target.object_key)}."
        for version in self.store.old_versions(stem_of(target.object_key)):
            is_gone_sidecar = is_sidecar(version.key) and version.key.startswith(stem)
            if version.key == target.object_key or (is_gone_sidecar and not self.store.exists(version.key)):
                yield version
        yield from self.store.old_versions(f"{self._artifacts(target)}/")
        yield from self.store.old_versions(f"{self._results(target)}/")

    def _old_versions_in_quarantine(self, targets: Iterable[Target]) -> Iterator[OldVersion]:
        """Those of plans, too: what a plan was before it lost its items names them."""
        is_meant, c = self._is_of(targets), self.configured
        for version in self.store.old_versions(f"{c.artifacts_prefix}/quarantine/"):
            if is_meant("/".join(version.key.removeprefix(f"{c.artifacts_prefix}/").split("/")[2:])):
                yield version
        yield from self.store.old_versions(f"{c.artifacts_prefix}/operations/cleanup/")

    def _old_versions_of_owner(self, owner: str) -> Iterator[OldVersion]:
        for prefix in self._folders(owner).values():
            yield from self.store.old_versions(f"{prefix}/")

    @property
    def _quarantine(self) -> Quarantine:
        return Quarantine(self.store, self.configured.artifacts_prefix)

    def _is_of(self, targets: Iterable[Target]) -> Callable[[str], bool]:
        """Does a key belong to one of these files, or to the owner?"""
        targets = list(targets)
        keys = {target.object_key for target in targets}
        folders = [f"{folder}/" for target in targets for folder in (self._artifacts(target), self._results(target))]
        folders += [f"{folder}/" for folder in self._folders(self.owner).values()] if self.owner else []
        return lambda key: key in keys or key.startswith(tuple(folders))

    def _artifacts(self, target: Target) -> str:
        return f"{self.configured.artifacts_prefix}/{target.partition_key}"

    def _results(self, target: Target) -> str:
        return f"{self.configured.results_prefix}/{target.owner}/{target.partition_key}"

    def _folders(self, owner: str) -> dict[str, str]:
        return {
            "uploads": f"{self.configured.uploads_prefix}/{owner}",
            "results": f"{self.configured.results_prefix}/{owner}",
        }

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def forget(self, targets: Sequence[Target]) -> Outcome:
        """Delete these files everywhere (with an owner, what else there is of the owner, too), look again, and leave a
        receipt. May be repeated, also after having been interrupted anywhere.

        :raises PipelineError: LEASE_HELD, before anything is deleted, while a run or backfill works on one of them.
        """
        for target in targets:
            self.history.refuse_work(target.partition_key)
        forgotten = self.look(targets)
        for target in targets:
            self._forget(target)
        self._quarantine.forget(self._is_of(targets))
        self.store.expunge(list(self._old_versions_in_quarantine(targets)))
        self.history.forget_names(_keys(targets))
        for target in targets:
            rows.forget_file(self.ledger, target.owner, target.media_file_id, target.transcript_ids)
        # Until its rows went, a reconciliation could have put a file back.
        self.index.remove([target.partition_key for target in targets])
        if self.owner:
            for prefix in self._folders(self.owner).values():
                self.store.delete_prefix(prefix)
            self.store.expunge(list(self._old_versions_of_owner(self.owner)))
            rows.forget_owner(self.ledger, self.owner)
            self.history.forget_owner(OWNER_TAG, self.owner)
        sweep(self.configured.home)
        busy = tuple(self._scrub())
        appeared = self.of_owner() if self.owner else []
        left = self.look([*targets, *appeared])
        return Outcome(forgotten, left, busy, self._receipt(targets, forgotten, left, busy))

    def _forget(self, target: Target) -> None:
        rows.seal(self.ledger, target.partition_key, holder_finished=self.history.has_finished)
        self.history.cancel_waiting(target.partition_key)
        self._await_end(target)
        for entry in self.store.beside(self.configured.uploads_prefix, target.object_key):
            self.store.delete(entry.key)
        self.store.delete(target.object_key)
        self.store.delete_prefix(self._results(target))
        self.store.delete_prefix(self._artifacts(target))
        self.store.expunge(list(self._old_versions(target)))
        self.index.remove([target.partition_key])
        self.history.forget(target.partition_key, target.run_ids)

    def _await_end(self, target: Target) -> None:
        deadline = time.monotonic() + _RUN_END_SECONDS
        while True:
            try:
                return self.history.refuse_work(target.partition_key)
            except PipelineError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def _scrub(self) -> list[str]:
        self.index.scrub()
        busy = self.history.scrub()
        url = self.ledger.url
        if url.get_backend_name() == "sqlite" and url.database and not scrub(Path(url.database)):
            busy.append(Path(url.database).name)
        return busy

    def _receipt(self, targets: Sequence[Target], forgotten: Holdings, left: Holdings, busy: Sequence[str]) -> str:
        """That something was forgotten, without saying what: whoever knows a key can find it, nobody else."""
        receipt_id = str(uuid.uuid4())
        key = f"{_RECEIPTS}/{receipt_id}.json"
        receipt = {
            "id": receipt_id,
            "forgotten_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "object_keys_sha256": sorted(_sha256(target.object_key) for target in targets),
            "owner_sha256": self.owner and _sha256(self.owner),
            "counts": dict(sorted(forgotten.counts.items())),
            "bytes": dict(sorted(forgotten.sizes.items())),
            "left": dict(sorted(left.counts.items())),
            "busy_databases": list(busy),
        }
        self.store.put_bytes(key, json.dumps(receipt, indent=1).encode())
        return key


def _keys(targets: Iterable[Target]) -> list[str]:
    return [key for target in targets for key in (target.partition_key, target.object_key)]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
