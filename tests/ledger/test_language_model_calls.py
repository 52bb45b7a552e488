"""What was asked of language models, on both databases."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine

from tests.ledger.samples import NOON, claimed, seconds, take, upload
from transcribe_pipeline.language_models.port import Call
from transcribe_pipeline.ledger import language_model_calls, leases
from transcribe_pipeline.ledger.database import read
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.language_model_calls import Total

CALL = Call(
    task="summary",
    provider="openrouter",
    model="some/model",
    started_at=NOON,
    seconds=1.5,
    outcome="answered",
    turn=0,
    tokens_counted=1200,
    tokens_in=1000,
    tokens_out=200,
    cost_usd=0.25,
)
STALLED = replace(
    CALL,
    outcome="LANGUAGE_MODEL_UNAVAILABLE",
    started_at=NOON + seconds(5),
    tokens_in=None,
    tokens_out=None,
    cost_usd=None,
    detail="HTTP 429",
)


def test_every_call_is_kept_in_order_of_time(engine: Engine):
    claim = claimed(engine)
    for call in (STALLED, CALL):
        language_model_calls.record(engine, claim, "summary", call)
    first, second = language_model_calls.of_file(engine, claim.media_file_id)
    told = {name: getattr(first, name) for name in vars(CALL) if name != "task"}
    assert told == {name: value for name, value in vars(CALL).items() if name != "task"}
    assert (first.run_id, first.generation, first.stage) == ("run-1", 1, "summary")
    assert (second.outcome, second.tokens_in, second.cost_usd, second.detail) == (
        "LANGUAGE_MODEL_UNAVAILABLE",
        None,
        None,
        "HTTP 429",
    )


def test_a_run_that_lost_its_lease_still_tells_what_it_spent(engine: Engine):
    claim = claimed(engine)
    leases.release(engine, claim)
    take(engine, "run-2")
    language_model_calls.record(engine, claim, "summary", CALL)
    assert [call.run_id for call in language_model_calls.of_file(engine, claim.media_file_id)] == ["run-1"]


def test_what_a_server_says_of_itself_may_be_anything(engine: Engine):
    claim = claimed(engine)
    language_model_calls.record(engine, claim, "summary", replace(CALL, model="m\x00\ud800x", detail="\x1b[2J" * 900))
    (call,) = language_model_calls.of_file(engine, claim.media_file_id)
    assert call.model == "mx"
    assert "\x1b" not in call.detail


def test_totals_are_of_each_model_owner_and_time(engine: Engine):
    ann = claimed(engine)
    register(engine, [upload(owner="bob")], settle_seconds=0)
    bob = take(engine, "run-2", key=upload(owner="bob").partition_key)
    local = replace(CALL, provider="ollama", model="qwen3", cost_usd=None)
    for claim, call in ((ann, CALL), (ann, STALLED), (bob, CALL), (bob, local)):
        language_model_calls.record(engine, claim, "summary", call)

    anns = Total("openrouter", "some/model", 2, 1, 1000, 200, 3.0, 0.25)
    assert language_model_calls.totals(engine, owner="ann") == [anns]
    assert language_model_calls.totals(engine) == [
        Total("ollama", "qwen3", 1, 0, 1000, 200, 1.5, None),
        Total("openrouter", "some/model", 3, 1, 2000, 400, 4.5, 0.5),
    ]
    assert language_model_calls.totals(engine, since=NOON + timedelta(seconds=1)) == [
        Total("openrouter", "some/model", 1, 1, 0, 0, 1.5, None)
    ]
    assert language_model_calls.totals(engine, owner="nobody") == []


def test_totals_of_a_time_by_owner(engine: Engine):
    ann = claimed(engine)
    register(engine, [upload(owner="bob")], settle_seconds=0)
    bob = take(engine, "run-2", key=upload(owner="bob").partition_key)
    for claim, begun in ((ann, 0), (ann, 10), (bob, 10), (bob, 20)):
        language_model_calls.record(engine, claim, "summary", replace(CALL, started_at=NOON + seconds(begun)))
    since, until = NOON + seconds(10), NOON + seconds(20)
    one = Total("openrouter", "some/model", 1, 0, 1000, 200, 1.5, 0.25)

    def by_owner(owner: str | None = None) -> list[tuple[str, Total]]:
        return read(
            engine,
            lambda connection: language_model_calls.totals_by_owner(connection, since=since, until=until, owner=owner),
        )

    assert by_owner() == [("ann", one), ("bob", one)]
    assert by_owner("bob") == [("bob", one)]
    (both,) = language_model_calls.totals(engine, since=since, until=until)
    assert (both.calls, both.cost_usd) == (2, 0.5)
    assert language_model_calls.totals(engine, owner="ann", until=since)[0].calls == 1
