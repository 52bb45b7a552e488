"""Whole-pipeline fixtures. Everything in this folder is marked e2e."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deployment import Home, daemon


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def two_speakers() -> Path:
    """A telephone call of 30 s, 2 speakers; pyannote.audio's wheel carries it with its RTTM and STM."""
    spec = importlib.util.find_spec("pyannote.audio")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent / "sample" / "sample.wav"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The embedded set-up with its daemon running."""
    home = Home(tmp_path_factory.mktemp("home"))
    with daemon(home):
        yield home
