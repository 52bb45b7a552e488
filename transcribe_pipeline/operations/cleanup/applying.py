"""Approving a plan, carrying it out, and taking it back.

What belongs here: the refusals, the order, and the traces that are left (documents beside the plan, the audit log).
What does not: what may go (`planning`).

Of two who apply the same plan at once, the one who creates the claim does it. A claim without a sign of life is taken
over, so that an apply that was interrupted is simply repeated. Should its first owner turn up again after all, both
move the same objects, which comes to the same end; and one receipt is written.
"""

import hashlib
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import cleanup, operations
from transcribe_pipeline.ledger.database import write
from transcribe_pipeline.ledger.operations import Operation
from transcribe_pipeline.operations.cleanup.planning import look
from transcribe_pipeline.operations.cleanup.plans import MAX_AGE, Item, Kind, Plan, Site
from transcribe_pipeline.operations.retention import Policy
from transcribe_pipeline.resources.listing import UnfinishedWrite
from transcribe_pipeline.resources.quarantine import APPROVAL, CLAIM, RECEIPT, RESTORED

_LARGE_SHARE = 0.5
"""A plan that would take more of everything than this is more often a wrong setting than a wish."""
_NEVER_LARGE = 20
"""Objects."""
_BEAT_SECONDS = 30.0
_SILENT = timedelta(minutes=5)
"""An apply without a sign of life for so long is dead."""


@dataclass
class Receipt:
    """What an apply did. Names nothing: whoever knows a key can find it by its hash, nobody else."""

    plan_id: str
    approved_by: str
    applied_by: str
    applied_at: str
    restorable_until: str
    moved: Counter[str] = field(default_factory=Counter)
    """Kind -> how many objects went into quarantine."""
    bytes: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    """Unfinished writes, which nothing brings back."""
    gone_already: int = 0
    left_alone: int = 0
    """Of files that somebody asked for, or put under legal hold, while the plan was carried out."""
    unnamed_originals: int = 0
    """Uploads that the plan offered and nobody named: they are where they were."""
    keys_sha256: list[str] = field(default_factory=list)


# --- approving ------------------------------------------------------------------------------------------------------


def approve(site: Site, policy: Policy, plan_id: str, actor: str, *, now: datetime | None = None) -> Plan:
    """Say, as a person who has looked at the plan, that it may be carried out as it is. May be repeated.

    :raises PipelineError: PLAN_UNKNOWN; PLAN_REFUSED, if it could not be carried out at this moment either.
    """
    now = now or datetime.now(UTC)
    plan = check(site, policy, plan_id, now=now)
    approval = {"plan_sha256": plan.digest, "actor": actor, "at": now.isoformat(timespec="seconds")}
    site.store.put_bytes(site.quarantine.document(plan_id, APPROVAL), json.dumps(approval).encode())
    _note(site, plan_id, "approved", actor, {"items": len(plan.items), "bytes": plan.size_bytes})
    return plan


def check(site: Site, policy: Policy, plan_id: str, *, now: datetime | None = None) -> Plan:
    """The plan, if it could be carried out at this moment, approved or not.

    :raises PipelineError: PLAN_UNKNOWN; PLAN_REFUSED, with the reason why not.
    """
    now = now or datetime.now(UTC)
    plan = Plan.load(site.quarantine, plan_id)
    _refuse_spent(site, plan, now)
    _verify(site, policy, plan, now)
    return plan


def _verify(site: Site, policy: Policy, plan: Plan, now: datetime) -> set[str]:
    """Make the plan once more, and compare: what it names must be gone already, or be just what would go today, of
    files that are still at the same generation. Gives the keys that are still there.

    :raises PipelineError: PLAN_REFUSED, with what has changed.
    """
    watched = {item.key for item in plan.items}
    today = look(site, plan.wishes, policy, now=now, watched=watched)
    would_go = set(today.items)
    listed = (f"{site.configured.artifacts_prefix}/", f"{site.configured.results_prefix}/")
    changed = [
        item
        for item in plan.items
        if item not in would_go
        and (item.key in today.present or (not item.key.startswith(listed) and site.store.exists(item.key)))
    ]
    if changed:
        kinds = Counter(item.kind.value for item in changed)
        facts = ", ".join(f"{count:,} of kind '{kind}'" for kind, count in sorted(kinds.items()))
        raise PipelineError(
            ErrorCode.PLAN_REFUSED, f"the world has changed since it was made: {facts} would not go today"
        )
    return today.present


def _refuse_spent(site: Site, plan: Plan, now: datetime) -> None:
    refusals = {
        "it was made for another store or other prefixes": plan.store != site.fingerprint,
        "it has been applied already": site.quarantine.read(plan.id, RECEIPT) is not None,
        "it has been taken back": site.quarantine.read(plan.id, RESTORED) is not None,
        f"it is older than {MAX_AGE.days} days": now - plan.made_at > MAX_AGE,
        "it holds nothing": not plan.items,
    }
    for reason, applies in refusals.items():
        if applies:
            raise PipelineError(ErrorCode.PLAN_REFUSED, reason)


# --- applying -------------------------------------------------------------------------------------------------------


def apply(
    site: Site,
    policy: Policy,
    plan_id: str,
    actor: str,
    *,
    originals: Collection[str] = (),
    even_if_large: bool = False,
    now: datetime | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Receipt:
    """Move what an approved plan names into quarantine. After an interruption, repeat it: it goes on.

    :param originals: keys of those uploads of the plan that are to go; the others stay.
    :param even_if_large: also if the plan takes more than half of everything.
    :param on_progress: called with (items done, items in all) now and then.
    :raises PipelineError: PLAN_UNKNOWN; PLAN_REFUSED, with the reason and nothing moved, if the plan is not approved as
        it is, older than 7 days, applied already or at this moment by somebody else, or the world has changed.
    """
    now = now or datetime.now(UTC)
    plan = Plan.load(site.quarantine, plan_id)
    _refuse_spent(site, plan, now)
    approval = site.quarantine.read(plan_id, APPROVAL)
    if approval is None or approval["plan_sha256"] != plan.digest:
        raise PipelineError(ErrorCode.PLAN_REFUSED, "nobody has approved it as it is")
    wanted = _wanted(plan, originals)
    _refuse_large(plan, len(wanted), even_if_large)
    present = _verify(site, policy, plan, now)
    claim = _Claim.take(site, plan_id, actor, now)
    receipt = Receipt(
        plan_id=plan_id,
        approved_by=approval["actor"],
        applied_by=actor,
        applied_at=now.isoformat(timespec="seconds"),
        restorable_until=(now + timedelta(days=site.configured.cleanup_quarantine_days)).isoformat(timespec="seconds"),
        unnamed_originals=len(plan.items) - len(wanted),
    )
    done = 0
    for partition_key, items in groupby(wanted, lambda item: item.partition_key):
        of_file = list(items)
        # Since all was looked at, somebody may have asked for this file.
        if partition_key and not _is_at_rest(site, of_file[0]):
            receipt.left_alone += len(of_file)
            continue
        for item in of_file:
            claim.beat()
            on_progress(done, len(wanted))
            _remove(site, plan_id, item, item.key in present, receipt)
            done += 1
    for prefix in (site.configured.artifacts_prefix, site.configured.results_prefix):
        site.store.drop_empty_folders(prefix)
    content = json.dumps(vars(receipt), indent=1).encode()
    if not site.store.create_bytes(site.quarantine.document(plan_id, RECEIPT), content):
        raise PipelineError(ErrorCode.PLAN_REFUSED, "it has been applied already")
    told = {name: value for name, value in vars(receipt).items() if name != "keys_sha256"}
    _note(site, plan_id, "applied", actor, told)
    _note_originals(site, [item for item in wanted if item.kind is Kind.ORIGINAL], plan_id, actor)
    return receipt


def _wanted(plan: Plan, originals: Collection[str]) -> list[Item]:
    offered = {item.key for item in plan.items if item.kind is Kind.ORIGINAL}
    if set(originals) - offered:
        raise PipelineError(ErrorCode.PLAN_REFUSED, "an upload was named that the plan does not offer")
    return [item for item in plan.items if item.kind is not Kind.ORIGINAL or item.key in originals]


def _refuse_large(plan: Plan, wanted: int, even_if_large: bool) -> None:
    if wanted > max(_NEVER_LARGE, _LARGE_SHARE * plan.objects) and not even_if_large:
        raise PipelineError(
            ErrorCode.PLAN_REFUSED,
            f"it takes {wanted:,} of {plan.objects:,} objects; if that is right, say that it may be large",
        )


def _is_at_rest(site: Site, item: Item) -> bool:
    file = cleanup.facts(site.ledger, [item.partition_key]).get(item.partition_key)
    if file is None:
        return True  # forgotten meanwhile, and its objects with it
    return file.is_at_rest and file.generation == item.generation and file.legal_hold is None


def _remove(site: Site, plan_id: str, item: Item, is_present: bool, receipt: Receipt) -> None:
    if item.kind is Kind.UNFINISHED_WRITE:
        if is_present:
            site.store.abandon(UnfinishedWrite(item.key, item.upload_id, item.size_bytes, datetime.now(UTC)))
            receipt.ended += 1
            receipt.bytes[item.kind.value] += item.size_bytes
            return
    elif site.quarantine.take(plan_id, item.key, item.etag) if is_present else site.quarantine.has(plan_id, item.key):
        receipt.moved[item.kind.value] += 1
        receipt.bytes[item.kind.value] += item.size_bytes
        receipt.keys_sha256.append(hashlib.sha256(item.key.encode("utf-8", "surrogatepass")).hexdigest())
        return
    receipt.gone_already += 1


@dataclass
class _Claim:
    """That this process carries out a plan, in the store for all to see."""

    site: Site
    key: str
    token: str
    actor: str
    _told: float = field(default_factory=time.monotonic)

    @classmethod
    def take(cls, site: Site, plan_id: str, actor: str, now: datetime) -> "_Claim":
        """:raises PipelineError: PLAN_REFUSED, if somebody else is at it."""
        claim = cls(site, site.quarantine.document(plan_id, CLAIM), secrets.token_hex(8), actor)
        if site.store.create_bytes(claim.key, claim._content(now)):
            return claim
        other = site.quarantine.read(plan_id, CLAIM)
        if other is not None and now - datetime.fromisoformat(other["beat_at"]) < _SILENT:
            raise PipelineError(ErrorCode.PLAN_REFUSED, "somebody else is carrying it out")
        site.store.put_bytes(claim.key, claim._content(now))
        return claim

    def beat(self) -> None:
        if time.monotonic() - self._told > _BEAT_SECONDS:
            self._told = time.monotonic()
            self.site.store.put_bytes(self.key, self._content(datetime.now(UTC)))

    def _content(self, now: datetime) -> bytes:
        return json.dumps({"token": self.token, "actor": self.actor, "beat_at": now.isoformat()}).encode()


# --- taking back ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restored:
    put_back: int
    replaced: int
    """Objects that stay in quarantine, since there is another in their place by now."""


def restore(site: Site, plan_id: str, actor: str) -> Restored:
    """Put back all that a plan has moved, as far as nothing else is in its place. May be repeated.

    :raises PipelineError: PLAN_UNKNOWN; PLAN_REFUSED, if nothing of it is in quarantine (any more).
    """
    if site.quarantine.read(plan_id, RECEIPT) is None and site.quarantine.read(plan_id, CLAIM) is None:
        Plan.load(site.quarantine, plan_id)
        raise PipelineError(ErrorCode.PLAN_REFUSED, "it has not been applied")
    held = list(site.quarantine.holds(plan_id))
    if not held:
        raise PipelineError(ErrorCode.PLAN_REFUSED, "nothing of it is in quarantine any more")
    # First: an apply that was interrupted must not go on from here.
    mark = {"actor": actor, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    site.store.create_bytes(site.quarantine.document(plan_id, RESTORED), json.dumps(mark).encode())
    put_back = sum(site.quarantine.put_back(key, entry) for key, entry in held)
    outcome = Restored(put_back, len(held) - put_back)
    site.store.drop_empty_folders(f"{site.configured.artifacts_prefix}/quarantine")
    _note(site, plan_id, "restored", actor, asdict(outcome))
    return outcome


# --- the audit log --------------------------------------------------------------------------------------------------


def _note(site: Site, plan_id: str, action: str, actor: str, detail: dict[str, Any]) -> None:
    write(
        site.ledger,
        lambda connection: operations.note(
            connection, Operation.CLEANUP, cause=f"plan {plan_id}", action=action, actor=actor, detail=detail
        ),
    )


def _note_originals(site: Site, items: Sequence[Item], plan_id: str, actor: str) -> None:
    """An upload that leaves its place is a matter of its file."""
    files = cleanup.facts(site.ledger, {item.partition_key for item in items})

    def work(connection: Connection) -> None:
        for file in files.values():
            operations.note(
                connection,
                Operation.CLEANUP,
                cause=f"plan {plan_id}",
                action="moved the upload into quarantine",
                actor=actor,
                media_file_id=file.id,
                generation=file.generation,
            )

    write(site.ledger, work)
