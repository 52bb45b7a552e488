"""How old the assets of operations may be: what makes a scheduler that has died visible.

One table: asset -> the schedule that makes it. Dagster's freshness daemon holds the UI's mark against it, and
`operations.health` lowers the score, which works without any daemon.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

import dagster as dg
from dagster._utils.schedules import cron_string_iterator

from transcribe_pipeline.settings import Settings

_TICKS = 100
"""Enough to see the longest pause of a schedule for working hours or days."""
_FROM = datetime(2026, 1, 1, tzinfo=UTC)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def windows(configured: Settings) -> dict[str, timedelta]:
    """Asset -> the longest time between two of its ticks."""
    crons = {
        "stuck_files": configured.recovery_cron,
        "health_report": configured.health_cron,
        "health_summary": configured.health_summary_cron,
        "daily_report": configured.daily_report_cron,
        "failed_files": configured.failed_files_cron,
        "retention": configured.retention_cron,
        "database_maintenance": configured.maintenance_cron,
        "dagster_history": configured.maintenance_cron,
        "search_reconciliation": configured.search_cron,
    }
    pauses = {cron: longest_pause(cron, configured.time_zone) for cron in set(crons.values())}
    # Ticks of recovery that find nothing launch no run; once an hour one does all the same.
    return {asset: max(pauses[cron], _HOUR) for asset, cron in crons.items()}


@lru_cache
def longest_pause(cron: str, time_zone: str) -> timedelta:
    """Between two ticks in a row, as seen over 100 of them."""
    ticks = islice(cron_string_iterator(_FROM.timestamp(), cron, time_zone), _TICKS)
    return max(after - before for before, after in pairwise(ticks))


def policies(configured: Settings) -> dict[str, dg.FreshnessPolicy]:
    """Asset -> when the UI warns, and when it calls the asset stale.

    A run may be late by its place in the queue, so the warning comes some time after the tick.
    """
    stale = fail_windows(configured)
    return {
        asset: dg.FreshnessPolicy.time_window(warn_window=pause + min(pause / 4, 6 * _HOUR), fail_window=stale[asset])
        for asset, pause in windows(configured).items()
    }


def fail_windows(configured: Settings) -> dict[str, timedelta]:
    """Asset -> from which age on it is stale: a second tick was missed, or a day has passed since the first."""
    return {asset: pause + min(pause, _DAY) for asset, pause in windows(configured).items()}


def with_policies(assets: Iterable[Any], freshness: Mapping[str, dg.FreshnessPolicy]) -> list[Any]:
    """The assets of a composition, those named in `freshness` with their policy."""

    def fresh(spec: dg.AssetSpec) -> dg.AssetSpec:
        policy = freshness.get(spec.key.to_user_string())
        return spec.replace_attributes(freshness_policy=policy) if policy else spec

    return list(dg.map_asset_specs(fresh, assets))
