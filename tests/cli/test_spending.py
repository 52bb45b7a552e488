import json
from datetime import UTC, datetime

from sqlalchemy import Engine

from tests.cli.conftest import Run
from tests.ledger.samples import take
from transcribe_pipeline.language_models.port import Call
from transcribe_pipeline.ledger import language_model_calls


def test_costs_are_told_by_model(run: Run, ledger: Engine, meeting: str) -> None:
    assert "No language model" in run("costs").stderr
    claim = take(ledger)
    for number, cost in enumerate([0.25, None]):
        call = Call(
            task="summary",
            provider="ollama",
            model="llama\x1b[2J",
            started_at=datetime(2026, 5, number + 1, tzinfo=UTC),
            seconds=2.0,
            outcome="answered",
            turn=0,
            tokens_counted=1500,
            tokens_in=1000,
            tokens_out=10,
            cost_usd=cost,
        )
        language_model_calls.record(ledger, claim, "summary", call)
    shown = run("costs").stdout
    assert "2,000" in shown
    assert "0.2500" in shown
    assert "\x1b" not in shown
    (later,) = json.loads(run("costs", "--owner", "ann", "--since", "2026-05-02", "--json").stdout)
    assert (later["calls"], later["cost_usd"]) == (1, None)
    assert json.loads(run("costs", "--owner", "bob", "--json").stdout) == []
