"""One store of each kind that runs here: a folder, and S3 over HTTP."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.servers.proxy import FaultProxy, fault_proxy
from transcribe_pipeline.resources.object_store import ObjectStore, open_store


@pytest.fixture
def s3_proxy(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The S3 server behind a proxy that can break its answers; the environment points at it."""
    with fault_proxy(s3_endpoint) as proxy:
        for name, value in {
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def s3_client(s3_proxy: FaultProxy, s3_endpoint: str) -> Any:
    """The way past the proxy, for what people do to the bucket."""
    return boto3.client("s3", region_name="us-east-1", endpoint_url=s3_endpoint)


@pytest.fixture
def bucket(s3_client: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_store(bucket: str) -> ObjectStore:
    return open_store(f"s3://{bucket}/some/base")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def folder_store(folder: Path) -> ObjectStore:
    return open_store(folder.as_uri())


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    return request.getfixturevalue(f"{request.param}_store")


Upload = Callable[[str, bytes], None]


@pytest.fixture
def upload(store: ObjectStore, request: pytest.FixtureRequest) -> Upload:
    """Puts a file into the store the way a person does: not through our own code."""
    if store.url("x").startswith("/"):
        root = request.getfixturevalue("folder")

        def put(key: str, data: bytes) -> None:
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(data)

        return put
    client, bucket = request.getfixturevalue("s3_client"), request.getfixturevalue("bucket")
    return lambda key, data: client.put_object(Bucket=bucket, Key=f"some/base/{key}", Body=data)
