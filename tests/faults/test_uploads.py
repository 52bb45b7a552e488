"""Rows 13 to 16: what is listed comes twice, late, from two people, or too early."""

import threading
import time
import uuid
from itertools import permutations
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.faults.harness import Site, Speech, eventually, row, store_of
from tests.faults.invariants import Result, assert_sound, nothing_is_lost
from transcribe_pipeline.artifacts import ListedUpload
from transcribe_pipeline.ledger import files, timings
from transcribe_pipeline.resources.object_store import open_store


def listed(site: Site) -> list[ListedUpload]:
    return [upload for page in store_of(site).list_uploads("uploads") for upload in page.uploads]


# --- 13, 15 ---------------------------------------------------------------------------------------------------------


@row(13, 15)
@pytest.mark.nightly
def test_identical_bytes_from_two_owners_and_once_more(site: Site, recording: Path, golden: Result) -> None:
    keys = [site.drop(recording, owner, "call.wav") for owner in ("ann", "bob")]
    site.work()
    asked = len(site.speech.service.requests)
    site.drop(recording, "ann", "call.wav")
    site.work()
    assert len(site.speech.service.requests) == asked, "the same bytes were transcribed again"
    assert [site.file(key).generation for key in keys] == [2, 1]  # type: ignore[union-attr]
    ann, bob = (site.file(key) for key in keys)
    assert ann
    assert bob
    assert ann.current_transcript_id != bob.current_transcript_id
    assert site.results(ann).is_dir()
    assert site.results(bob).is_dir()
    assert_sound(site, golden=golden, completed=keys[1:])


# --- 14 -------------------------------------------------------------------------------------------------------------


@row(14)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_listings_twice_in_any_order_and_at_once(
    database: str, recording: Path, request: pytest.FixtureRequest
) -> None:
    site: Site = request.getfixturevalue("site" if database == "sqlite" else "postgres_site")
    for name in ("a.wav", "b.wav", "c.wav"):
        site.drop(recording, "ann", name)
    now = listed(site)
    orders = [list(order) for order in permutations(now)]
    together = [
        threading.Thread(target=files.register, args=(site.ledger, order), kwargs={"settle_seconds": 0})
        for order in orders
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    rows = files.list_files(site.ledger)
    assert sorted((file.object_key, file.generation) for file in rows) == [(u.object_key, 1) for u in now]
    nothing_is_lost(site)


@row(14)
def test_a_listing_that_comes_late_does_no_harm(site: Site, recording: Path, golden: Result, tmp_path: Path) -> None:
    """A listing from before the file was replaced is taken for news; the next one, which is right, puts it straight."""
    key = site.drop(recording, "ann")
    late = listed(site)
    shorter = tmp_path / "other.wav"
    shorter.write_bytes(recording.read_bytes()[:-6400])
    site.drop(shorter, "ann", recording.name)
    site.drop(recording, "ann")
    site.register()
    files.register(site.ledger, late, settle_seconds=0)
    site.work(key)
    assert_sound(site, golden=golden, completed=[key])


# --- 16 -------------------------------------------------------------------------------------------------------------


@row(16)
@pytest.mark.nightly
def test_a_file_that_is_still_growing_waits(tmp_path: Path, speech: Speech, recording: Path, golden: Result) -> None:
    """Written in pieces, with pauses shorter than it takes to settle: read once, and whole."""
    site = Site(tmp_path / "site", speech, TRANSCRIBE_SETTLE_SECONDS="4")
    data = recording.read_bytes()
    path = site.folder / "store/uploads/ann/call.wav"
    path.parent.mkdir(parents=True)
    grown = threading.Event()

    def write() -> None:
        with path.open("wb") as file:
            for start in range(0, len(data), len(data) // 6):
                file.write(data[start : start + len(data) // 6])
                file.flush()
                time.sleep(1)
        grown.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not grown.is_set():
        site.work()
    writer.join()
    eventually(lambda: bool(site.work() or site.file("uploads/ann/call.wav").sha256), "never picked up")  # type: ignore[union-attr]
    assert_sound(site, golden=golden, completed=["uploads/ann/call.wav"])
    file = site.file("uploads/ann/call.wav")
    assert file
    assert len([timing for timing in timings.of_file(site.ledger, file.id) if timing.stage == "upload"]) == 1
    site.close()


@row(16)
def test_an_upload_in_parts_is_not_seen_before_it_is_complete(
    s3_endpoint: str, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    client: Any = boto3.client("s3", region_name="us-east-1")
    bucket = f"faults-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    store = open_store(f"s3://{bucket}")
    place = {"Bucket": bucket, "Key": "uploads/ann/call.wav"}
    upload = client.create_multipart_upload(**place)["UploadId"]
    part = client.upload_part(**place, UploadId=upload, PartNumber=1, Body=recording.read_bytes())

    def seen() -> list[str]:
        return [each.object_key for page in store.list_uploads("uploads") for each in page.uploads]

    assert seen() == []
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)
    assert seen() == ["uploads/ann/call.wav"]
