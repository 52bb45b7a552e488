"""Where cleanup keeps its plans, and what it has taken out of use until that may go for good.

    <artifacts prefix>/operations/cleanup/<plan id>/plan.json          what would go, and why
                                                    approval.json      who approved it
                                                    claim.json         who carries it out
                                                    receipt.json       what was done
                                                    restored.json      that it was taken back
    <artifacts prefix>/quarantine/<plan id>/<key>                      what it has moved there

What belongs here: the layout, moving objects in and out, and finding what of a file lies there when the file is
forgotten. What does not: what a plan is made of and whether it may be carried out (`operations.cleanup`).
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources.listing import Entry
from transcribe_pipeline.resources.object_store import ObjectStore

_PLAN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_MAX_KEY_BYTES = 1_024
"""S3's."""
PLAN, APPROVAL, CLAIM, RECEIPT, RESTORED = (
    f"{name}.json" for name in ("plan", "approval", "claim", "receipt", "restored")
)


@dataclass(frozen=True)
class Quarantine:
    store: ObjectStore
    artifacts_prefix: str

    # --- plans --------------------------------------------------------------------------------------------------------

    def plan_ids(self) -> list[str]:
        """Oldest first."""
        keys = self.store.list_keys(self._plans)
        names = {key.removeprefix(f"{self._plans}/").partition("/")[0] for key in keys}
        return sorted(filter(_PLAN_ID.fullmatch, names))

    def document(self, plan_id: str, name: str) -> str:
        """Key of one of a plan's documents. Raises PLAN_UNKNOWN for what cannot be a plan's id."""
        return f"{self._plans}/{_checked(plan_id)}/{name}"

    def read(self, plan_id: str, name: str) -> dict[str, Any] | None:
        """One of a plan's documents, or None. Raises PLAN_UNKNOWN; PLAN_REFUSED for what is damaged."""
        try:
            document = json.loads(self.store.get_bytes(self.document(plan_id, name)))
        except FileNotFoundError:
            return None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise PipelineError(ErrorCode.PLAN_REFUSED, f"{name} is damaged")
        return document

    # --- objects ------------------------------------------------------------------------------------------------------

    def has_room_for(self, plan_id: str, key: str) -> bool:
        """Is the key short enough to be put under another?"""
        return len(self._key(plan_id, key).encode()) <= _MAX_KEY_BYTES

    def has(self, plan_id: str, key: str) -> bool:
        return self.store.exists(self._key(plan_id, key))

    def take(self, plan_id: str, key: str, etag: str) -> bool:
        """Move exactly this content out of use; False if it is gone, or another by now."""
        return self.store.move(key, self._key(plan_id, key), etag, replace=True)

    def holds(self, plan_id: str) -> Iterator[tuple[str, Entry]]:
        """(key that it was taken from, where it lies now)."""
        folder = f"{self._folder}/{_checked(plan_id)}"
        for entry in self.store.entries(folder):
            yield entry.key.removeprefix(f"{folder}/"), entry

    def put_back(self, key: str, entry: Entry) -> bool:
        """False if there is an object in its place by now: that one stays."""
        return self.store.move(entry.key, key, entry.etag)

    def empty(self, plan_id: str) -> None:
        """What this plan has moved goes for good, and with it every document that names it; the receipt stays."""
        self.store.delete_prefix(f"{self._folder}/{_checked(plan_id)}")
        for name in (PLAN, APPROVAL, CLAIM, RESTORED):
            self.store.delete(self.document(plan_id, name))
        self.store.drop_empty_folders(self._plans)

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def about(self, is_meant: Callable[[str], bool]) -> Iterator[Entry]:
        """What lies in quarantine of keys that are meant, whichever plan has moved it."""
        for entry in self.store.entries(self._folder):
            if is_meant(entry.key.removeprefix(f"{self._folder}/").partition("/")[2]):
                yield entry

    def mentions(self, is_meant: Callable[[str], bool]) -> int:
        """How many items of plans name keys that are meant."""
        return sum(is_meant(item["key"]) for plan_id in self.plan_ids() for item in self._items(plan_id) or ())

    def forget(self, is_meant: Callable[[str], bool]) -> None:
        """Delete what is meant from quarantine and from plans. A plan that loses items must be approved anew; one that
        cannot be read goes as a whole."""
        for entry in list(self.about(is_meant)):
            self.store.delete(entry.key)
        for plan_id in self.plan_ids():
            items = self._items(plan_id)
            if items is None:
                self.store.delete(self.document(plan_id, PLAN))
                continue
            left = [item for item in items if not is_meant(item["key"])]
            if len(left) < len(items):
                plan = self.read(plan_id, PLAN) or {}
                self.store.put_bytes(self.document(plan_id, PLAN), json.dumps(plan | {"items": left}).encode())

    def _items(self, plan_id: str) -> list[dict[str, Any]] | None:
        """None if they cannot be read."""
        try:
            plan = self.read(plan_id, PLAN) or {"items": []}
        except PipelineError:
            return None
        items = plan.get("items")
        is_sound = isinstance(items, list) and all(isinstance(item, dict) and "key" in item for item in items)
        return items if is_sound else None

    @property
    def _plans(self) -> str:
        return f"{self.artifacts_prefix}/operations/cleanup"

    @property
    def _folder(self) -> str:
        return f"{self.artifacts_prefix}/quarantine"

    def _key(self, plan_id: str, key: str) -> str:
        return f"{self._folder}/{_checked(plan_id)}/{key}"


def _checked(plan_id: str) -> str:
    """It is a part of keys."""
    if not _PLAN_ID.fullmatch(plan_id):
        raise PipelineError(ErrorCode.PLAN_UNKNOWN)
    return plan_id
