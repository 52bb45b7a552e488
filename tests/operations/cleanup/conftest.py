"""Whole installations, as forgetting has them: SQLite and a folder, or PostgreSQL and S3."""

from tests.resources.conftest import (  # noqa: F401  # fixtures
    bucket,
    dagster_home,
    dagster_instance,
    empty_ledger,
    folder,
    folder_store,
    installation,
    postgres_ledger_url,
    put_folder,
    put_s3,
    s3_client,
    s3_proxy,
    s3_store,
)
