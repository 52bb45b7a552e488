"""The ledger as a resource: assets annotate `ledger: dg.ResourceParam[Engine]`.

The URL holds a password, so it is read from the settings and is not a config field, which the UI would show.
"""

from functools import lru_cache

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.ledger.database import connect, require_current
from transcribe_pipeline.settings import settings


@lru_cache(maxsize=1)
def open_ledger(url: str) -> Engine:
    """The engine of this process. Raises DATABASE_NOT_MIGRATED, DATABASE_NEWER, DATABASE_UNAVAILABLE."""
    engine = connect(url)
    require_current(engine)
    return engine


class LedgerResource(dg.ConfigurableResource[Engine]):
    def create_resource(self, context: dg.InitResourceContext) -> Engine:
        return open_ledger(settings().resolved_database_url.get_secret_value())
