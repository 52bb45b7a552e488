"""Plan, approve, apply, restore: on both databases and both kinds of store."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.ledger.samples import take
from tests.resources.installations import NAME, SHA256, Installation
from transcribe_pipeline.artifacts import Options
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files, forgetting, leases, operations, transcripts
from transcribe_pipeline.operations.cleanup import planning
from transcribe_pipeline.operations.cleanup.applying import Receipt, apply, approve, restore
from transcribe_pipeline.operations.cleanup.planning import make_plan
from transcribe_pipeline.operations.cleanup.plans import Kind, Plan, Site, Wishes, all_plans
from transcribe_pipeline.operations.retention import Policy, expired_quarantine
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources.artifact_store import ArtifactStore, FileVersion, content_id
from transcribe_pipeline.resources.forgetting import Places
from transcribe_pipeline.resources.run_history import RunHistory
from transcribe_pipeline.settings import Settings

everywhere = pytest.mark.parametrize("installation", ["folder", "s3"], indirect=True)
LATER = datetime.now(UTC) + timedelta(days=40)
"""All that a test makes is old by then."""
CONTENT = content_id(SHA256)


@pytest.fixture
def site(installation: Installation) -> Site:
    return Site(installation.configured, installation.ledger, installation.store)


@pytest.fixture
def policy(site: Site) -> Policy:
    return Policy.load(site.configured)


def plan_of(site: Site, policy: Policy, **wishes: Any) -> Plan:
    return make_plan(site, Wishes(**wishes), policy, now=LATER)


def keys(plan: Plan, kind: Kind) -> list[str]:
    return [item.key for item in plan.items if item.kind is kind]


def approved(site: Site, policy: Policy, plan: Plan) -> Plan:
    return approve(site, policy, plan.id, "ann", now=LATER)


def applied(site: Site, policy: Policy, plan: Plan, **choices: Any) -> Receipt:
    return apply(site, policy, plan.id, "bob", now=LATER, **choices)


def everything(site: Site) -> dict[str, str]:
    """Key -> etag, of all but plans and what they have moved."""
    prefixes = ("uploads", "results", "artifacts")
    return {
        entry.key: entry.etag
        for prefix in prefixes
        for entry in site.store.entries(prefix)
        if not entry.key.startswith(("artifacts/quarantine/", "artifacts/operations/"))
    }


def lose(installation: Installation, name: str = "lost.wav") -> str:
    """A file whose upload is gone, of which the ledger knows nothing any more, and the store all the rest."""
    key = installation.done("zoe", name)
    file = files.get(installation.ledger, key)
    places = Places(
        installation.configured,
        installation.ledger,
        installation.store,
        RunHistory(installation.instance),
        installation.index,
    )
    target = places.target(file)
    forgetting.seal(installation.ledger, key, holder_finished=lambda _: True)
    forgetting.forget_file(installation.ledger, "zoe", target.media_file_id, target.transcript_ids)
    installation.store.delete(file.object_key)
    return key


def again(installation: Installation, key: str, *names: str) -> int:
    """Another generation of the same content, which makes these artifacts anew; gives its number."""
    with installation.ledger.begin() as connection:
        connection.execute(
            text(
                "UPDATE media_file SET generation = generation + 1, base_generation = generation + 1,"
                " status = 'pending', ended_as = NULL WHERE partition_key = :key"
            ),
            {"key": key},
        )
    claim = leases.claim(installation.ledger, key, None, "run-again", lease_seconds=90, holder_finished=lambda _: True)
    artifacts = ArtifactStore(installation.store, "artifacts")
    for name in names:
        artifacts.save(key, FileVersion(CONTENT, claim.generation), name, Options())
    leases.complete(installation.ledger, claim)
    return claim.generation


def refused(work: Callable[[], object], *facts: str) -> None:
    with pytest.raises(PipelineError) as caught:
        work()
    assert caught.value.code is ErrorCode.PLAN_REFUSED, caught.value
    assert all(fact in caught.value.detail for fact in facts), caught.value.detail


# --- what a plan holds ------------------------------------------------------------------------------------------------


@everywhere
def test_a_plan_tells_what_would_go_and_deletes_nothing(installation: Installation, site: Site, policy: Policy):
    kept = installation.done("anne")
    lost = lose(installation)
    before = everything(site)

    plan = plan_of(site, policy)

    assert everything(site) == before
    assert {item.kind for item in plan.items} == {Kind.UNKNOWN_FILE, Kind.PARTIAL}
    unknown = keys(plan, Kind.UNKNOWN_FILE)
    assert {key for key in before if lost in key and not key.startswith("uploads/")} == set(unknown)
    assert keys(plan, Kind.PARTIAL) == [f"artifacts/{kept}/{CONTENT}/partial/transcription/0001.json.zst"]
    assert plan.objects == sum(not key.startswith("uploads/") for key in before)
    assert Plan.load(site.quarantine, plan.id) == plan
    lines = {line.kind: line for line in plan.summary()}
    assert lines[Kind.UNKNOWN_FILE].count == len(unknown)
    assert lines[Kind.UNKNOWN_FILE].examples == unknown[:3]
    assert sum(line.size_bytes for line in lines.values()) == plan.size_bytes > 0


def test_what_is_young_stays(installation: Installation, site: Site, policy: Policy):
    installation.done("anne")
    lose(installation)
    assert not make_plan(site, Wishes(), policy).items


def test_only_what_no_version_needs_is_superseded(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    for _ in range(2):
        again(installation, key, "options")
    plan = plan_of(site, policy)
    # The version was made by generation 1, the present one is 3: nobody would look for what 2 made.
    assert keys(plan, Kind.SUPERSEDED) == [f"artifacts/{key}/{CONTENT}/g0002/options.json.zst"]


def test_audio_goes_with_what_points_at_it_and_only_on_demand(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    artifacts = ArtifactStore(installation.store, "artifacts")
    version = FileVersion(CONTENT, 1)
    artifacts.save(key, version, "audio", Options())
    flac = artifacts.object_key(key, version, "audio.flac")
    installation.store.put_bytes(flac, b"fLaC")
    assert not keys(plan_of(site, policy), Kind.AUDIO)
    assert not keys(plan_of(site, policy, audio_days=50), Kind.AUDIO), "not yet"
    assert keys(plan_of(site, policy, audio_days=30), Kind.AUDIO) == [flac, artifacts.key(key, version, "audio")]
    installation.store.delete(f"uploads/anne/{NAME}")
    assert not keys(plan_of(site, policy, audio_days=30), Kind.AUDIO), "nothing to make it of"


def test_a_crashed_decoding_does_not_cost_the_audio_that_is_in_use(
    installation: Installation, site: Site, policy: Policy
):
    key = installation.done("anne")
    artifacts = ArtifactStore(installation.store, "artifacts")
    artifacts.save(key, FileVersion(CONTENT, 1), "audio", Options())
    for generation in (1, 2):
        installation.store.put_bytes(artifacts.object_key(key, FileVersion(CONTENT, generation), "audio.flac"), b"f")
    for _ in range(2):
        again(installation, key, "options")
    superseded = keys(plan_of(site, policy), Kind.SUPERSEDED)
    assert f"artifacts/{key}/{CONTENT}/g0002/audio.flac" in superseded
    assert f"artifacts/{key}/{CONTENT}/g0001/audio.flac" not in superseded


def test_a_file_at_work_and_one_under_legal_hold_are_left_alone(installation: Installation, site: Site, policy: Policy):
    held, working = installation.done("anne"), installation.done("bob")
    hold(installation, held)
    take(installation.ledger, "run-2", key=working)
    plan = plan_of(site, policy)
    assert (plan.items, plan.held_files, plan.working_files) == ((), 1, 1)


def hold(installation: Installation, key: str) -> None:
    with installation.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET legal_hold = 'case 7' WHERE partition_key = :key"), {"key": key})


@pytest.mark.parametrize(
    ("code", "goes"),
    [(ErrorCode.NOT_MEDIA, True), (ErrorCode.STORE_UNAVAILABLE, False), (ErrorCode.TRIES_EXHAUSTED, False)],
)
def test_unfinished_work_stays_as_long_as_another_try_may_need_it(
    installation: Installation, site: Site, policy: Policy, code: ErrorCode, goes: bool
):
    installation.upload("uploads/anne/x.wav", b"RIFF")
    key = installation.register("uploads/anne/x.wav")
    claim = take(installation.ledger, key=key)
    ArtifactStore(installation.store, "artifacts").save_partial(key, CONTENT, "transcription", "0001", Options())
    leases.fail(installation.ledger, claim, PipelineError(code), final=True)
    assert bool(keys(plan_of(site, policy), Kind.PARTIAL)) is goes


def test_a_plan_is_bounded(installation: Installation, site: Site, policy: Policy, monkeypatch: pytest.MonkeyPatch):
    installation.done("anne")
    lose(installation)
    whole = plan_of(site, policy)
    assert whole.is_complete
    monkeypatch.setattr(planning, "MAX_ITEMS", 3)
    plan = approved(site, policy, plan_of(site, policy))
    assert (plan.items, plan.is_complete) == (whole.items[:3], False)
    assert sum(applied(site, policy, plan).moved.values()) == 3
    assert not site.quarantine.has_room_for(plan.id, "x" * 1000), "S3 would not take so long a key"


def test_unknown_shapes_are_counted_and_left_alone(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    for name in (f"artifacts/{key}/notes.txt", "artifacts/readme.txt", "results/anne/index.html", "artifacts/x/y.bin"):
        installation.store.put_bytes(name, b"a person's")
    plan = plan_of(site, policy)
    assert plan.unrecognised == 1
    assert {item.kind for item in plan.items} == {Kind.PARTIAL}


@pytest.mark.parametrize("installation", ["s3"], indirect=True)
def test_stale_multipart_uploads_end(
    installation: Installation, site: Site, policy: Policy, s3_client: Any, bucket: str
):
    s3_site = replace(site, configured=Settings(home=site.configured.home, store_url=f"s3://{bucket}/some/base"))
    installation.done("anne")
    s3_client.create_multipart_upload(Bucket=bucket, Key="some/base/uploads/anne/begun.wav")
    plan = plan_of(s3_site, policy)
    assert keys(plan, Kind.UNFINISHED_WRITE) == ["uploads/anne/begun.wav"]
    approved(s3_site, policy, plan)
    assert applied(s3_site, policy, plan).ended == 1
    assert not list(installation.store.unfinished("uploads"))


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_wrong_database_is_refused(installation: Installation, site: Site, policy: Policy):
    lose(installation)
    refused(lambda: plan_of(site, policy), "no file at all")
    installation.upload("uploads/anne/other.wav", b"RIFF")
    installation.register("uploads/anne/other.wav")
    refused(lambda: plan_of(site, policy), "none of what lies in the store")


def test_a_plan_goes_the_whole_way_or_not_at_all(installation: Installation, site: Site, policy: Policy):
    installation.done("anne")
    lose(installation)
    plan = plan_of(site, policy)
    before = everything(site)
    with pytest.raises(PipelineError) as caught:
        applied(site, policy, plan.model_copy(update={"id": "../../uploads"}))
    assert caught.value.code is ErrorCode.PLAN_UNKNOWN
    with pytest.raises(PipelineError) as caught:
        approve(site, policy, "20260101-000000-aaaaaa", "ann")
    assert caught.value.code is ErrorCode.PLAN_UNKNOWN

    refused(lambda: applied(site, policy, plan), "nobody has approved it")
    refused(lambda: approve(site, policy, plan.id, "ann", now=LATER + timedelta(days=8)), "older than 7 days")
    approved(site, policy, plan)
    refused(lambda: apply(site, policy, plan.id, "bob", now=LATER + timedelta(days=8)), "older than 7 days")
    elsewhere = replace(site, configured=site.configured.model_copy(update={"results_prefix": "finished"}))
    refused(lambda: applied(elsewhere, policy, plan), "another store or other prefixes")
    refused(lambda: applied(site, policy, plan, originals=["uploads/anne/zorblax.wav"]), "does not offer")
    assert everything(site) == before

    # What was approved is not what lies there now.
    document = json.loads(site.store.get_bytes(site.quarantine.document(plan.id, "plan.json")))
    document["items"].append(document["items"][0] | {"key": f"uploads/anne/{NAME}"})
    site.store.put_bytes(site.quarantine.document(plan.id, "plan.json"), json.dumps(document).encode())
    refused(lambda: applied(site, policy, plan), "nobody has approved it as it is")
    refused(lambda: approved(site, policy, plan), "the world has changed")
    assert everything(site) == before


def test_a_changed_world_refuses_the_whole_plan(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    lost = lose(installation)
    plan = approved(site, policy, plan_of(site, policy))
    first = keys(plan, Kind.UNKNOWN_FILE)[0]
    content = site.store.get_bytes(first)
    before = everything(site)

    def still_refused(*facts: str) -> None:
        refused(lambda: applied(site, policy, plan), "the world has changed", *facts)
        assert {k for k in everything(site) if k in before} == before.keys()

    site.store.put_bytes(first, b"somebody's new content")
    still_refused("1 of kind 'unknown file'")
    site.store.put_bytes(first, content)

    again(installation, key)  # nothing is made, yet the file is at another generation
    still_refused("1 of kind 'partial'")

    plan = approved(site, policy, plan_of(site, policy))
    claim = take(installation.ledger, "run-3", key=key)
    still_refused("1 of kind 'partial'")
    leases.complete(installation.ledger, claim)

    plan = approved(site, policy, plan_of(site, policy))
    hold(installation, key)
    still_refused("1 of kind 'partial'")

    plan = approved(site, policy, plan_of(site, policy))
    installation.upload("uploads/zoe/lost.wav", b"RIFF")
    installation.register("uploads/zoe/lost.wav")
    assert files.get(installation.ledger, lost)
    still_refused("of kind 'unknown file'")


# --- applying ---------------------------------------------------------------------------------------------------------


@everywhere
def test_what_goes_can_be_put_back(installation: Installation, site: Site, policy: Policy):
    installation.done("anne")
    lose(installation)
    before = everything(site)
    plan = approved(site, policy, plan_of(site, policy))

    receipt = applied(site, policy, plan)

    gone = {item.key for item in plan.items}
    assert everything(site).keys() == before.keys() - gone
    assert sum(receipt.moved.values()) == len(gone) == len(receipt.keys_sha256)
    assert (receipt.approved_by, receipt.applied_by, receipt.gone_already) == ("ann", "bob", 0)
    written = json.loads(site.store.get_bytes(site.quarantine.document(plan.id, "receipt.json")))
    assert written["moved"] == dict(receipt.moved)
    assert "zoe" not in json.dumps(written)
    refused(lambda: applied(site, policy, plan), "applied already")
    entries = operations.recent(installation.ledger, operation=operations.Operation.CLEANUP)
    assert [(entry.action, entry.actor) for entry in entries][::-1] == [("approved", "ann"), ("applied", "bob")]

    site.store.put_bytes(plan.items[0].key, b"in its place by now")
    outcome = restore(site, plan.id, "bob")
    assert (outcome.put_back, outcome.replaced) == (len(gone) - 1, 1)
    assert everything(site).keys() == before.keys()
    assert site.store.get_bytes(plan.items[0].key) == b"in its place by now"
    assert [(found.id, bool(done)) for found, done in all_plans(site.quarantine)] == [(plan.id, True)]


@everywhere
def test_an_interrupted_apply_is_repeated(
    installation: Installation, site: Site, policy: Policy, monkeypatch: pytest.MonkeyPatch
):
    installation.done("anne")
    lose(installation)
    plan = approved(site, policy, plan_of(site, policy))

    class Killed(BaseException):
        pass

    def die(done: int, total: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        applied(site, policy, plan, on_progress=die)
    refused(lambda: applied(site, policy, plan), "somebody else is carrying it out")
    receipt = apply(site, policy, plan.id, "carl", now=LATER + timedelta(minutes=6))
    assert sum(receipt.moved.values()) == len(plan.items)
    assert not [key for key in everything(site) if key in {item.key for item in plan.items}]


def test_of_two_who_apply_one_does_it(installation: Installation, site: Site, policy: Policy):
    installation.done("anne")
    lose(installation)
    plan = approved(site, policy, plan_of(site, policy))
    barrier, outcomes = threading.Barrier(2), []

    def run() -> None:
        barrier.wait()
        try:
            outcomes.append(applied(site, policy, plan))
        except PipelineError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (receipt,) = [outcome for outcome in outcomes if isinstance(outcome, Receipt)]
    assert ErrorCode.PLAN_REFUSED in outcomes
    assert sum(receipt.moved.values()) == len(plan.items)


def test_a_file_that_is_asked_for_meanwhile_is_left_alone(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    lose(installation)
    plan = approved(site, policy, plan_of(site, policy))
    (partial,) = keys(plan, Kind.PARTIAL)
    assert plan.items[0].key != partial

    def ask(done: int, total: int) -> None:
        if done == 0:
            take(installation.ledger, "run-4", key=key)

    receipt = applied(site, policy, plan, on_progress=ask)
    assert receipt.left_alone == 1
    assert site.store.exists(partial)
    assert sum(receipt.moved.values()) == len(plan.items) - 1


def test_a_large_plan_must_be_wanted(installation: Installation, site: Site, policy: Policy):
    installation.done("anne")
    for number in range(5):
        lose(installation, f"lost{number}.wav")
    plan = approved(site, policy, plan_of(site, policy))
    before = everything(site)
    refused(lambda: applied(site, policy, plan), f"{len(plan.items)} of {plan.objects}")
    assert everything(site) == before
    assert sum(applied(site, policy, plan, even_if_large=True).moved.values()) == len(plan.items)


def test_an_original_goes_only_where_policy_and_a_person_say_so(
    installation: Installation, site: Site, policy: Policy, tmp_path: Path
):
    keys_ = [installation.done(owner) for owner in ("anne", "bob")]
    file = tmp_path / "retention.yaml"
    file.write_text("version: 1\nowners: {anne: {originals_days: 30}}\n")
    policy = Policy.load(site.configured.model_copy(update={"retention_file": file}))
    plan = approved(site, policy, plan_of(site, policy))
    assert keys(plan, Kind.ORIGINAL) == [f"uploads/anne/{NAME}"]

    receipt = applied(site, policy, plan)
    assert (receipt.unnamed_originals, receipt.moved["original"]) == (1, 0)
    assert site.store.exists(f"uploads/anne/{NAME}")

    plan = approved(site, policy, plan_of(site, policy))
    receipt = applied(site, policy, plan, originals=[f"uploads/anne/{NAME}"])
    assert receipt.moved["original"] == 1
    assert not site.store.exists(f"uploads/anne/{NAME}")
    assert transcripts.current(installation.ledger, keys_[0])
    entries = operations.of_file(installation.ledger, files.get(installation.ledger, keys_[0]).id)
    assert [entry.action for entry in entries] == ["moved the upload into quarantine"]
    restore(site, plan.id, "bob")
    assert site.store.get_bytes(f"uploads/anne/{NAME}") == b"RIFF"


def test_quarantine_ends(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    lose(installation)
    unapplied = plan_of(site, policy)
    plan = approved(site, policy, plan_of(site, policy))
    applied(site, policy, plan)

    def expire(days: float, *, apply: bool = True) -> tuple[int, int]:
        found = expired_quarantine(
            site.ledger, site.store, site.configured, apply=apply, now=LATER + timedelta(days=days)
        )
        return found.plans, found.objects

    assert expire(6.9) == (0, 0)
    hold(installation, key)
    assert expire(7.1) == (0, 0), "something in it is of a file under legal hold"
    with installation.ledger.begin() as connection:
        connection.execute(text("UPDATE media_file SET legal_hold = NULL"))
    assert expire(7.1, apply=False) == expire(7.1) == (1, len(plan.items))
    assert not list(site.quarantine.holds(plan.id))
    assert site.quarantine.read(plan.id, "receipt.json")
    refused(lambda: restore(site, plan.id, "bob"), "nothing of it is in quarantine")
    assert expire(15) == (1, 0)
    assert [found.id for found, _ in all_plans(site.quarantine)] == []
    assert site.quarantine.plan_ids() == [plan.id]
    assert unapplied.id != plan.id


def test_damaged_plans_are_refused_and_stop_nothing(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    plan = plan_of(site, policy)
    document = site.quarantine.document(plan.id, "plan.json")
    for content in (b"{", b"[]", b"{}", plan.model_copy(update={"id": "other"}).model_dump_json().encode()):
        site.store.put_bytes(document, content)
        refused(lambda: approved(site, policy, plan), "damaged")
        assert list(all_plans(site.quarantine)) == []
    site.store.put_bytes(document, b"{")
    site.store.put_bytes("artifacts/operations/cleanup/notes.txt", b"a person's")
    places = Places(
        installation.configured,
        installation.ledger,
        installation.store,
        RunHistory(installation.instance),
        installation.index,
    )
    assert places.forget([places.target(files.get(installation.ledger, key))]).is_proven
    assert site.quarantine.plan_ids() == []


@everywhere
def test_forgetting_reaches_into_quarantine_and_plans(installation: Installation, site: Site, policy: Policy):
    key = installation.done("anne")
    lose(installation)
    for _ in range(2):
        again(installation, key, "options")
    plan = approved(site, policy, plan_of(site, policy))
    applied(site, policy, plan)
    history = RunHistory(installation.instance)
    places = Places(installation.configured, installation.ledger, installation.store, history, installation.index)
    outcome = places.forget([places.target(files.get(installation.ledger, key))])
    assert outcome.is_proven, outcome.left
    assert outcome.forgotten.counts["quarantined objects"] == 2
    assert outcome.forgotten.counts["cleanup plans' items"] >= 2
    assert not [entry.key for entry in installation.store.entries("artifacts") if key in entry.key]
    left = Plan.load(site.quarantine, plan.id)
    assert partition_key("uploads/zoe/lost.wav") in json.dumps(left.model_dump(mode="json"))
    assert key not in left.model_dump_json()
