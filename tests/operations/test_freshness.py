"""A scheduler that has died shows: Dagster's own freshness daemon and GraphQL say so of our assets."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import InProcessTestWorkspaceLoadTarget, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._daemon.freshness import FreshnessDaemon
from dagster._time import get_current_datetime
from dagster_graphql.test.utils import execute_dagster_graphql

from transcribe_pipeline.operations import freshness
from transcribe_pipeline.settings import Settings

ROOT = Path(__file__).parents[2]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DEFINITIONS = """
import dagster as dg
from transcribe_pipeline.operations import freshness
from transcribe_pipeline.settings import Settings

@dg.asset
def health_report(): ...

@dg.asset
def other(): ...

target = dg.ScheduleDefinition(name="hourly", cron_schedule="0 * * * *", target=health_report)
assets = freshness.with_policies([health_report, other], freshness.policies(Settings()))
defs = dg.Definitions(assets=assets, schedules=[target])
"""
QUERY = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { freshnessStatusInfo { freshnessStatus } } }
}
"""


@pytest.mark.parametrize(
    ("cron", "pause"),
    [
        ("*/10 * * * *", timedelta(minutes=10)),
        ("0 * * * *", HOUR),
        ("0 2 * * 0", 7 * DAY),
        ("0 8 * * 1-5", 3 * DAY),
        ("0 8-18 * * *", 14 * HOUR),
    ],
)
def test_the_longest_pause_of_a_schedule_counts(cron: str, pause: timedelta) -> None:
    assert freshness.longest_pause(cron, "UTC") == pause


def test_a_pause_is_as_long_as_the_clocks_make_it() -> None:
    assert freshness.longest_pause("0 2 * * 0", "Europe/Vienna") == 7 * DAY + HOUR  # summer time ends in October


def test_one_missed_tick_warns_and_the_second_fails() -> None:
    found = freshness.policies(Settings(recovery_cron="*/5 * * * *", health_cron="0 * * * *"))
    for asset in ("health_report", "stuck_files"):  # recovery leaves a trace once an hour
        policy = found[asset]
        assert isinstance(policy, TimeWindowFreshnessPolicy)
        assert HOUR < policy.warn_window.to_timedelta() < policy.fail_window.to_timedelta() == 2 * HOUR
    policy = found["retention"]
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.fail_window.to_timedelta() == 8 * DAY


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[WorkspaceProcessContext]:
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    code = tmp_path / "code.py"
    code.write_text(DEFINITIONS)
    target = InProcessTestWorkspaceLoadTarget(InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=str(code))))
    with (
        dg.DagsterInstance.from_config(str(tmp_path)) as instance,
        WorkspaceProcessContext(instance, target) as context,
    ):
        yield context


def test_the_daemon_is_on_and_the_ui_shows_what_it_finds(workspace: WorkspaceProcessContext) -> None:
    instance = workspace.instance
    assert FreshnessDaemon.daemon_type() in instance.get_required_daemon_types()

    def shown(asset: str) -> str | None:
        """As the UI asks for it, after the daemon's next round."""
        list(FreshnessDaemon().run_iteration(workspace))
        key = {"path": [asset]}
        answer = execute_dagster_graphql(workspace.create_request_context(), QUERY, variables={"key": key})
        info = answer.data["assetNodeOrError"]["freshnessStatusInfo"]
        return info and info["freshnessStatus"]

    assert shown("health_report") == "UNKNOWN"
    assert shown("other") is None
    instance.report_runless_asset_event(dg.AssetMaterialization("health_report"))
    assert shown("health_report") == "HEALTHY"
    now = get_current_datetime()
    with freeze_time(now + timedelta(minutes=80)):
        assert shown("health_report") == "WARNING"
    with freeze_time(now + timedelta(hours=3)):
        assert shown("health_report") == "DEGRADED"
        instance.report_runless_asset_event(dg.AssetMaterialization("health_report"))
        assert shown("health_report") == "HEALTHY"
