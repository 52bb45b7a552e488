"""The best form of an insight that can be had: by the first model that manages, else offline, saying why."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.insights import Insight
from transcribe_pipeline.language_models.port import FAILURES, LanguageModel

Made = TypeVar("Made", bound=Insight)


def best(
    models: Sequence[LanguageModel], by_model: Callable[[LanguageModel], Made], offline: Callable[[], Made]
) -> tuple[Made, PipelineError | None]:
    """The insight, and the last model's error where it is the offline form although there are models."""
    failure: PipelineError | None = None
    for model in models:
        try:
            return by_model(model), None
        except PipelineError as error:
            if error.code not in FAILURES:
                raise
            failure = error
    made = offline()
    return (fallback(made, failure) if failure else made), failure


def fallback(made: Made, failure: PipelineError) -> Made:
    """An offline form that says why it is one."""
    told = made.made_by.model_copy(update={"fallback_reason": failure.sentence})
    return made.model_copy(update={"made_by": told})
