"""How the installation is: `collect` makes a `HealthReport`; markdown, Prometheus text and a picture show it."""

from transcribe_pipeline.operations.health.collecting import collect
from transcribe_pipeline.operations.health.report import HealthReport, Verdict

__all__ = ["HealthReport", "Verdict", "collect"]
