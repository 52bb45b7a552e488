"""What Alembic runs to migrate: on the connection, and within the transaction, that `database.migrate` opened."""

from alembic import context

from transcribe_pipeline.ledger.database import VERSION_TABLE
from transcribe_pipeline.ledger.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, version_table=VERSION_TABLE
)
context.run_migrations()
