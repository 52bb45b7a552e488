"""The suite itself: its invariants hold where nothing is wrong, and do not where something is; its table is right."""

from pathlib import Path

import pytest

from tests.e2e.deployment import ROOT
from tests.faults import invariants, matrix, table
from tests.faults.harness import Site


def test_a_site_without_faults_is_sound(site: Site, recording: Path, golden: invariants.Result) -> None:
    keys = [site.drop(recording, "bob", name) for name in ("one.wav", "Another name.wav")]
    site.work()
    invariants.assert_sound(site, golden=golden, completed=keys)


def test_what_is_wrong_is_seen(site: Site, recording: Path) -> None:
    key = site.drop(recording, "bob", "one.wav")
    with pytest.raises(AssertionError, match="lost"):
        invariants.nothing_is_lost(site)
    with site.speech.held(), site.worker(key):
        site.speech.wait_until_asked()
        with pytest.raises(AssertionError, match="transcription"):
            invariants.no_zombies(site)
        found = invariants.leaks(site)
        assert [leak for leak in found if leak.startswith("process")]
        assert [leak for leak in found if leak.startswith("slot")]


def test_the_table_tells_the_latest_of_every_row() -> None:
    def ran(test: str, rows: tuple[int, ...], outcome: str, date: str) -> table.Result:
        return table.Result(test, rows, outcome, 2.5, 3, date)

    before = [ran("a", (1, 2), "failed", "2026-01-01"), ran("b", (2,), "passed", "2026-01-01")]
    merged = table.merge(before, [ran("a", (1, 2), "passed", "2026-01-02"), ran("c", (3,), "failed", "2026-01-02")])
    shown = table.render(merged)
    lines = {line.split(" | ")[0].strip("| "): line for line in shown.splitlines() if line.startswith("| ")}
    assert lines["2"].endswith("| survived | 2 | 5.0 | 2026-01-02 |")
    assert "| **failed** | 1 | 2.5 |" in lines["3"]
    assert "| not run | 0 |" in lines["4"]
    assert "| not here |" in lines["43"]
    assert "2 of 48 rows survived; 3 tests (1 failed), 9 looks at invariants, 8 s." in shown


def test_what_the_matrix_names_is_there() -> None:
    assert list(matrix.ROWS) == list(range(1, 49))
    for known in {known for row in matrix.ROWS.values() for known in row.also}:
        path, _, function = known.partition("::")
        assert f"def {function}" in (ROOT / path).read_text(), known
    assert matrix.rows_of("tests/language_models/test_misbehaviour.py::test_x[429]") == (23, 24, 25, 26)
    assert matrix.rows_of("tests/resources/test_object_store.py::test_a_deleted_object_is_gone[s3]") == (11,)
    assert matrix.rows_of("tests/resources/test_object_store.py::test_links") == ()
