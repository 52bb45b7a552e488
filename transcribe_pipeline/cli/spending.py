"""`transcribe costs`: what language models were asked, and what that took. Reads the ledger alone."""

from dataclasses import asdict
from datetime import datetime

from transcribe_pipeline.cli import output
from transcribe_pipeline.cli.files import open_ledger
from transcribe_pipeline.cli.output import plain
from transcribe_pipeline.ledger import language_model_calls
from transcribe_pipeline.settings import load_settings


def show(*, owner: str | None, since: datetime | None, as_json: bool) -> None:
    totals = language_model_calls.totals(open_ledger(load_settings()), owner=owner, since=since)
    if as_json:
        output.print_json([asdict(total) for total in totals])
        return
    if not totals:
        output.note("No language model has been asked anything.")
        return
    rows = output.table("MODEL", "CALLS", "FAILED", "TOKENS IN", "TOKENS OUT", "SECONDS", "USD")
    for total in totals:
        cost = "unknown" if total.cost_usd is None else f"{total.cost_usd:.4f}"
        rows.add_row(
            plain(f"{total.provider}/{total.model}"),
            f"{total.calls:,}",
            f"{total.failures:,}",
            f"{total.tokens_in:,}",
            f"{total.tokens_out:,}",
            f"{total.seconds:,.0f}",
            cost,
        )
    output.stdout().print(rows)
