"""What people call their files is data, never a path, an argument or a key: rows 38 and 39."""

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from tests.e2e.deployment import ROOT
from tests.faults.harness import Speech, row
from tests.faults.pipeline import Pipeline, assert_sound, pipeline
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.partitions import partition_key

NFC, NFD = unicodedata.normalize("NFC", "Café.wav"), unicodedata.normalize("NFD", "Café.wav")
STRANGE = [
    NFC,
    NFD,
    "-y.wav",
    "a%2Fb.wav ",
    "concat:\u202egnp.😀 $(touch owned); `touch owned` | touch owned <img src=x onerror=alert(1)>.",
]
"""Names that every store takes."""
UNUSABLE = [
    b"new\nline.wav",
    b"tab\t.wav",
    b"Icon\r",
    b"bell\x07.wav",
    b"latin\xff.wav",
    b"half a pair\xed\xa0\x80.wav",
]
"""Names in a folder that cannot be read back through an object store's interface: left out, and counted."""


@pytest.fixture
def on_s3(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Speech
) -> Iterator[tuple[Pipeline, Callable[[], list[str]]]]:
    """An installation whose store is a bucket, and what tells all the keys in it."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    client, bucket = boto3.client("s3", region_name="us-east-1", endpoint_url=s3_endpoint), f"names-{uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    with pipeline(tmp_path / "home", monkeypatch, speech, store_url=f"s3://{bucket}") as found:
        found.put_object = lambda key, data: client.put_object(Bucket=bucket, Key=key, Body=data)
        yield found, lambda: [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]]


def assert_kept(found: Pipeline, names: dict[str, str]) -> None:
    """Each file, by its key, has its name exactly, and nothing that was made of it is called so."""
    assert len(names) == len(set(names.values())), "two names are one partition"
    for name, key in names.items():
        file = found.file(key)
        owner, _, path = name.partition("/")
        assert (file.status, file.error_text) == (Status.COMPLETED, None)
        assert (file.owner, file.file_name) == (owner, path.rpartition("/")[2])
        assert file.object_key == f"uploads/{name}"
        assert re.fullmatch(r"[a-z0-9-]{1,61}", key)
        assert key == partition_key(f"uploads/{name}")
        made = found.results_of(key)
        assert "transcript.html" in {path.rpartition("/")[2] for path in made}
        for path in made:
            assert re.fullmatch(r"[a-z0-9._-]+", path.removeprefix(f"results/{owner}/{key}/")), path
    assert_sound(found)


def paths(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@row(38)
def test_strange_names_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Speech) -> None:
    with pipeline(tmp_path / "home", monkeypatch, speech) as found:
        outside = paths(tmp_path)
        deep = "/".join(["d" * 250] * 4)[: 1_024 - len("uploads/-o/.wav")] + ".wav"
        names = {name: found.put(name) for name in [*(f"ann/{name}" for name in STRANGE), f"-o/{deep}"]}
        for name in UNUSABLE:
            (tmp_path / "home/store/uploads/ann" / os.fsdecode(name)).write_bytes(b"RIFF")
        listing = found.tick()
        assert (listing.seen, listing.refused) == (len(names), len(UNUSABLE))
        assert_kept(found, names)
        assert {path for path in paths(tmp_path) - outside if not path.startswith("home")} == set(), "written outside"
        assert not any("owned" in path for path in paths(tmp_path) if "touch" not in path)
        shown = people_see(tmp_path / "home")
        assert {file["file_name"] for file in shown} == {name.rpartition("/")[2] for name in names}


def people_see(home: Path) -> list[dict[str, Any]]:
    """The files as the command line lists them, which must not put control characters onto a terminal."""
    command = [sys.executable, "-m", "transcribe_pipeline.cli", "ls"]
    environment = os.environ | {"TRANSCRIBE_HOME": str(home)}
    table = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", table)
    lines = subprocess.run([*command, "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return list(json.loads(lines.stdout))


@row(38, 39)
def test_strange_names_on_s3(on_s3: tuple[Pipeline, Callable[[], list[str]]]) -> None:
    """As long as S3 allows, and keys that lead outside where a key is taken for a path."""
    found, keys = on_s3
    long = "n" * (1_024 - len("uploads/ann/.wav")) + ".wav"
    names = {name: found.put(name) for name in ("ann/" + long, "ann/x..\\..\\..\\x.wav", "ann/%2e%2e%2fx.wav")}
    hidden = ["ann/../../x.wav", "../secret.wav", "ann/./x.wav", "ann/.."]
    refused = ["ann//etc/passwd", "ann/\x07bell.wav", "ann/new\tline.wav"]
    for name in (*hidden, *refused):
        found.put(name)
    listing = found.tick()
    assert (listing.seen, listing.refused, listing.misplaced) == (len(names), len(refused), 0)
    assert_kept(found, names)
    ours = {key for key in keys() if not key.startswith("uploads/")}
    assert ours
    assert all(re.match(r"(results/ann|artifacts)/[a-z0-9-]+/", key) for key in ours)
    with pytest.raises(FileNotFoundError):
        found.world.store.get_bytes("../secret.wav")


@row(39)
def test_names_that_lead_outside_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Speech) -> None:
    """A folder has no such names, but it has links; and a key that somebody asks for never leaves the store."""
    (tmp_path / "secret.wav").write_bytes(b"secret")
    with pipeline(tmp_path / "home", monkeypatch, speech) as found:
        uploads = tmp_path / "home/store/uploads"
        (uploads / "ann").mkdir(parents=True)
        (uploads / "ann/link.wav").symlink_to(tmp_path / "secret.wav")
        (uploads / "bob").symlink_to(tmp_path)
        listing = found.tick()
        assert (listing.seen, listing.refused + listing.misplaced) == (0, 2)
        for key in ("../../../secret.wav", str(tmp_path / "secret.wav"), "uploads/../../../secret.wav", "..\\secret"):
            with pytest.raises(FileNotFoundError):
                found.world.store.get_bytes(key)
        for prefix in ("", "..", "../..", "/", "uploads/../..", "results//"):
            with pytest.raises(ValueError, match="not a folder"):
                found.world.store.delete_prefix(prefix)
        assert (tmp_path / "secret.wav").read_bytes() == b"secret"
        assert_sound(found)
