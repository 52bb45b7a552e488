"""What Dagster is given: quick to import, complete, described; and the instance files load."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef

from transcribe_pipeline.definitions import build_defs, defs
from transcribe_pipeline.partitions import media_files
from transcribe_pipeline.stage import STAGES

ROOT = Path(__file__).parents[1]
HEAVY = ["torch", "whisperx", "pyannote", "senko", "faster_whisper", "ctranslate2", "transformers", "numba"]
HEAVY += ["matplotlib", "pandas", "boto3"]

assets = {asset.key.to_user_string(): asset for asset in defs.assets or ()}
each_asset = pytest.mark.parametrize("name", assets)


def test_importing_the_definitions_loads_no_model_library():
    code = f"""
import json, sys, time
started = time.perf_counter()
import transcribe_pipeline.definitions
seconds = time.perf_counter() - started
print(json.dumps([seconds, [name for name in {HEAVY} if name in sys.modules]]))
"""
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, loaded = json.loads(output)
    print(f"definitions import: {seconds:.2f} s (target 2 s)")
    assert loaded == []


def test_the_definitions_are_consistent():
    dg.Definitions.validate_loadable(build_defs())


def test_resources_can_be_replaced():
    overridden = build_defs(resource_overrides={"speech": "a fake"})
    assert overridden.resources["speech"] == "a fake"
    assert defs.resources["speech"] != "a fake"


@each_asset
def test_assets_say_what_they_are(name):
    spec = assets[name].get_asset_spec()
    assert spec.group_name
    assert spec.group_name != "default"
    assert spec.description
    assert spec.code_version
    assert spec.owners == ["team:transcripts"]
    assert spec.kinds


def test_the_per_media_assets_are_the_stages_in_flow_order():
    per_media = {name for name, asset in assets.items() if asset.partitions_def == media_files}
    assert per_media == set(STAGES)
    position = list(STAGES).index
    for name in per_media:
        upstream = {key.to_user_string() for key in assets[name].asset_deps[dg.AssetKey(name)]}
        assert all(position(earlier) < position(name) for earlier in upstream)


def test_progress_shares_add_up_to_everything():
    assert sum(STAGES.values()) == 100


def test_steps_of_a_run_are_ordered_by_priority():
    priorities = [int(assets[name].op.tags["dagster/priority"]) for name in STAGES]
    assert priorities == sorted(priorities, reverse=True)


def test_speech_stages_share_one_pool():
    assert {assets[name].op.pool for name in ("transcription", "diarization")} == {"speech"}


def test_checks_are_per_file():
    assert defs.asset_checks
    for check in defs.asset_checks:
        assert check.partitions_def == media_files


def test_jobs_and_sensors():
    repository = defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    of_admins = {"cancel_files", "redrive_files", "reprocess_files", "emergency_recovery", "deep_cleanup_apply"}
    assert jobs == {"process_media"} | of_admins
    process_media = defs.resolve_job_def("process_media")
    assert {node.name for node in process_media.nodes} >= set(STAGES)
    assert process_media.partitions_def == media_files
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    running = dg.DefaultSensorStatus.RUNNING
    assert sensors == dict.fromkeys(("new_uploads", "failed_runs", "cancelled_runs", "lost_runs"), running)


def test_everything_that_goes_by_the_clock_is_on_and_watched():
    schedules = {schedule.name: schedule for schedule in defs.get_repository_def().schedule_defs}
    assert {schedule.default_status for schedule in schedules.values()} == {dg.DefaultScheduleStatus.RUNNING}
    targets = {
        key.to_user_string()
        for schedule in schedules.values()
        for key in defs.resolve_job_def(schedule.job_name).asset_layer.executable_asset_keys
    }
    watched = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs() if spec.freshness_policy}
    assert watched == targets
    assert len(watched) == 9


def _instance_files() -> list[Path]:
    return [ROOT / "dagster.yaml", ROOT / "deploy/dagster.yaml"]


@pytest.fixture(params=_instance_files(), ids=lambda path: str(path.relative_to(ROOT)))
def instance_folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME with one of our instance files, and an environment that names what production's file needs."""
    path: Path = request.param
    if not path.is_file():
        pytest.skip(f"{path.relative_to(ROOT)} does not exist yet")
    (tmp_path / "dagster.yaml").write_text(path.read_text())
    for name in _environment_names(yaml.safe_load(path.read_text())):
        monkeypatch.setenv(name, "value")
    return tmp_path


def _environment_names(node: object) -> set[str]:
    """Every NAME in `env: NAME` of a Dagster configuration."""
    if isinstance(node, dict):
        named = {node["env"]} if isinstance(node.get("env"), str) else set()
        return named.union(*(_environment_names(value) for value in node.values()))
    return set().union(*map(_environment_names, node)) if isinstance(node, list) else set()


def test_instance_files_are_valid_and_name_classes_that_exist(instance_folder):
    config, _ = dagster_instance_config(str(instance_folder))
    assert config["telemetry"]["enabled"] is False
    assert config["run_monitoring"]["enabled"] is True
    assert config["run_retries"] == {"enabled": True, "max_retries": 2}
    ref = InstanceRef.from_dir(str(instance_folder))
    parts = [ref.run_coordinator_data, ref.run_launcher_data, ref.storage_data, ref.compute_logs_data]
    for part in filter(None, parts):
        assert hasattr(import_module(part.module_name), part.class_name), part


def test_the_embedded_instance_starts(tmp_path):
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_retries_enabled
        assert instance.run_monitoring_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1


def test_the_workspace_names_a_loadable_module():
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    for entry in workspace["load_from"]:
        module = import_module(entry["python_module"]["module_name"])
        assert isinstance(module.defs, dg.Definitions)
