"""Measuring setups of the pipeline on recordings whose truth is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from transcribe_pipeline.assets.common import OWNERS, code_version
from transcribe_pipeline.assets.speech import SPEECH_POOL
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.scratch import open_scratch
from transcribe_pipeline.settings import settings
from transcribe_pipeline.stage import raise_failure


class GoldenSet(dg.Config):
    recordings: str = Field(
        "golden",
        description="Where recordings and their references lie: a folder of this machine (begins with '/'), or a"
        " prefix in the object store, outside the uploads. 'transcribe evaluate --help' tells how they are named.",
    )
    manifest: str = Field(
        "", description="Manifest on this machine. Empty: the folder's evaluation.yaml, or what names tell."
    )
    candidates: list[str] = Field(
        [],
        description="Setups to compare, such as 'faster-whisper base' or 'name=fast,beam_size=1'. Empty: the present"
        " settings.",
    )


@dg.asset(
    group_name="operations",
    kinds={"python"},
    owners=OWNERS,
    code_version=code_version(1),
    pool=SPEECH_POOL,  # beside other work, speed and memory would be anybody's guess
)
def golden_evaluation(
    context: dg.AssetExecutionContext, config: GoldenSet, store: dg.ResourceParam[ObjectStore]
) -> dg.MaterializeResult[None]:
    """What setups of the pipeline are worth on recordings whose truth is known: choose here before a backfill.

    Each candidate processes all recordings in a process and a temporary home of its own. The first candidate's figures
    are kept as numbers too, for the UI to plot over time; the whole report lies in the store.
    """
    from transcribe_pipeline.evaluation import report
    from transcribe_pipeline.evaluation.candidates import Candidate
    from transcribe_pipeline.evaluation.comparison import compare
    from transcribe_pipeline.evaluation.references import find_references
    from transcribe_pipeline.export.picture import as_markdown_image

    configured = settings()
    try:
        candidates = [Candidate.parse(text) for text in config.candidates] or [Candidate("present settings")]
        with _folder(config.recordings, store) as folder:
            references = find_references(folder, Path(config.manifest) if config.manifest else None)
            context.log.info("%d recordings, %d candidates.", len(references), len(candidates))
            results = compare(
                references,
                candidates,
                configured,
                lambda candidate, measured: context.log.info(
                    "%s: %s: %s", candidate.name, measured.reference.name, measured.error or f"{measured.seconds:.1f} s"
                ),
            )
        for name, content in report.files(results).items():
            store.put_bytes(f"{configured.artifacts_prefix}/evaluations/{context.run.run_id}/{name}", content)
    except PipelineError as error:
        raise_failure(error, context)
    return dg.MaterializeResult(
        metadata={
            "figures": dg.MetadataValue.md(report.summary(results)),
            "picture": dg.MetadataValue.md(as_markdown_image(report.plot(results), "figures by candidate")),
            "report": store.url(f"{configured.artifacts_prefix}/evaluations/{context.run.run_id}/evaluation.md"),
            **report.numbers(results[0]),
        }
    )


@contextmanager
def _folder(recordings: str, store: ObjectStore) -> Iterator[Path]:
    """The folder itself, or a copy of what lies under the prefix."""
    if recordings.startswith("/"):
        yield Path(recordings)
        return
    with open_scratch(settings().home).folder() as folder:
        for key in store.list_keys(recordings):
            destination = folder / Path(key).relative_to(recordings)
            destination.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(key, destination)
        yield folder
