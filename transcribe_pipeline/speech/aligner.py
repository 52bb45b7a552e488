"""What a forced aligner is, to the rest of the pipeline. Each engine is one module of `aligners/`.

An engine places given words in samples. `align.py` chooses it, feeds it, and sees to it that every word has a time,
inside its segment and in order, whatever the engine says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from transcribe_pipeline.speech.recogniser import Samples
from transcribe_pipeline.speech.spans import Span


@dataclass(frozen=True)
class Utterance:
    """Words said one after the other somewhere between `start` and `end` (seconds from the start of the samples)."""

    start: float
    end: float
    words: tuple[str, ...]
    """As written, with punctuation, digits and symbols."""


class Aligner(Protocol):
    @property
    def name(self) -> str:
        """As in `Alignment.aligner`."""
        ...

    def align(self, samples: Samples, utterances: Sequence[Utterance]) -> list[list[Span | None]]:
        """Start and end of each word of each utterance, in seconds from the start of `samples`; None if not placed."""
        ...
