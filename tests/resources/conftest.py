"""One store of each kind that runs here: a folder, and S3 over HTTP."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from tests.ledger.conftest import create_database, empty
from tests.resources.installations import Installation
from tests.servers.proxy import FaultProxy, fault_proxy
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.search.embedded import EmbeddedIndex
from transcribe_pipeline.settings import Settings


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


# --- whole installations --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path.read_bytes()


@pytest.fixture(scope="session")
def postgres_ledger_url(postgres_url: str) -> str:
    url = create_database(postgres_url, "forgetting")
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def dagster_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dagster")


@pytest.fixture(scope="session")
def dagster_instance(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    """Made once: its databases take seconds."""
    with dg.DagsterInstance.local_temp(str(dagster_home)) as instance:
        yield instance


@pytest.fixture
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, dagster_instance: dg.DagsterInstance
) -> Iterator[Installation]:
    kind = getattr(request, "param", "folder")
    if kind == "folder":
        (tmp_path / "ledger.db").write_bytes(request.getfixturevalue("empty_ledger"))
        ledger = connect(f"sqlite:///{tmp_path}/ledger.db")
    else:
        ledger = connect(request.getfixturevalue("postgres_ledger_url"))
        empty(ledger)
    dagster_instance.wipe()
    yield Installation(
        Settings(home=tmp_path),
        ledger,
        request.getfixturevalue(f"{kind}_store"),
        dagster_instance,
        EmbeddedIndex(tmp_path / "search.db"),
        request.getfixturevalue(f"put_{kind}"),
    )
    ledger.dispose()


@pytest.fixture
def put_folder(folder: Path) -> Callable[[str, bytes], None]:
    def put(key: str, data: bytes) -> None:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)

    return put


@pytest.fixture
def put_s3(s3_client: Any, bucket: str) -> Callable[[str, bytes], None]:
    return lambda key, data: s3_client.put_object(Bucket=bucket, Key=f"some/base/{key}", Body=data)
