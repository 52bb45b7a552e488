"""What a speech recogniser is, to the rest of the pipeline. Each engine is one module of `recognisers/`.

An engine turns samples into words and knows nothing of files, windows, checkpoints or quality: `recognise.py` reads
the recording window by window, decides what is listened to, and asks again where a result is suspicious.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import RecognisedSegment
from transcribe_pipeline.speech.spans import Span

Samples = NDArray[np.float32]
"""16 kHz mono, -1..1, shape (samples,)."""

Heard = tuple[Span, list[RecognisedSegment]]
"""A stretch that was listened to, and what was heard in it (nothing, perhaps), in order."""


@dataclass(frozen=True)
class Request:
    """What is asked of an engine; the same for all windows of a recording."""

    language: str | None
    """ISO 639-1. None only if the engine could not tell the language beforehand."""
    vocabulary: tuple[str, ...] = ()
    """Names and terms to expect."""
    prompt: str = ""
    to_english: bool = False
    """Translate instead of transcribing."""


class Recogniser(Protocol):
    """Times in and out are seconds from the start of `samples`. Raises PipelineError for what people can mend."""

    @property
    def engine(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def group_seconds(self) -> float:
        """How much this engine likes to hear at once: speech is handed over in groups of at most this."""
        ...

    @property
    def translates(self) -> bool:
        """Can it translate to English?"""
        ...

    def detect_language(self, clips: Sequence[Samples]) -> list[dict[str, float]]:
        """Probability by ISO 639-1 code for each clip of speech (at most 30 s); empty if the engine cannot tell."""
        ...

    def recognise(self, samples: Samples, groups: Sequence[Span], request: Request) -> Iterator[Heard]:
        """What is said in each of the groups of speech, in order of time."""
        ...

    def reconsider(self, samples: Samples, stretch: Span, request: Request) -> list[RecognisedSegment] | None:
        """The same stretch with other settings, slower and more careful. None if the engine has no others."""
        ...
