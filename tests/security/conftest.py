"""One installation behind the reverse proxy for all tests of this package: its servers take seconds to start."""

from collections.abc import Iterator

import pytest

from tests.security.dagster_site import Site, dagster_site


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with dagster_site(tmp_path_factory.mktemp("behind-proxy")) as started:
        yield started
