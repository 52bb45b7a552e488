"""The published table: the latest result of every test of a fault, kept as JSON lines and shown by row.

What belongs here: keeping results and rendering them. What does not: rows (`matrix`), and collecting (`conftest`).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.matrix import ROWS

_HEAD = """# What the pipeline survives

Written by `make faults`: every row is a way in which the world goes wrong, injected for real into real processes,
databases and servers, by tests in `tests/faults/` (and those named beside a row). After each fault they look for
files lost, work done twice, runs that nobody works on, leftovers (processes, scratch, pool slots, connections), and
errors that people could not understand. Seconds include setting up an installation to break.

"""


@dataclass(frozen=True, order=True)
class Result:
    """What became of one test, the last time it ran."""

    test: str
    rows: tuple[int, ...]
    outcome: str
    """passed, failed or skipped."""
    seconds: float
    checks: int
    """How often an invariant was looked at."""
    date: str


def read(path: Path) -> list[Result]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [Result(**entry | {"rows": tuple(entry["rows"])}) for entry in map(json.loads, lines)]


def merge(before: Iterable[Result], now: Iterable[Result], known: Iterable[str] | None = None) -> list[Result]:
    """The latest of each test; with `known`, tests that there are no more are left out."""
    latest = {result.test: result for result in before} | {result.test: result for result in now}
    keep = set(latest if known is None else known) | {result.test for result in now}
    return sorted(result for result in latest.values() if result.test in keep)


def publish(path: Path, now: Iterable[Result]) -> None:
    """Write the table, and beside it the results that it was made from (`.jsonl`)."""
    kept = path.with_suffix(".jsonl")
    results = merge(read(kept), now)
    kept.write_text("".join(json.dumps(asdict(result)) + "\n" for result in results))
    path.write_text(render(results))


def render(results: Iterable[Result]) -> str:
    results = list(results)
    by_row = {number: [result for result in results if number in result.rows] for number in ROWS}
    proven = [number for number, of_row in by_row.items() if of_row and _verdict(of_row) == "survived"]
    tests = {result.test: result for result in results}
    failed = sum(result.outcome == "failed" for result in tests.values())
    summary = (
        f"{len(proven)} of {len(ROWS)} rows survived; {len(tests)} tests ({failed} failed),"
        f" {sum(result.checks for result in tests.values())} looks at invariants,"
        f" {sum(result.seconds for result in tests.values()):.0f} s.\n"
    )
    header = ["#", "fault", "injected", "what must come of it", "result", "tests", "seconds", "date"]
    lines = [header, ["---:", "---", "---", "---", "---", "---:", "---:", "---"]]
    lines += [_line(number, of_row) for number, of_row in by_row.items()]
    return _HEAD + summary + "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _line(number: int, results: list[Result]) -> list[str]:
    row = ROWS[number]
    if row.absent:
        return [str(number), row.fault, "", row.absent, "not here", "", "", ""]
    seconds = sum(result.seconds for result in results)
    return [
        str(number),
        row.fault,
        row.injected,
        row.expected,
        _verdict(results),
        str(len(results)),
        f"{seconds:.1f}",
        max((result.date for result in results), default=""),
    ]


def _verdict(results: list[Result]) -> str:
    outcomes = {result.outcome for result in results}
    if not results:
        return "not run"
    if "failed" in outcomes:
        return "**failed**"
    return "survived" if "passed" in outcomes else "skipped"
