"""Days for spreadsheets (RFC 4180, UTF-8): a row for the whole of each day, then one for each owner.

Names are made harmless for spreadsheets. What has no fixed columns (stages, errors, languages, models) is in the JSON.
"""

import csv
import io
from collections.abc import Iterable

from transcribe_pipeline.export.cells import harmless
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.operations.daily_report.values import DailyReport, Figures

_PLAIN = (
    *("received", "ended", "completed", "degraded", "failed", "cancelled", "quarantined", "orphaned", "recovered"),
    *("transcripts", "again", "held_back", "no_speech", "audio_hours", "words", "speakers"),
    *("stage_seconds", "cpu_seconds", "gpu_seconds", "tokens_in", "tokens_out", "cost_usd"),
)
_SPREADS = ("queue_wait", "turnaround")
COLUMNS = ("day", "rows", "owner", *_PLAIN, *(f"{name}_{part}" for name in _SPREADS for part in ("median", "p95")))
"""`rows` is 'all' or 'owner': an owner may be called anything."""


def csv_table(reports: Iterable[DailyReport]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for report in reports:
        day = report.day.isoformat()
        writer.writerow([day, "all", "", *_cells(report.total)])
        writer.writerows(
            [day, "owner", harmless(clean(owner)), *_cells(figures)] for owner, figures in report.owners.items()
        )
    return text.getvalue()


def _cells(figures: Figures) -> list[str]:
    spreads = [value for name in _SPREADS for value in (getattr(figures, name).median, getattr(figures, name).p95)]
    return ["" if value is None else str(value) for value in (*(getattr(figures, name) for name in _PLAIN), *spreads)]
