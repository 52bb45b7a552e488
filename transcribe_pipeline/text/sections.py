"""A transcript in parts that fit a language model's context: every segment in exactly one, cut where it hurts least."""

from collections.abc import Callable
from typing import NamedTuple

from transcribe_pipeline.artifacts import Transcript


class Section(NamedTuple):
    first_segment: int
    last_segment: int
    """Inclusive."""


def sections(transcript: Transcript, *, tokens: int, cost: Callable[[int], int]) -> list[Section]:
    """As few as can be, and of like size.

    :param tokens: that a section may have.
    :param cost: tokens of the segment at a position, as it is written in the prompt.
    :raises PipelineError: LANGUAGE_MODEL_REFUSED, if a single segment is larger than `tokens`.
    """
    raise NotImplementedError
