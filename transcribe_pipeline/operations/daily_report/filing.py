"""Where reports lie: `<artifacts prefix>/operations/daily/<day>.{md,json,csv,png}`; and which days still lack one."""

from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

from sqlalchemy import Engine

from transcribe_pipeline.ledger import daily
from transcribe_pipeline.operations.daily_report.csv_table import csv_table
from transcribe_pipeline.operations.daily_report.markdown import markdown
from transcribe_pipeline.operations.daily_report.picture import picture
from transcribe_pipeline.operations.daily_report.values import DailyReport
from transcribe_pipeline.resources.object_store import ObjectStore

FIRST_DAY = date(2026, 1, 1)
"""Reports can be made from here on; no installation is older."""

_CATCH_UP_DAYS = 31
"""Days further back are left to a backfill."""


def files(report: DailyReport) -> dict[str, bytes]:
    """Name -> content. The JSON comes last: whoever finds it finds the others."""
    day = report.day.isoformat()
    return {
        f"{day}.png": picture(report).png(),
        f"{day}.md": markdown(report, picture=f"{day}.png").encode(),
        f"{day}.csv": csv_table([report]).encode(),
        f"{day}.json": f"{report.model_dump_json(indent=1)}\n".encode(),
    }


def file_report(store: ObjectStore, artifacts_prefix: str, report: DailyReport) -> str:
    """Put the files of a day in place of those there may be; returns the key of the markdown.

    :raises PipelineError: STORE_UNAVAILABLE, STORE_DENIED, DISK_FULL.
    """
    folder = _folder(artifacts_prefix)
    for name, content in files(report).items():
        store.put_bytes(f"{folder}/{name}", content)
    return f"{folder}/{report.day.isoformat()}.md"


def missing_days(store: ObjectStore, ledger: Engine, artifacts_prefix: str, *, now: datetime) -> list[date]:
    """Days that are over and have no report, oldest first: at most the last 31, and none before the first upload.

    Dagster's scheduler (1.13) evaluates only the last of the ticks that it missed, for partitioned schedules too; this
    makes that one tick ask for every day that was missed, and for those whose report has failed.

    :raises PipelineError: DATABASE_UNAVAILABLE, STORE_UNAVAILABLE, STORE_DENIED.
    """
    first = daily.first_received(ledger)
    if first is None:
        return []
    today = now.astimezone(UTC).date()
    begin = max(first.date(), FIRST_DAY, today - timedelta(days=_CATCH_UP_DAYS))
    there = {PurePosixPath(key).stem for key in store.list_keys(_folder(artifacts_prefix)) if key.endswith(".json")}
    days = (begin + timedelta(days=number) for number in range((today - begin).days))
    return [day for day in days if day.isoformat() not in there]


def _folder(artifacts_prefix: str) -> str:
    return f"{artifacts_prefix}/operations/daily"
