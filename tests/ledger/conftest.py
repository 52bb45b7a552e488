"""Every ledger test runs on both databases, each time on an empty one of the present schema."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text

from transcribe_pipeline.ledger.database import connect, migrate
from transcribe_pipeline.ledger.models import Base


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite database to copy."""
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_ledger(postgres_url: str) -> Iterator[Engine]:
    """A migrated PostgreSQL database, shared by all tests."""
    engine = connect(create_database(postgres_url, "ledger"))
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        engine = connect(f"sqlite:///{path}")
        yield engine
        engine.dispose()
    else:
        engine = request.getfixturevalue("postgres_ledger")
        empty(engine)
        yield engine


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/ledger.db"
    return create_database(request.getfixturevalue("postgres_url"), "unmigrated")


def create_database(server_url: str, name: str) -> str:
    server = connect(server_url).execution_options(isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def empty(engine: Engine) -> None:
    """Remove every row. DELETE, not TRUNCATE: 3 ms against 30 ms on these small tables."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE media_file SET current_transcript_id = NULL"))
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())


@pytest.fixture
def scalar(engine: Engine) -> Callable[[str], Any]:
    """One value, straight from the database."""

    def query(sql: str) -> Any:
        with engine.connect() as connection:
            return connection.execute(text(sql)).scalar_one()

    return query


@pytest.fixture
def expire(engine: Engine) -> Callable[[], None]:
    """Let every lease run out, as if time had passed."""

    def run_out() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE media_file SET lease_until = lease_until - 1000000"))

    return run_out
