"""Composition root: puts assets, checks, jobs, sensors and resources together, and nothing else.

Imported by every process of Dagster, so it must stay under 2 s and load no model library; a test holds that.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from transcribe_pipeline import checks, jobs, schedules, sensors
from transcribe_pipeline.assets import delivery, ingest, insight, speech
from transcribe_pipeline.assets.operations import (
    cleanup,
    daily_report,
    evaluation,
    health,
    maintenance,
    recovery,
    search,
)
from transcribe_pipeline.operations import freshness
from transcribe_pipeline.resources.language_models import LanguageModelsResource
from transcribe_pipeline.resources.ledger import LedgerResource
from transcribe_pipeline.resources.object_store import ObjectStoreResource
from transcribe_pipeline.resources.recordings import RecordingsResource
from transcribe_pipeline.resources.search_index import SearchResource
from transcribe_pipeline.resources.speech_models import SpeechModelsResource
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import artifact_io_manager

_OPERATIONS = (recovery, health, daily_report, cleanup, maintenance, search, evaluation)


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions; `resource_overrides` replaces resources by name."""
    store = ObjectStoreResource(url=settings().resolved_store_url)
    resources: dict[str, Any] = {
        "store": store,
        "ledger": LedgerResource(),
        "recordings": RecordingsResource(store=store),
        "speech": SpeechModelsResource(),
        "search": SearchResource(),
        "language_models": LanguageModelsResource(),
        "artifacts": artifact_io_manager,
    }
    return dg.Definitions(
        assets=freshness.with_policies(
            dg.load_assets_from_modules([ingest, speech, delivery, insight, *_OPERATIONS]),
            freshness.policies(settings()),
        ),
        asset_checks=checks.all_checks,
        jobs=[*jobs.all_jobs, cleanup.deep_cleanup_apply],
        sensors=sensors.all_sensors,
        schedules=schedules.all_schedules,
        resources=resources | dict(resource_overrides or {}),
        # A process per step, Dagster's default, costs 2.8 s a step and would load the models again and again.
        executor=dg.in_process_executor,
    )


defs = build_defs()
