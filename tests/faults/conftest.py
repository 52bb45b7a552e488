"""Everything in this folder is marked `faults`; what each test is about is told by its rows, and its result kept.

pytest tests/faults -m "not nightly"                            what `make test` runs of it
make faults                                                     all of it, and publishes the table
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.e2e.conftest import two_speakers  # noqa: F401  # a fixture
from tests.faults import invariants, matrix, table
from tests.faults.harness import Site, Speech, new_database, quick_speech

# --- rows and results -----------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fault-table", metavar="PATH", help="publish results to this Markdown file, and beside it as .jsonl"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(*numbers): rows of the fault matrix that a test proves")
    config.pluginmanager.register(_Recorder())
    if config.getoption("fault_table", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(config))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))
        elif rows := matrix.rows_of(item.nodeid):
            item.add_marker(pytest.mark.row(*rows))
        else:
            continue
        item.add_marker(pytest.mark.faults)


class _Recorder:
    """Puts a test's rows and checks into its reports. Not hooks of this file: those would miss the tests elsewhere."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        rows = sorted({number for mark in item.iter_markers("row") for number in mark.args})
        if rows:
            report.user_properties = [("rows", rows), ("checks", invariants.CHECKS)]
        if call.when == "teardown":
            invariants.CHECKS = 0
        return report


class _Collector:
    """Of the process that writes the table: it hears of every test, whichever worker ran it."""

    def __init__(self, config: pytest.Config) -> None:
        self._path = Path(config.getoption("fault_table"))
        self._results: dict[str, table.Result] = {}
        self._ended: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties)
        if not told.get("rows"):
            return
        if report.when == "teardown":
            self._ended.add(report.nodeid)
        before = self._results.get(report.nodeid)
        outcomes = {report.outcome, before.outcome if before else report.outcome}
        self._results[report.nodeid] = table.Result(
            test=report.nodeid,
            rows=tuple(told["rows"]),
            outcome=next(outcome for outcome in ("failed", "skipped", "passed") if outcome in outcomes),
            seconds=round(report.duration + (before.seconds if before else 0.0), 1),
            checks=told["checks"],
            date=f"{datetime.now(UTC):%Y-%m-%d}",
        )

    def pytest_sessionfinish(self) -> None:
        # A suite that is interrupted says nothing of the tests that it interrupted.
        table.publish(self._path, [result for test, result in self._results.items() if test in self._ended])


# --- sites ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def speech() -> Iterator[Speech]:
    with quick_speech() as service:
        yield service


@pytest.fixture(scope="session")
def recording(two_speakers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """Two seconds of a telephone call."""
    samples, rate = soundfile.read(two_speakers, start=7 * 16_000, frames=2 * 16_000, dtype="int16")
    path = tmp_path_factory.mktemp("recordings") / "call.wav"
    soundfile.write(path, samples, rate)
    return path


@pytest.fixture
def site(tmp_path: Path, speech: Speech) -> Iterator[Site]:
    """An installation on SQLite."""
    made = Site(tmp_path / "site", speech)
    yield made
    made.close()


@pytest.fixture
def postgres_site(tmp_path: Path, speech: Speech, postgres_url: str) -> Iterator[Site]:
    """An installation whose ledger is a PostgreSQL database."""
    made = Site(tmp_path / "site", speech, TRANSCRIBE_DATABASE_URL=new_database(postgres_url))
    yield made
    made.close()


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory, speech: Speech, recording: Path) -> invariants.Result:
    """What `recording` comes to when nothing happens to it."""
    quiet = Site(tmp_path_factory.mktemp("golden") / "site", speech)
    key = quiet.drop(recording, "ann")
    quiet.work(key)
    result = invariants.result_of(quiet, key)
    assert (result["status"], len(result["published"])) == ("completed", 6), result
    quiet.close()
    return result
