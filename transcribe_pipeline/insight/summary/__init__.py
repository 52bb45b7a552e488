"""What was said, bottom line up front: by a language model where there is one, else in the speakers' own sentences."""

from collections.abc import Sequence

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.insight.making import best
from transcribe_pipeline.insight.summary.by_model import by_model
from transcribe_pipeline.insight.summary.markdown import markdown
from transcribe_pipeline.insight.summary.offline import offline
from transcribe_pipeline.insight.summary.templates import Template, template_for
from transcribe_pipeline.insights import Summary
from transcribe_pipeline.language_models.port import LanguageModel

__all__ = ["Template", "markdown", "summary", "template_for"]


def summary(
    transcript: Transcript,
    transcript_id: str,
    *,
    models: Sequence[LanguageModel],
    template: Template,
    output_language: str = "",
) -> tuple[Summary, PipelineError | None]:
    """The summary, and why it is the offline form although there are models.

    :param output_language: ISO 639-1; empty: the recording's. The offline form quotes, and so is in the recording's.
    """
    # Of silence nothing can be said, so nobody is asked.
    asked = models if transcript.segments else ()
    return best(
        asked,
        lambda model: by_model(transcript, transcript_id, model, template, output_language),
        lambda: offline(transcript, transcript_id, template),
    )
