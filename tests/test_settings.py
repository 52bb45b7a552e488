"""Settings come from the environment; problems are reported together and secrets stay secret."""

from collections.abc import Callable
from pathlib import Path

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.settings import Settings, load_settings

Environment = Callable[..., Settings]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    """Settings of an environment that has these variables and no other of ours, in a folder without `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TRANSCRIBE_{name.upper()}", raising=False)

    def load(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(f"TRANSCRIBE_{name.upper()}", value)
        return load_settings()

    return load


def test_the_embedded_set_up_needs_no_setting(configured, tmp_path):
    defaults = configured()
    assert defaults.resolved_store_url == (tmp_path / ".data/store").as_uri()
    assert defaults.resolved_database_url.get_secret_value() == f"sqlite:///{tmp_path}/.data/ledger.db"


def test_a_home_with_spaces_is_still_a_store(configured, tmp_path):
    assert configured(home=f"{tmp_path}/my files").resolved_store_url.endswith("/my%20files/store")


def test_production_names_its_own_store_and_database(configured):
    url = "postgresql+psycopg2://scribe:hunter2@db/ledger"
    production = configured(store_url="s3://recordings/team", database_url=url)
    assert production.resolved_store_url == "s3://recordings/team"
    assert production.resolved_database_url.get_secret_value() == url


def test_a_dotenv_file_is_read_and_the_environment_wins(configured, tmp_path):
    (tmp_path / ".env").write_text("TRANSCRIBE_WHISPER_MODEL=small\nTRANSCRIBE_LANGUAGE=de\nOTHER=1\n")
    found = configured(language="fr")
    assert (found.whisper_model, found.language) == ("small", "fr")


def test_all_problems_are_reported_at_once(configured):
    with pytest.raises(PipelineError) as raised:
        configured(device="abacus", lease_seconds="0", max_file_bytes="much")
    assert raised.value.code is ErrorCode.CONFIGURATION
    for name in ("TRANSCRIBE_DEVICE", "TRANSCRIBE_LEASE_SECONDS", "TRANSCRIBE_MAX_FILE_BYTES"):
        assert name in str(raised.value)


def test_secrets_are_not_shown(configured):
    found = configured(database_url="postgresql+psycopg2://scribe:hunter2@db/ledger", huggingface_token="hf_secret")
    for shown in (repr(found), str(found.model_dump()), found.model_dump_json()):
        assert "hunter2" not in shown
        assert "hf_secret" not in shown


def test_a_wrong_value_is_not_repeated(configured):
    with pytest.raises(PipelineError) as raised:
        configured(cpu_threads="hunter2", huggingface_token="hf_secret")
    assert "hunter2" not in str(raised.value)
    assert "hf_secret" not in str(raised.value)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name):
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith((".", ").")), description
