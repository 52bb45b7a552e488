"""Secrets stay where they are used: a recognisable value in every one, real runs, and then a look everywhere.

The servers here are the worst of their kind: they refuse, and say in their refusal whatever they were sent, secrets
included. What they say must not pass either.
"""

import base64
import json
import logging
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any

import boto3
import dagster as dg
import pytest
import zstandard
from pydantic import SecretStr
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from tests.ledger.conftest import create_database
from transcribe_pipeline.cli import app
from transcribe_pipeline.definitions import build_defs
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.models import Base
from transcribe_pipeline.partitions import media_files, partition_key
from transcribe_pipeline.resources.object_store import open_store
from transcribe_pipeline.sensors import tag_value
from transcribe_pipeline.settings import Settings, settings
from transcribe_pipeline.stage import OWNER_TAG

BUCKET = "canaries"
KEY = "uploads/ann/jfk.flac"
PARTITION = partition_key(KEY)

SECRETS = {
    **{
        f"TRANSCRIBE_{name.upper()}": f"canary{name.replace('_', '')}5ecret"
        for name, field in Settings.model_fields.items()
        if field.annotation is SecretStr
    },
    "AWS_SECRET_ACCESS_KEY": "canaryaws5ecret",
    "AWS_SESSION_TOKEN": "canaryawssession5ecret",
    "DAGSTER_PG_URL": "postgresql+psycopg2://dagster:canarydagster5ecret@127.0.0.1:1/dagster",
}
"""Every secret setting, by introspection: a new one is planted without being named here."""


def _traces() -> Iterator[bytes]:
    """What shows a secret: itself, and the part of its Base64 that does not depend on what stands around it."""
    for secret in SECRETS.values():
        word = (secret.rpartition("@")[0].rpartition(":")[2] or secret).encode()
        yield word
        yield from (base64.b64encode(b"x" * shift + word)[4:-4] for shift in range(3))


TRACES = frozenset(_traces())


@dataclass
class Deployment:
    """PostgreSQL for the ledger, S3 for the store, and a Dagster home of its own."""

    home: Path
    database_url: str
    s3: Any
    refusing: str
    """URL of a server that refuses everything, with all it was told in its answer."""
    told: list[str]
    """What it was told."""
    set: Callable[[str, str], None]
    """An environment variable."""

    def run(self) -> bool:
        """Process the recording as Dagster does, outputs captured; did it succeed?"""
        settings.cache_clear()
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            instance.add_dynamic_partitions(str(media_files.name), [PARTITION])
            pipeline = build_defs().resolve_job_def("process_media")
            tags = {OWNER_TAG: tag_value("ann")}
            return pipeline.execute_in_process(
                instance=instance, partition_key=PARTITION, tags=tags, raise_on_error=False
            ).success

    def left(self) -> Iterator[tuple[str, bytes]]:
        """Everything that is left of a run, by place: files of Dagster and of ours, objects, rows."""
        for path in self.home.rglob("*"):
            if stat.S_ISREG(path.lstat().st_mode):
                yield str(path.relative_to(self.home)), _readable(path.read_bytes())
        for object_ in self.s3.Bucket(BUCKET).objects.all():
            yield object_.key, _readable(object_.get()["Body"].read())
        engine = connect(self.database_url)
        with engine.connect() as connection:
            for table in Base.metadata.sorted_tables:
                for row in connection.execute(table.select()):
                    yield f"table {table.name}", str(row).encode()
        engine.dispose()


def _readable(data: bytes) -> bytes:
    """Unpacked, where it is packed."""
    if data.startswith(zstandard.FRAME_HEADER):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


def traces_in(data: bytes) -> list[str]:
    return [trace.decode() for trace in TRACES if trace in data]


@pytest.fixture
def deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str, s3_endpoint: str, testdata: Path
) -> Iterator[Deployment]:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    bare = create_database(postgres_url, "canaries")
    environment = SECRETS | {
        "PATH": f"{_wary_tools(tmp_path / 'tools')}:{os.environ['PATH']}",
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "TRANSCRIBE_HOME": str(tmp_path),
        "TRANSCRIBE_DATABASE_URL": bare.replace("postgres@", f"postgres:{SECRETS['TRANSCRIBE_DATABASE_URL']}@"),
        "TRANSCRIBE_STORE_URL": f"s3://{BUCKET}",
        "TRANSCRIBE_DIARIZER": "none",
        "TRANSCRIBE_ALIGNER": "none",
        "TRANSCRIBE_LANGUAGE": "en",
        "TRANSCRIBE_SEARCH_MODEL": "none",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    s3 = boto3.resource("s3", region_name="us-east-1", endpoint_url=s3_endpoint)
    bucket = s3.create_bucket(Bucket=BUCKET)
    bucket.put_object(Key=KEY, Body=(testdata / "en_jfk/jfk.flac").read_bytes())
    ledger = connect(bare)
    migrate(ledger)
    for page in open_store(f"s3://{BUCKET}").list_uploads("uploads"):
        files.register(ledger, page.uploads, settle_seconds=0)
    ledger.dispose()
    told: list[str] = []

    def refuse(request: Request) -> Response:
        told.append(str(dict(request.headers)))
        answer = json.dumps({"error": {"message": f"Refused: {told[-1]}"}})
        return Response(answer, 401, content_type="application/json")

    with HTTPServer("127.0.0.1", threaded=True) as server:
        server.expect_request(re.compile("")).respond_with_handler(refuse)
        yield Deployment(tmp_path, bare, s3, server.url_for("").rstrip("/"), told, monkeypatch.setenv)
    bucket.objects.all().delete()
    bucket.delete()
    settings.cache_clear()


def _wary_tools(folder: Path) -> Path:
    """Media tools that refuse to work if their environment or arguments hold a secret."""
    folder.mkdir()
    for name in ("ffmpeg", "ffprobe", "exiftool"):
        tool = folder / name
        tool.write_text(f'#!/bin/sh\ncase "$(env) $*" in *5ecret*) exit 99 ;; esac\nexec {shutil.which(name)} "$@"\n')
        tool.chmod(0o755)
    return folder


def test_every_secret_setting_is_planted():
    assert {"TRANSCRIBE_DATABASE_URL", "TRANSCRIBE_HUGGINGFACE_TOKEN", "TRANSCRIBE_SEARCH_PASSWORD"} <= SECRETS.keys()
    assert len(SECRETS) >= 12
    named_like_one = [
        name
        for name, field in Settings.model_fields.items()
        if any(word in name for word in ("key", "token", "password", "secret")) and field.annotation is not SecretStr
    ]
    assert named_like_one == ["llm_context_tokens"]  # a number


FAULTS = {
    "language models and search": {
        "TRANSCRIBE_LLM": "anthropic/claude, compatible/other",
        "TRANSCRIBE_LLM_ANTHROPIC_URL": "{refusing}",
        "TRANSCRIBE_LLM_COMPATIBLE_URL": "{refusing}/v1",
        "TRANSCRIBE_SEARCH_URL": "{refusing}",
        "TRANSCRIBE_SEARCH_USER": "admin",
    },
    "recogniser": {"TRANSCRIBE_RECOGNISER": "openai", "TRANSCRIBE_OPENAI_BASE_URL": "{refusing}/v1"},
    "store": {"AWS_ENDPOINT_URL": "{refusing}"},
}
SUCCEEDS = {"language models and search"}
COMMANDS = ("config", "config --json", "ls --json", "show jfk.flac", "show jfk.flac --json")


@pytest.mark.e2e
@pytest.mark.parametrize("fault", FAULTS)
def test_no_run_and_no_command_leaves_a_trace_of_a_secret(deployment, fault, capfd, caplog):
    caplog.set_level(logging.INFO)
    for name, value in FAULTS[fault].items():
        deployment.set(name, value.format(refusing=deployment.refusing))
    assert deployment.run() is (fault in SUCCEEDS)
    commands = (*COMMANDS, "doctor --json") if fault in SUCCEEDS else COMMANDS
    said = [(command, CliRunner().invoke(app, command.split())) for command in commands]
    assert traces_in(str(deployment.told).encode()), "no secret was at risk"
    places = [("output", "".join(capfd.readouterr()).encode()), ("log", caplog.text.encode()), *deployment.left()]
    places += [(command, f"{result.output}{result.exception!r}".encode()) for command, result in said]
    assert {place: found for place, data in places if (found := traces_in(data))} == {}
    looked_at = " ".join(place for place, _ in places)
    made = ["artifacts/", "results/"] if fault in SUCCEEDS else []
    expected = ["runs.db", "storage/", "table media_file", KEY, *made]
    assert [place for place in expected if place not in looked_at] == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2//ann:canary5ecret@host/db",
        "postgresql+nothing://ann:canary5ecret@host/db",
        "postgresql+psycopg2://ann:canary@x:5ecret/db@host/db",
        "postgresql+psycopg2://ann:canary@5ecret@host/db",
        "mysql://ann:canary5ecret@host/db",
        "oracle://canary5ecret",
    ],
)
def test_a_wrong_database_url_is_not_repeated(url):
    with pytest.raises(PipelineError) as raised:
        connect(url)
    assert raised.value.code is ErrorCode.CONFIGURATION
    assert "5ecret" not in "".join(format_exception(raised.value))
