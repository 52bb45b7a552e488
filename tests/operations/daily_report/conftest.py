"""Both databases, as for every test of the ledger."""

from tests.ledger.conftest import engine, postgres_ledger, sqlite_template  # noqa: F401
