import hashlib
import os
import subprocess
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import dagster as dg
import pytest

from tests.resources.conftest import Upload
from tests.servers.proxy import Fault, FaultProxy
from transcribe_pipeline.artifacts import ListedUpload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.partitions import partition_key
from transcribe_pipeline.resources import object_store
from transcribe_pipeline.resources.object_store import Fetched, ObjectStore, ObjectStoreResource, open_store

LIMIT = 10**9
RECORDING = os.urandom(20_000_000)  # two ranges


def listed(store: ObjectStore) -> list[ListedUpload]:
    return [upload for page in store.list_uploads("uploads") for upload in page.uploads]


def fetch(store: ObjectStore, upload: ListedUpload, destination: Path, **options: Any) -> Fetched:
    return store.fetch(upload.object_key, upload.etag, destination, **{"max_bytes": LIMIT, **options})


# --- listing ----------------------------------------------------------------------------------------------------------


def test_an_upload_is_what_lies_in_an_owners_folder(store: ObjectStore, upload: Upload):
    upload("uploads/ann/2026/Board Meeting.mp3", b"audio")
    (found,) = listed(store)
    assert found.object_key == "uploads/ann/2026/Board Meeting.mp3"
    assert (found.owner, found.file_name, found.size_bytes) == ("ann", "Board Meeting.mp3", 5)
    assert found.partition_key == partition_key(found.object_key)
    assert found.modified_at.tzinfo


def test_hidden_files_are_ignored_and_files_without_an_owner_counted(store: ObjectStore, upload: Upload):
    for key in ("uploads/ann/.part.wav", "uploads/.trash/ann/a.wav", "uploads/lost.wav", "other/ann/b.wav"):
        upload(key, b"x")
    (page,) = store.list_uploads("uploads")
    assert (page.uploads, page.misplaced, page.refused) == ([], 1, 0)


def test_a_listing_comes_in_pages_and_resumes_after_any_key(store: ObjectStore, upload: Upload):
    # '-' and '.' sort before '/', so these also show that folders are ordered as their files' keys are.
    names = [f"{folder}/{i:03}.wav" for folder in ("a", "a-b", "a.b", "a/c", "b") for i in range(201)]
    for name in names:
        upload(f"uploads/{name}", b"x")
    keys = sorted(f"uploads/{name}" for name in names)
    pages = [[u.object_key for u in page.uploads] for page in store.list_uploads("uploads")]
    assert [len(page) for page in pages] == [1000, 5]
    assert [key for page in pages for key in page] == keys
    for position in (0, 200, 201, 500, 1004):
        rest = [u.object_key for page in store.list_uploads("uploads", after=keys[position]) for u in page.uploads]
        assert rest == keys[position + 1 :]


def test_sidecars_are_told_with_their_recordings(store: ObjectStore, upload: Upload):
    names = ["a.mp4", "a.mp4.options.yaml", "a.en.srt", "alone.srt", "b.mp3", "sub/a.mp4", "zoë.m4a", "zoë.vtt"]
    for name in names:
        upload(f"uploads/ann/{name}", name.encode())
    (page,) = store.list_uploads("uploads")
    found = {one.object_key.removeprefix("uploads/ann/"): one for one in page.uploads}
    beside = {
        name: [each.object_key.removeprefix("uploads/ann/") for each in one.sidecars or ()]
        for name, one in found.items()
    }
    assert beside == {"a.mp4": ["a.mp4.options.yaml", "a.en.srt"], "b.mp3": [], "sub/a.mp4": [], "zoë.m4a": ["zoë.vtt"]}
    assert page.orphans == 1
    assert found["b.mp3"].sidecars_modified_at is None
    assert found["zoë.m4a"].sidecars_modified_at is not None
    for key, one in found.items():
        assert store.find_upload("uploads", f"uploads/ann/{key}") == one
    assert store.find_upload("uploads", "uploads/ann/a.mp3") is None
    assert store.find_upload("uploads", "uploads/ann/a.en.srt") is None, "a sidecar is no upload"


def test_sidecars_are_found_across_page_borders(store: ObjectStore, upload: Upload, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(object_store, "_ENTRIES_PER_PAGE", 2)
    for number in range(5):
        for suffix in (".en.srt", ".mp4", ".mp4.options.yaml"):
            upload(f"uploads/ann/{number}{suffix}", b"x")
    whole = {one.object_key: one for page in store.list_uploads("uploads") for one in page.uploads}
    assert {len(one.sidecars or ()) for one in whole.values()} == {2}
    after: str | None = None
    seen = {}
    while pages := list(islice(store.list_uploads("uploads", after=after), 1)):  # as a sensor that has no time
        seen |= {one.object_key: one for one in pages[0].uploads if one.sidecars is not None}
        after = pages[0].resume_after
    assert seen == whole


def test_a_sidecar_is_read_as_listed_and_no_further_than_asked(store: ObjectStore, upload: Upload):
    upload("uploads/ann/a.mp4", b"x")
    upload("uploads/ann/a.mp4.options.yaml", b"language: de")
    (sidecar,) = listed(store)[0].sidecars or ()
    assert store.read_sidecar(sidecar, max_bytes=100) == b"language: de"
    assert store.read_sidecar(sidecar, max_bytes=8) == b"language:"
    upload("uploads/ann/a.mp4.options.yaml", b"language: fr, or another")
    with pytest.raises(PipelineError) as changed:
        store.read_sidecar(sidecar, max_bytes=100)
    assert changed.value.code == ErrorCode.SOURCE_CHANGED
    store.delete(sidecar.object_key)
    with pytest.raises(PipelineError) as gone:
        store.read_sidecar(sidecar, max_bytes=100)
    assert gone.value.code == ErrorCode.SOURCE_GONE


def test_a_sidecar_swapped_for_a_link_is_not_read(folder_store: ObjectStore, folder: Path, tmp_path: Path):
    ann = folder / "uploads" / "ann"
    ann.mkdir(parents=True)
    (ann / "a.mp4").write_bytes(b"x")
    (ann / "a.mp4.options.yaml").write_bytes(b"language: de")
    (sidecar,) = listed(folder_store)[0].sidecars or ()
    (tmp_path / "secret").write_bytes(b"password: 123")
    (ann / "a.mp4.options.yaml").unlink()
    (ann / "a.mp4.options.yaml").symlink_to(tmp_path / "secret")
    assert listed(folder_store)[0].sidecars == ()
    with pytest.raises(PipelineError) as changed:
        folder_store.read_sidecar(sidecar, max_bytes=100)
    assert changed.value.code == ErrorCode.SOURCE_CHANGED


def test_an_empty_store_lists_nothing(store: ObjectStore):
    assert list(store.list_uploads("uploads")) == []


GOOD_NAMES = [
    "trailing space.wav ",
    " leading.wav",
    "a%2Fb.wav",
    "%41.wav",
    "what?.wav",
    "no #7.wav",
    "😀.wav",
    "caf\u00e9.wav",
    "cafe\u0301.wav",
    "\u202egnp.wav",
    "n" * 251 + ".wav",
    "-y.wav",
    "concat:x",
    "back\\slash.wav",
    "trailing.",
    "plus+amp&<lt>.wav",
]


def test_strange_names_are_listed_exactly_and_read_back(store: ObjectStore, upload: Upload, tmp_path: Path):
    for name in GOOD_NAMES:
        upload(f"uploads/ann/{name}", name.encode())
    found = listed(store)
    assert sorted(u.file_name for u in found) == sorted(GOOD_NAMES)
    for one in found:
        fetch(store, one, tmp_path / "input.bin")
        assert (tmp_path / "input.bin").read_bytes() == one.file_name.encode()
    assert len({u.partition_key for u in found}) == len(GOOD_NAMES)


def test_names_that_cannot_be_read_back_are_counted_and_break_nothing_in_a_folder(
    folder_store: ObjectStore, folder: Path
):
    ann = folder / "uploads" / "ann"
    ann.mkdir(parents=True)
    for name in (b"new\nline.wav", b"Icon\r", b"tab\t.wav", b"latin\xff.wav", b"take #2", b"del\x7f"):
        (ann / os.fsdecode(name)).write_bytes(b"x")
    (ann / "zebra.wav").write_bytes(b"x")
    (page,) = folder_store.list_uploads("uploads")
    assert [u.file_name for u in page.uploads] == ["zebra.wav"]
    assert page.refused == 6


def test_names_that_cannot_be_read_back_are_counted_and_break_nothing_on_s3(
    s3_store: ObjectStore, s3_client: Any, bucket: str
):
    names = ("tab\t.wav", "a//b.wav", "/abs.wav", "zebra.wav", "made by a console/")
    for name in names:
        s3_client.put_object(Bucket=bucket, Key=f"some/base/uploads/ann/{name}", Body=b"x")
    s3_client.put_object(Bucket=bucket, Key="some/base/uploads/ann/../../secret.wav", Body=b"x")
    (page,) = s3_store.list_uploads("uploads")
    assert [u.file_name for u in page.uploads] == ["zebra.wav"]
    assert page.refused == 3


def test_links_and_special_files_in_a_folder_are_refused(folder_store: ObjectStore, folder: Path, tmp_path: Path):
    ann = folder / "uploads" / "ann"
    ann.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.wav").write_bytes(b"secret")
    (ann / "file.wav").symlink_to(outside / "secret.wav")
    (ann / "folder").symlink_to(outside)
    (folder / "uploads" / "bob").symlink_to(outside)
    (ann / "broken.wav").symlink_to(tmp_path / "nowhere")
    os.mkfifo(ann / "pipe.wav")
    (page,) = folder_store.list_uploads("uploads")
    assert (page.uploads, page.refused) == ([], 5)


def test_a_file_swapped_for_a_link_after_the_listing_is_not_read(
    folder_store: ObjectStore, folder: Path, tmp_path: Path
):
    recording = folder / "uploads" / "ann" / "a.wav"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"harmless")
    (one,) = listed(folder_store)
    (tmp_path / "secret").write_bytes(b"secret!!")
    recording.unlink()
    recording.symlink_to(tmp_path / "secret")
    with pytest.raises(PipelineError) as error:
        fetch(folder_store, one, tmp_path / "input.bin")
    assert error.value.code == ErrorCode.SOURCE_CHANGED


def test_deep_folders_and_impossible_dates_do_not_break_a_listing(folder_store: ObjectStore, folder: Path):
    deep = folder / "uploads" / "ann"
    deep.mkdir(parents=True)
    for _ in range(1200):  # more than Python's recursion limit
        deep = deep / "d"
        deep.mkdir()
    (deep / "deep.wav").write_bytes(b"x")
    old = folder / "uploads" / "ann" / "old.wav"
    old.write_bytes(b"x")
    os.utime(old, (-10, -10))
    assert sorted(u.file_name for u in listed(folder_store)) == ["deep.wav", "old.wav"]
    subprocess.run(["rm", "-r", str(folder)], check=True)  # pytest's own clean-up would meet that limit


# --- fetching ---------------------------------------------------------------------------------------------------------


def test_fetch_copies_exactly_what_was_listed(store: ObjectStore, upload: Upload, tmp_path: Path):
    upload("uploads/ann/a.wav", RECORDING)
    (one,) = listed(store)
    progress: list[tuple[int, int]] = []
    fetched = fetch(store, one, tmp_path / "input.bin", on_progress=lambda *numbers: progress.append(numbers))
    assert (tmp_path / "input.bin").read_bytes() == RECORDING
    assert fetched == Fetched(len(RECORDING), hashlib.sha256(RECORDING).hexdigest(), one.etag, None)
    assert progress == [(16 * 1024**2, len(RECORDING)), (len(RECORDING), len(RECORDING))]


def test_an_empty_object_is_fetched_as_it_is(store: ObjectStore, upload: Upload, tmp_path: Path):
    upload("uploads/ann/a.wav", b"")
    assert fetch(store, listed(store)[0], tmp_path / "input.bin").size_bytes == 0


def fetch_error(store: ObjectStore, one: ListedUpload, destination: Path, **options: Any) -> ErrorCode:
    with pytest.raises(PipelineError) as error:
        fetch(store, one, destination, **options)
    assert not destination.exists(), "a failed fetch leaves nothing behind"
    assert str(destination) not in str(error.value)
    return error.value.code


def test_an_object_overwritten_before_the_fetch_is_noticed(store: ObjectStore, upload: Upload, tmp_path: Path):
    upload("uploads/ann/a.wav", b"first")
    (one,) = listed(store)
    upload("uploads/ann/a.wav", b"other")
    assert fetch_error(store, one, tmp_path / "input.bin") == ErrorCode.SOURCE_CHANGED


@pytest.mark.parametrize("after_bytes", [16 * 1024**2, len(RECORDING)], ids=["midway", "at the end"])
@pytest.mark.parametrize("change", [RECORDING[::-1], b"short"], ids=["same size", "truncated"])
def test_an_object_overwritten_during_the_fetch_is_noticed(
    store: ObjectStore, upload: Upload, tmp_path: Path, after_bytes: int, change: bytes
):
    upload("uploads/ann/a.wav", RECORDING)
    (one,) = listed(store)

    def overwrite(received: int, _: int) -> None:
        if received == after_bytes:
            upload("uploads/ann/a.wav", change)

    assert fetch_error(store, one, tmp_path / "input.bin", on_progress=overwrite) == ErrorCode.SOURCE_CHANGED


def test_a_deleted_object_is_gone(store: ObjectStore, upload: Upload, tmp_path: Path):
    upload("uploads/ann/a.wav", b"audio")
    (one,) = listed(store)
    store.delete(one.object_key)
    assert fetch_error(store, one, tmp_path / "input.bin") == ErrorCode.SOURCE_GONE


def test_a_file_above_the_limit_is_not_read(store: ObjectStore, upload: Upload, tmp_path: Path):
    upload("uploads/ann/a.wav", b"12345")
    assert fetch_error(store, listed(store)[0], tmp_path / "input.bin", max_bytes=4) == ErrorCode.TOO_LARGE


def test_an_error_of_the_progress_callback_passes_through(store: ObjectStore, upload: Upload, tmp_path: Path):
    upload("uploads/ann/a.wav", b"audio")

    def fail(received: int, total: int) -> None:
        raise ValueError("not the store's fault")

    with pytest.raises(ValueError, match="not the store's fault"):
        fetch(store, listed(store)[0], tmp_path / "input.bin", on_progress=fail)
    assert not (tmp_path / "input.bin").exists()


@pytest.mark.parametrize("key", ["../outside", "uploads/../../outside", "uploads//ann", "uploads/./ann", ".."])
def test_no_key_leads_outside(store: ObjectStore, tmp_path: Path, key: str):
    (tmp_path / "outside").write_bytes(b"secret")
    with pytest.raises(PipelineError) as error:
        store.fetch(key, '"x"', tmp_path / "input.bin", max_bytes=LIMIT)
    assert error.value.code == ErrorCode.SOURCE_GONE
    with pytest.raises(FileNotFoundError):
        store.get_bytes(key)
    with pytest.raises(FileNotFoundError):
        store.put_bytes(key, b"overwritten")
    with pytest.raises(ValueError, match="not a folder"):
        store.delete_prefix(key)
    with pytest.raises(ValueError, match="not a folder"):
        list(store.list_uploads(key))
    assert (tmp_path / "outside").read_bytes() == b"secret"


# --- faults of the network --------------------------------------------------------------------------------------------


@pytest.fixture
def on_s3(s3_store: ObjectStore, s3_proxy: FaultProxy) -> ListedUpload:
    s3_store.put_bytes("uploads/ann/a.wav", RECORDING)
    return listed(s3_store)[0]


def test_a_cut_connection_is_continued_where_it_broke(
    s3_store: ObjectStore, s3_proxy: FaultProxy, on_s3: ListedUpload, tmp_path: Path
):
    s3_proxy.faults.append(Fault(cut_after=3_000_000))
    fetched = fetch(s3_store, on_s3, tmp_path / "input.bin")
    assert fetched.sha256 == hashlib.sha256(RECORDING).hexdigest()
    assert s3_proxy.ranges == ["bytes=0-16777215", "bytes=3000000-16777215", "bytes=16777216-19999999"]


def test_an_object_replaced_while_the_connection_was_cut_is_noticed(
    s3_store: ObjectStore, s3_proxy: FaultProxy, on_s3: ListedUpload, tmp_path: Path
):
    replace = Fault(cut_after=3_000_000, meanwhile=lambda: s3_store.put_bytes(on_s3.object_key, RECORDING[::-1]))
    s3_proxy.faults.append(replace)
    assert fetch_error(s3_store, on_s3, tmp_path / "input.bin") == ErrorCode.SOURCE_CHANGED


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_asked_again(
    s3_store: ObjectStore, s3_proxy: FaultProxy, on_s3: ListedUpload, tmp_path: Path, status: int
):
    s3_proxy.faults.extend([Fault(status=status)] * 2)
    assert fetch(s3_store, on_s3, tmp_path / "input.bin").size_bytes == len(RECORDING)


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, ErrorCode.STORE_DENIED), (401, ErrorCode.STORE_DENIED), (404, ErrorCode.SOURCE_GONE)],
)
def test_a_refusal_is_not_retried(
    s3_store: ObjectStore, s3_proxy: FaultProxy, on_s3: ListedUpload, tmp_path: Path, status: int, code: ErrorCode
):
    s3_proxy.faults.append(Fault(status=status))
    assert fetch_error(s3_store, on_s3, tmp_path / "input.bin") == code
    assert len(s3_proxy.ranges) == 1


def test_a_store_that_stays_down_is_unavailable(
    s3_store: ObjectStore, s3_proxy: FaultProxy, on_s3: ListedUpload, tmp_path: Path
):
    s3_proxy.faults.extend([Fault(status=503)] * 20)
    assert fetch_error(s3_store, on_s3, tmp_path / "input.bin") == ErrorCode.STORE_UNAVAILABLE
    assert len(s3_proxy.ranges) == 7, "once, and six retries"


def test_a_byte_that_was_altered_on_its_way_is_noticed(s3_store: ObjectStore, s3_proxy: FaultProxy, tmp_path: Path):
    """Possible only without TLS. A byte that is another one again and again may also be an etag that is no MD5."""
    s3_store.put_bytes("uploads/ann/small.wav", RECORDING[:100_000])
    (small,) = listed(s3_store)
    s3_proxy.faults.append(Fault(alter=5_000))
    fetched = fetch(s3_store, small, tmp_path / "input.bin")
    assert fetched.sha256 == hashlib.sha256((tmp_path / "input.bin").read_bytes()).hexdigest()
    assert (tmp_path / "input.bin").read_bytes() == RECORDING[:100_000]
    s3_proxy.faults.extend([Fault(alter=5_000), Fault(alter=6_000)])
    assert fetch_error(s3_store, small, tmp_path / "input.bin") == ErrorCode.STORE_UNAVAILABLE
    s3_proxy.faults.extend([Fault(alter=5_000), Fault(alter=5_000)])
    assert fetch(s3_store, small, tmp_path / "input.bin").size_bytes == 100_000


def test_a_bucket_that_does_not_exist_is_unavailable(s3_proxy: FaultProxy):
    with pytest.raises(PipelineError) as error:
        list(open_store("s3://no-such-bucket-here").list_uploads("uploads"))
    assert error.value.code == ErrorCode.STORE_UNAVAILABLE


# --- our own objects --------------------------------------------------------------------------------------------------


def test_objects_are_written_read_listed_and_deleted(store: ObjectStore, tmp_path: Path):
    (tmp_path / "large").write_bytes(RECORDING)
    store.put_bytes("results/a/1.txt", b"one")
    store.put_bytes("results/a/1.txt", b"two")
    store.put_file("results/a/large.flac", tmp_path / "large")
    store.put_bytes("results/ab/other.txt", b"kept")
    assert store.get_bytes("results/a/1.txt") == b"two"
    assert store.get_bytes("results/a/large.flac") == RECORDING
    assert list(store.list_keys("results/a")) == ["results/a/1.txt", "results/a/large.flac"]
    assert store.exists("results/a/1.txt")
    store.delete("results/a/1.txt")
    store.delete("results/a/1.txt")
    assert not store.exists("results/a/1.txt")
    store.delete_prefix("results/a")
    store.delete_prefix("results/a")
    assert list(store.list_keys("results")) == ["results/ab/other.txt"]
    with pytest.raises(FileNotFoundError):
        store.get_bytes("results/a/1.txt")


def test_urls_are_for_people(s3_store: ObjectStore, folder_store: ObjectStore, bucket: str, folder: Path):
    assert s3_store.url("results/a.txt") == f"s3://{bucket}/some/base/results/a.txt"
    folder_store.put_bytes("results/a.txt", b"x")
    assert Path(folder_store.url("results/a.txt")).read_bytes() == b"x"


def test_a_folder_may_be_named_by_path_and_hold_spaces(tmp_path: Path):
    for url in (str(tmp_path / "my store"), (tmp_path / "my store").as_uri()):
        open_store(url).put_bytes("a/b.txt", b"x")
    assert (tmp_path / "my store" / "a" / "b.txt").exists()


@pytest.mark.parametrize("url", ["http://example.org/x", "s3:///no-bucket", "ftp://x", "memory://"])
def test_a_url_that_names_no_store_is_a_configuration_error(url: str):
    with pytest.raises(PipelineError) as error:
        open_store(url)
    assert error.value.code == ErrorCode.CONFIGURATION


@pytest.fixture
def full_disk(tmp_path: Path) -> Any:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_apart(full_disk: Path, folder_store: ObjectStore, tmp_path: Path):
    small = open_store((full_disk / "store").as_uri())
    (tmp_path / "large").write_bytes(RECORDING)
    for write in (lambda: small.put_bytes("a/b", RECORDING), lambda: small.put_file("a/b", tmp_path / "large")):
        with pytest.raises(PipelineError) as error:
            write()
        assert error.value.code == ErrorCode.DISK_FULL
    folder_store.put_bytes("uploads/ann/a.wav", RECORDING)
    assert fetch_error(folder_store, listed(folder_store)[0], full_disk / "input.bin") == ErrorCode.DISK_FULL


def test_assets_are_given_the_plain_store(folder: Path):
    @dg.asset
    def greeting(store: dg.ResourceParam[ObjectStore]) -> None:
        store.put_bytes("results/greeting.txt", b"hello")

    assert dg.materialize([greeting], resources={"store": ObjectStoreResource(url=folder.as_uri())}).success
    assert (folder / "results" / "greeting.txt").read_bytes() == b"hello"


def test_a_signed_address_is_read_by_anybody(s3_store: ObjectStore, folder_store: ObjectStore):
    s3_store.put_bytes("uploads/ann/talk 1.mp3", b"sound")
    address = s3_store.signed_url("uploads/ann/talk 1.mp3", timedelta(minutes=5))
    assert address
    with urlopen(address) as answer:  # an address of the test's own server
        assert answer.read() == b"sound"
    assert "X-Amz-Expires=300" in address
    assert folder_store.signed_url("uploads/ann/talk 1.mp3", timedelta(minutes=5)) is None


# --- moving, and what was begun -------------------------------------------------------------------------------------


def test_of_two_creators_one_succeeds(store: ObjectStore):
    assert store.create_bytes("claims/a", b"first")
    assert not store.create_bytes("claims/a", b"second")
    assert store.get_bytes("claims/a") == b"first"


def test_a_move_takes_exactly_what_was_listed(store: ObjectStore):
    store.put_bytes("a/x", b"listed")
    etag = store.describe("a/x")[1]
    assert store.move("a/x", "b/a/x", etag)
    assert (store.get_bytes("b/a/x"), store.exists("a/x")) == (b"listed", False)
    assert not store.move("a/x", "b/a/x", etag), "it is gone"

    store.put_bytes("a/x", b"another by now")
    assert not store.move("a/x", "c/x", etag)
    assert not store.move("b/a/x", "a/x", etag), "it does not replace"
    assert (store.get_bytes("a/x"), store.get_bytes("b/a/x")) == (b"another by now", b"listed")
    assert store.move("b/a/x", "a/x", etag, replace=True)
    assert (store.get_bytes("a/x"), store.exists("b/a/x")) == (b"listed", False)


def test_empty_folders_go_and_others_stay(folder_store: ObjectStore, folder: Path):
    folder_store.put_bytes("a/kept/x", b"x")
    (folder / "a/empty/inner").mkdir(parents=True)
    folder_store.drop_empty_folders("a")
    assert sorted(path.name for path in folder.rglob("*")) == ["a", "kept", "x"]


def test_an_unfinished_write_is_found_and_abandoned(s3_store: ObjectStore, s3_client: Any, bucket: str):
    begun = s3_client.create_multipart_upload(Bucket=bucket, Key="some/base/uploads/ann/a.wav")
    part = {"Bucket": bucket, "Key": begun["Key"], "UploadId": begun["UploadId"], "PartNumber": 1}
    s3_client.upload_part(**part, Body=b"x" * 5_000)
    (write,) = s3_store.unfinished("uploads")
    assert (write.key, write.upload_id, write.size_bytes) == ("uploads/ann/a.wav", begun["UploadId"], 5_000)
    s3_store.abandon(write)
    s3_store.abandon(write)
    assert not list(s3_store.unfinished("uploads"))


def test_what_a_writer_left_in_a_folder_is_found_and_abandoned(folder_store: ObjectStore, folder: Path):
    folder_store.put_bytes("a/x", b"finished")
    (folder / "a/y#1").write_bytes(b"begun")
    (write,) = folder_store.unfinished("a")
    assert (write.key, write.size_bytes) == ("a/y#1", 5)
    folder_store.abandon(write)
    folder_store.abandon(write._replace(key="a/x"))
    assert [path.name for path in (folder / "a").iterdir()] == ["x"]
