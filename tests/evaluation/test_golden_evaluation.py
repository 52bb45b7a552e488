"""The golden set as people use it: an asset of Dagster's, and a command."""

import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from tests.world import embedded_world
from transcribe_pipeline.assets.operations.evaluation import golden_evaluation
from transcribe_pipeline.cli import app


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """One recording that is none: what counts here is what happens around the pipeline."""
    folder = tmp_path / "golden"
    (folder / "calls").mkdir(parents=True)
    (folder / "calls/a.wav").write_text("not a recording")
    (folder / "calls/a.txt").write_text("how are you")
    return folder


def evaluate(world, **config):
    return dg.materialize(
        [golden_evaluation],
        instance=world.instance,
        resources={"store": world.store},
        run_config={"ops": {"golden_evaluation": {"config": config}}},
        raise_on_error=False,
    )


def test_the_asset_reads_the_store_and_leaves_its_report_there(golden, tmp_path, monkeypatch):
    with embedded_world(tmp_path / "home", monkeypatch) as world:
        for path in golden.rglob("*.*"):
            world.store.put_file(f"golden/{path.relative_to(golden).as_posix()}", path)
        result = evaluate(world, candidates=["name=one thread,cpu_threads=1"])
        assert result.success
        (event,) = result.asset_materializations_for_node("golden_evaluation")
        metadata = {name: value.value for name, value in event.metadata.items()}
        assert (metadata["wer"], metadata["failed"], metadata["recordings"]) == (1.0, 1, 1)
        assert "| one thread | 1 | 100.0% |" in metadata["figures"]
        assert metadata["picture"].startswith("![figures by candidate](data:image/png;base64,")
        assert "calls/a.wav" in Path(metadata["report"]).read_text()
        keys = list(world.store.list_keys(f"artifacts/evaluations/{result.run_id}"))
        assert [Path(key).suffix for key in keys] == [".json", ".md", ".png"]
        assert list((tmp_path / "home/scratch").glob("*/*/*")) == []


def test_the_asset_says_what_is_wrong_and_how_to_mend_it(tmp_path, monkeypatch):
    with embedded_world(tmp_path / "home", monkeypatch) as world:
        result = evaluate(world, recordings=str(tmp_path))
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        details = failure.step_failure_data.user_failure_data
        assert details.metadata["error_code"].value == "BAD_GOLDEN_SET"
        assert "none with a reference" in details.description


def test_the_command(golden, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSCRIBE_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["evaluate", str(golden), "--json", "-o", str(tmp_path / "report")])
    assert done.exit_code == 4, done.output  # done, but a recording failed
    (result,) = json.loads(done.stdout)
    assert result["candidate"] == "present settings"
    assert result["recordings"][0]["error"].startswith("NOT_MEDIA")
    assert "1/1" in done.stderr
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "evaluation.md",
        "evaluation.json",
        "evaluation.png",
    }
    assert not (tmp_path / "home/ledger.db").exists()


def test_the_command_names_an_unusable_candidate(golden, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSCRIBE_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["evaluate", str(golden), "--candidate", "beamsize=1"])
    assert done.exit_code != 0
    assert "did you mean beam_size?" in done.stderr
