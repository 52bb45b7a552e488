"""Fixtures of the search backends' tests."""

from collections.abc import Iterator

import pytest

from tests.servers.opensearch import opensearch_server


@pytest.fixture(scope="session")
def opensearch_url() -> Iterator[str]:
    """URL of a real OpenSearch node."""
    with opensearch_server() as url:
        yield url
