"""A whole embedded installation in a temporary folder: store, SQLite ledger, Dagster instance, settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from transcribe_pipeline.ledger import files
from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.files import FileView
from transcribe_pipeline.partitions import media_files, partition_key
from transcribe_pipeline.resources.object_store import ObjectStore, open_store
from transcribe_pipeline.settings import settings


@dataclass(frozen=True)
class World:
    home: Path
    store: ObjectStore
    ledger: Engine
    instance: dg.DagsterInstance

    def put(self, name: str, data: bytes = b"RIFF") -> str:
        """Drop a file into the uploads as people do: `name` is '<owner>/<file>'. Gives its partition key."""
        path = self.home / "store/uploads" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return partition_key(f"uploads/{name}")

    def add(self, name: str = "ann/a.wav", data: bytes = b"RIFF") -> str:
        """Drop a file, register it, and make its partition known to Dagster."""
        key = self.put(name, data)
        for page in self.store.list_uploads("uploads"):
            files.register(self.ledger, page.uploads, settle_seconds=0)
        self.instance.add_dynamic_partitions(str(media_files.name), [key])
        return key

    def file(self, key: str) -> FileView:
        return files.get(self.ledger, key)

    def scalar(self, sql: str, **values: Any) -> Any:
        with self.ledger.begin() as connection:
            return connection.execute(text(sql), values).scalar_one()


@contextmanager
def embedded_world(home: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[World]:
    """The embedded default under `home`; `variables` are settings, without their prefix."""
    for name, value in ({"home": str(home), "settle_seconds": "0"} | variables).items():
        monkeypatch.setenv(f"TRANSCRIBE_{name.upper()}", value)
    settings.cache_clear()
    configured = settings()
    home.mkdir(exist_ok=True)
    (home / "ledger.db").write_bytes(_empty_ledger())
    ledger = connect(configured.resolved_database_url.get_secret_value())
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            yield World(home, open_store(configured.resolved_store_url), ledger, instance)
    finally:
        ledger.dispose()
        settings.cache_clear()


@lru_cache
def _empty_ledger() -> bytes:
    """A migrated SQLite database, made once: migrating takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        engine = connect(f"sqlite:///{path}")
        migrate(engine)
        engine.dispose()
        return path.read_bytes()
