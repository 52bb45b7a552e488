"""Where each figure of OpenTranscribe's health reports is found in ours, for those who come from there.

Theirs are the 22 counters of its periodic check, the six of its recovery at start, and those of its file clean-up. What
recovery did is counted over the last hour of the audit log. docs/health.md shows this table.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.insights import INSIGHTS
from transcribe_pipeline.operations.health.report import HealthReport
from transcribe_pipeline.operations.recovery import Action, Cause
from transcribe_pipeline.search.reconcile import Gap


class Counterpart(NamedTuple):
    where: str
    """The field of our report; without a `value`, where else to look, or why there is nothing to count."""
    value: Callable[[HealthReport], Any] | None = None


def as_opentranscribe(report: HealthReport) -> dict[str, Any]:
    """Their names, our figures; without those that have no counterpart."""
    return {name: each.value(report) for name, each in COUNTERS.items() if each.value}


def table() -> str:
    """Markdown."""
    rows = [f"| `{name}` | {each.where} |" for name, each in COUNTERS.items()]
    return "\n".join(["| OpenTranscribe | here |", "|---|---|", *rows])


_DEAD = (Cause.RUN_DEAD, Cause.RUN_LOST)
_UNBEGUN = (Cause.NEVER_BEGAN, Cause.RETRY_LOST)
_AT_ODDS = (Cause.LEDGER_BEHIND, Cause.CANCEL_LOST)
_MENDED = (Action.WENT_AGAIN, Action.COMPLETED, Action.GIVEN_BACK, Action.CANCELLED, Action.REPEATED)


def _care(*causes: Cause, actions: tuple[Action, ...] = ()) -> Counterpart:
    """Entries of the audit log about one of these causes; with one of these actions, if any are named."""

    def value(report: HealthReport) -> int:
        return sum(
            each.last_hour for each in report.care if each.cause in causes and (not actions or each.action in actions)
        )

    where = "`care`" if causes == tuple(Cause) else f"`care`, cause {_either(causes)}"
    done = "mended" if actions == _MENDED else f"action {_either(actions)}"
    return Counterpart(f"{where}, {done}" if actions else where, value)


def _either(names: tuple[Cause, ...] | tuple[Action, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _out_of_memory(report: HealthReport) -> int:
    return sum(stage.errors_last_day.get(ErrorCode.OUT_OF_MEMORY, 0) for stage in report.stages)


def _exhausted(report: HealthReport) -> int:
    return report.last_day.errors.get(ErrorCode.OUT_OF_MEMORY, 0)


def _search_repaired(report: HealthReport) -> dict[str, float]:
    operations = report.dagster.operations if report.dagster else []
    figures = next((each.figures for each in operations if each.name == "search_reconciliation"), {})
    return {gap.value: figures[gap.value] for gap in Gap if figures.get(gap.value)}


_IN_THE_PLAN = Counterpart("In the plan and its receipt: `transcribe cleanup show`.")

COUNTERS: dict[str, Counterpart] = {
    # the periodic check
    "stuck_tasks_found": _care(*_DEAD),
    "stuck_tasks_recovered": _care(*_DEAD, actions=_MENDED),
    "inconsistent_files_found": _care(*_AT_ODDS),
    "inconsistent_files_fixed": _care(*_AT_ODDS, actions=_MENDED),
    "stuck_files_without_celery_found": _care(*_UNBEGUN),
    "stuck_files_without_celery_recovered": _care(*_UNBEGUN, actions=_MENDED),
    # Nothing is downloaded before it is listed: the stage 'upload' fetches it.
    "stuck_downloading_found": Counterpart(
        "`stages[].stuck` of `upload`, which fetches the recording", lambda report: report.stages[0].stuck
    ),
    "stuck_downloading_recovered": Counterpart(
        "`stages[].retries_last_day` of `upload`", lambda report: report.stages[0].retries_last_day
    ),
    "oom_files_found": Counterpart("`stages[].errors_last_day.OUT_OF_MEMORY`", _out_of_memory),
    "oom_files_retried": Counterpart(
        "the same, less the exhausted: every other run that ended so is followed by another",
        lambda report: max(_out_of_memory(report) - _exhausted(report), 0),
    ),
    "oom_files_exhausted": Counterpart("`last_day.errors.OUT_OF_MEMORY`", _exhausted),
    "retriable_errors_found": Counterpart("`files.passing_errors`", lambda report: report.files.passing_errors),
    "retriable_errors_retried": _care(Cause.FAILED_FOR_NOW, actions=_MENDED),
    "stuck_pending_downloads_found": _care(Cause.OBJECT_GONE),
    "stuck_pending_downloads_marked_error": _care(Cause.OBJECT_GONE, actions=(Action.ORPHANED,)),
    "stuck_llm_tasks_found": Counterpart(
        "`language_models[].failures`: a call that hangs ends at its time limit",
        lambda report: sum(model.failures for model in report.language_models),
    ),
    "stuck_llm_tasks_marked_failed": Counterpart(
        "`stages[].degraded_files` of the insights",
        lambda report: sum(stage.degraded_files for stage in report.stages if stage.stage in INSIGHTS),
    ),
    # Taken for stuck or failed, and done all the same.
    "false_positive_tasks_found": _care(Cause.LEDGER_BEHIND),
    "false_positive_tasks_reset": _care(Cause.LEDGER_BEHIND, actions=(Action.COMPLETED, Action.GIVEN_BACK)),
    "incomplete_post_transcription_found": Counterpart(
        "`files.by_state.degraded`", lambda report: report.files.by_state["degraded"]
    ),
    "post_transcription_tasks_dispatched": _care(Cause.DEGRADED, actions=(Action.REPEATED,)),
    "opensearch_indices_repaired": Counterpart(
        "`dagster.operations[].figures` of `search_reconciliation`: what its last run repaired", _search_repaired
    ),
    # the recovery at start
    "abandoned_files_found": _care(*_DEAD),
    "abandoned_files_reset": _care(*_DEAD, actions=(Action.WENT_AGAIN, Action.GIVEN_BACK)),
    "abandoned_files_completed": _care(*_DEAD, *_AT_ODDS, actions=(Action.COMPLETED,)),
    "orphaned_tasks_found": _care(Cause.RUN_LOST),
    "orphaned_tasks_failed": _care(Cause.RUN_LOST, actions=_MENDED),
    "files_retried": Counterpart("`last_hour.retried_files`", lambda report: report.last_hour.retried_files),
    # the file clean-up: statistics, a run's result, a dry run
    "timestamp": Counterpart("`at`", lambda report: report.at),
    "file_counts_by_status": Counterpart("`files.by_state`", lambda report: report.files.by_state),
    "stuck_files_detected": Counterpart("`files.stuck`", lambda report: report.files.stuck),
    "files_eligible_for_cleanup": Counterpart("`files.past_retention`", lambda report: report.files.past_retention),
    "avg_processing_time_hours": Counterpart(
        "`last_day.mean_processing_seconds`, in hours",
        lambda report: (report.last_day.mean_processing_seconds or 0.0) / 3600,
    ),
    "health_score": Counterpart("`verdict`: healthy, fair, poor, empty; and `score`", lambda report: report.verdict),
    "recommendations": Counterpart("`reasons[].advice`", lambda report: [reason.advice for reason in report.reasons]),
    "stuck_files_checked": Counterpart("`backlog.files`", lambda report: report.backlog.files),
    "files_recovered": _care(*Cause, actions=_MENDED),
    "files_marked_orphaned": _care(*Cause, actions=(Action.ORPHANED,)),
    "cleanup_errors": Counterpart("A clean-up that fails is a failed run; `dagster.operations[].is_overdue` tells."),
    "eligible_for_deletion": _IN_THE_PLAN,
    "successfully_deleted": _IN_THE_PLAN,
    "deletion_errors": _IN_THE_PLAN,
    "files_processed": _IN_THE_PLAN,
}
