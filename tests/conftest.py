"""Fixtures every test may use. Servers are real and start once per session (`tests/servers/`)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.language_model import smollm2_server
from tests.servers.postgres import postgres_server
from tests.servers.s3 import s3_server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--nightly", action="store_true", help="also what takes too long for every change")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("nightly"):
        return
    left_out = [item for item in items if item.get_closest_marker("nightly")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("nightly")]


@pytest.fixture(scope="session")
def testdata() -> Path:
    """Folder of real recordings with ground truth, named by TRANSCRIBE_TESTDATA; tests that need it skip without."""
    folder = os.environ.get("TRANSCRIBE_TESTDATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TRANSCRIBE_TESTDATA does not name the folder of test recordings")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL (postgresql+psycopg2://) of the maintenance database of a real PostgreSQL server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """URL of a real HTTP S3 server."""
    with s3_server() as url:
        yield url


@pytest.fixture(scope="session")
def smollm2() -> Iterator[str]:
    """Address (`http://127.0.0.1:PORT/v1`) of a real language model, small and local."""
    with smollm2_server() as url:
        yield url
