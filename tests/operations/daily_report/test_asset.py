"""The asset as Dagster runs it, for one day and for a range; and which days are still to be made."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.operations.daily_report.activity import DAY, End, File, Run, Version, at, record
from tests.world import World, embedded_world
from transcribe_pipeline.assets.operations.daily_report import daily_report
from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.operations.daily_report.collecting import daily_report as report_of
from transcribe_pipeline.operations.daily_report.filing import FIRST_DAY, missing_days

KEY = dg.AssetKey("daily_report")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch) as made:
        yield made


def materialise(world: World, **where: object) -> dg.ExecuteInProcessResult:
    resources = {"store": world.store, "ledger": world.ledger}
    return dg.materialize(
        [daily_report],
        instance=world.instance,
        resources=resources,
        raise_on_error=False,
        **where,  # type: ignore[arg-type]
    )


def numbers(world: World, day: date) -> dict[str, object]:
    """Of the latest materialisation of a day."""
    record = world.instance.get_latest_data_version_record(KEY, partition_key=day.isoformat())
    assert record
    assert record.asset_materialization
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_a_day_in_the_ui_and_in_the_store(world: World):
    record(world.ledger, [File("ann", 1, runs=[Run("upload", 1.5, 10)], versions=[Version(3)], ends=[End(3)])])
    assert materialise(world, partition_key=DAY.isoformat()).success
    told = numbers(world, DAY)
    assert (told["received"], told["completed"], told["audio_hours"], told["queue_wait_median"]) == (1, 1, 0.1667, 1800)
    assert "cost_usd" not in told
    assert str(told["report"]).startswith("# 2026-05-04 (UTC)")
    assert str(told["picture"]).startswith("![1 files ended")
    folder = world.home / "store/artifacts/operations/daily"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"2026-05-04.{kind}" for kind in ("csv", "json", "md", "png")
    ]
    assert told["dagster/uri"] == str(folder / "2026-05-04.md")


def test_what_is_kept_names_no_file(world: World):
    record(world.ledger, [File("ann", 1, runs=[Run("upload", 1.5, 10)], key="zorblax-wav-0123")])
    assert report_of(world.ledger, DAY).total.slowest[0].partition_key == "zorblax-wav-0123"
    materialise(world, partition_key=DAY.isoformat())
    kept = [path.read_bytes() for path in (world.home / "store/artifacts/operations/daily").iterdir()]
    assert len(kept) == 4
    assert not [content for content in kept if b"zorblax" in content]
    assert "zorblax" not in str(numbers(world, DAY))


def test_a_range_is_one_run_with_figures_for_each_of_its_days(world: World):
    record(world.ledger, [File("ann", 1), File("ann", 25), File("bob", 26)])
    tags = {"dagster/asset_partition_range_start": "2026-05-04", "dagster/asset_partition_range_end": "2026-05-06"}
    result = materialise(world, tags=tags)
    assert result.success
    assert [numbers(world, DAY + timedelta(days=number))["received"] for number in range(3)] == [1, 2, 0]
    assert len(world.instance.get_runs()) == 1


def test_a_report_made_again_is_the_same_bytes(world: World):
    record(world.ledger, [File("ann", 1, runs=[Run("upload", 1.5, 10)], versions=[Version(3)], ends=[End(3)])])
    folder = world.home / "store/artifacts/operations/daily"
    contents = []
    for _ in range(2):
        materialise(world, partition_key=DAY.isoformat())
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]


def test_a_store_that_fails_is_named(world: World):
    blocked = world.home / "store/artifacts/operations"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the folder should be")
    result = materialise(world, partition_key=DAY.isoformat())
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    details = failure.step_failure_data.user_failure_data
    assert details
    assert details.metadata["error_code"].value in {ErrorCode.STORE_UNAVAILABLE.value, ErrorCode.STORE_DENIED.value}


def test_days_without_a_report(world: World):
    def missing(now: datetime) -> list[str]:
        return [day.isoformat() for day in missing_days(world.store, world.ledger, "artifacts", now=now)]

    assert missing(at(1)) == []
    record(world.ledger, [File("ann", 1)])
    assert missing(at(20)) == []
    assert missing(at(25)) == ["2026-05-04"]
    materialise(world, partition_key="2026-05-05")
    assert missing(at(74)) == ["2026-05-04", "2026-05-06"]
    # 01:00 of the day before in Los Angeles is still the same moment.
    assert missing(at(74).astimezone(datetime.now().astimezone().tzinfo)) == ["2026-05-04", "2026-05-06"]
    assert len(missing(at(24 * 100))) == 31


def test_nothing_is_reported_before_the_first_day(world: World):
    record(world.ledger, [File("ann", -24 * 200)])
    now = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(days=2)
    assert missing_days(world.store, world.ledger, "artifacts", now=now) == [FIRST_DAY, FIRST_DAY + timedelta(days=1)]


def test_the_json_says_what_the_report_says(world: World):
    record(world.ledger, [File("ann", 1, ends=[End(2)])])
    materialise(world, partition_key=DAY.isoformat())
    told = json.loads((world.home / "store/artifacts/operations/daily/2026-05-04.json").read_text())
    assert told["owners"]["ann"]["completed"] == 1
