"""How the installation is, as figures that the UI plots and as text that says what to do."""

from contextlib import nullcontext

import dagster as dg
from sqlalchemy import Engine

from transcribe_pipeline.assets.common import OWNERS, code_version
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.operations import health
from transcribe_pipeline.operations.health import markdown, picture, trends
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import raise_failure


@dg.asset(group_name="operations", kinds={"python"}, owners=OWNERS, code_version=code_version(1))
def health_report(context: dg.AssetExecutionContext, ledger: dg.ResourceParam[Engine]) -> dg.MaterializeResult[None]:
    """How the installation is, with the reasons and what to do about them: files, stages, backlog, services, Dagster.

    The score goes from 0 to 100; from 80 on an installation is healthy, below 50 it is poor. 'transcribe health' says
    the same at any moment.
    """
    from transcribe_pipeline.export.picture import as_markdown_image

    try:
        report = health.collect(ledger, lambda: nullcontext(context.instance), settings())
    except PipelineError as error:
        raise_failure(error, context)
    throughput = picture.throughput(report.audio_hours_by_hour)
    return dg.MaterializeResult(
        metadata={
            "verdict": dg.MetadataValue.md(markdown.verdict(report)),
            "work": dg.MetadataValue.md(markdown.work(report)),
            "stages": dg.MetadataValue.md(markdown.stages(report)),
            "surroundings": dg.MetadataValue.md(markdown.surroundings(report)),
            "throughput": dg.MetadataValue.md(as_markdown_image(throughput.png(), throughput.description)),
            **trends.numbers(report),
        }
    )


@dg.asset(
    group_name="operations",
    kinds={"python"},
    owners=OWNERS,
    code_version=code_version(1),
    deps=[health_report],
)
def health_summary(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    """How the health of the last days went, by the reports that were made: each figure's range, and where it goes."""
    from transcribe_pipeline.export.picture import as_markdown_image

    records = context.instance.fetch_materializations(health_report.key, limit=trends.REPORTS).records
    course = trends.course(records)
    if not course:
        return dg.MaterializeResult(metadata={"reports": 0})
    plots = trends.plots(course)
    return dg.MaterializeResult(
        metadata={
            "reports": len(course),
            "trends": dg.MetadataValue.md(trends.table(course)),
            **{name: dg.MetadataValue.md(as_markdown_image(plot.png(), plot.description)) for name, plot in plots},
            **trends.summary_numbers(course),
        }
    )
