"""Admin jobs: what the Launchpad offers, whom a run means, and what its page says afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.world import World, embedded_world
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.jobs import admin_jobs
from transcribe_pipeline.ledger import leases, operations
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.ledger.states import State
from transcribe_pipeline.stage import STAGES

JOBS = {job.name: job for job in admin_jobs}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch) as made:
        yield made


def launch(world: World, job: str, **config: Any) -> dg.ExecuteInProcessResult:
    (op,) = (node.name for node in JOBS[job].nodes)
    return JOBS[job].execute_in_process(
        run_config={"ops": {op: {"config": config}}},
        instance=world.instance,
        resources={"ledger": world.ledger, "store": world.store},
        raise_on_error=False,
    )


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Metadata of the run's only output."""
    assert result.success
    (event,) = (event for event in result.all_events if event.is_successful_output)
    return dict(event.step_output_data.metadata)


def figures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {name: value.value for name, value in told(result).items()}


def rows(result: dg.ExecuteInProcessResult) -> list[dict[str, Any]]:
    return [dict(record.data) for record in told(result)["answers"].records]


def failed(world: World, name: str, code: ErrorCode = ErrorCode.NO_AUDIO) -> str:
    key = world.add(name)
    held = leases.claim(world.ledger, key, None, "run", lease_seconds=90, holder_finished=lambda _: False)
    leases.fail(world.ledger, held, PipelineError(code), final=True)
    return key


def test_named_files_are_cancelled_and_refusals_stop_no_other(world: World):
    waits, done = world.add("ann/waits.wav"), failed(world, "ann/done.wav")
    result = launch(world, "cancel_files", files=["waits.wav", "done.wav", "nothing.wav"])
    counted = figures(result)
    assert (counted["files"], counted["cancelled"], counted["refused"]) == (3, 1, 2)
    assert [row["file"] for row in rows(result)] == [waits, done, "nothing.wav"]
    assert "[FILE_UNKNOWN]" in rows(result)[2]["why"]
    (entry,) = operations.of_file(world.ledger, world.file(waits).id)
    assert entry.actor == f"run:{result.run_id}"


def test_files_that_are_not_named_are_only_shown_until_it_is_said_to_apply(world: World):
    keys = [failed(world, f"ann/{number}.wav", ErrorCode.STORE_DENIED) for number in range(3)]
    failed(world, "ann/other.wav")
    asked: dict[str, Any] = {"states": ["error"], "codes": ["STORE_DENIED"], "state_since": "2026-01-01"}
    shown = launch(world, "redrive_files", **asked)
    assert figures(shown)["files"] == 3
    assert {world.file(key).status for key in keys} == {Status.ERROR}
    counted = figures(launch(world, "redrive_files", **asked, apply=True))
    assert (counted["files"], counted["redriven_from_upload"]) == (3, 3)
    assert {world.file(key).status for key in keys} == {Status.PENDING}


def test_nothing_of_another_owner_is_ever_touched(world: World):
    anns, bobs = failed(world, "ann/a.wav"), failed(world, "bob/a.wav")
    counted = figures(launch(world, "redrive_files", owner="ann", every=True, apply=True))
    assert counted["files"] == 1
    result = launch(world, "redrive_files", owner="ann", files=[bobs, "uploads/bob/a.wav", world.file(bobs).id])
    assert figures(result)["refused"] == 3
    assert (world.file(anns).status, world.file(bobs).status) == (Status.PENDING, Status.ERROR)


def test_a_name_that_several_files_have_is_refused(world: World):
    failed(world, "ann/a.wav")
    failed(world, "bob/a.wav")
    assert "2 files are called so" in rows(launch(world, "redrive_files", files=["a.wav"]))[0]["why"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "name files"),
        ({"files": ["a.wav"], "states": ["error"]}, "name files"),
        ({"owner": "ann"}, "name files"),
        ({"since": "yesterday"}, "times are written as"),
    ],
)
def test_a_run_that_cannot_be_meant_fails_with_a_sentence_and_is_not_retried(
    world: World, config: dict[str, Any], said: str
):
    result = launch(world, "redrive_files", **config)
    (failure,) = (event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert failure.user_failure_data
    assert said in (failure.user_failure_data.description or "")
    assert failure.user_failure_data.metadata["error_code"].value == "BAD_REQUEST"
    assert JOBS["redrive_files"].tags["dagster/max_retries"] == "0"


def test_reprocessing_takes_options_as_the_command_line_does(world: World):
    key = failed(world, "ann/a.wav")
    asked: dict[str, Any] = {"options": {"model": "small", "speakers": "2"}, "clear": True}
    assert figures(launch(world, "reprocess_files", files=["a.wav"], **asked))["to_be_processed_again"] == 1
    assert world.file(key).requested_options == {"model": "small", "speakers": 2}
    assert not launch(world, "reprocess_files", files=["a.wav"], options={"modell": "small"}).success


def test_emergency_recovery_says_what_was_wrong(world: World):
    key = failed(world, "ann/a.wav", ErrorCode.STORE_UNAVAILABLE)
    (row,) = rows(launch(world, "emergency_recovery", files=[key]))
    assert row["found"].startswith("It had ended: error, STORE_UNAVAILABLE.")
    assert row["done"] == "redriven from upload"
    assert not launch(world, "emergency_recovery").success, "it is for named files only"


def test_the_launchpad_offers_stages_states_and_errors():
    offered = {
        name: {value.config_value for value in kind.enum_values}
        for kind in JOBS["redrive_files"].run_config_schema.config_type_dict_by_key.values()
        if (name := kind.given_name) and kind.kind.value == "ENUM"
    }
    assert offered["StageName"] == set(STAGES)
    assert offered["StateName"] == {state.value for state in State}
    assert offered["ErrorCode"] == {code.value for code in ErrorCode}


def test_every_admin_job_is_described_bounded_and_keeps_no_pickle():
    for job in admin_jobs:
        assert job.description
        assert job.tags["dagster/max_runtime"]
        for node in job.nodes:
            assert all(out.dagster_type.is_nothing for out in node.definition.output_defs)
    assert json.dumps(sorted(JOBS)) == '["cancel_files", "emergency_recovery", "redrive_files", "reprocess_files"]'
