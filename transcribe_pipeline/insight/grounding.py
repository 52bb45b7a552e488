"""Is a statement borne out by the segments that it cites? Nothing a model says is published otherwise."""

import re
from collections.abc import Iterable, Sequence

from transcribe_pipeline.artifacts import Transcript

_NUMBER = re.compile(r"\d+")


class Grounding:
    """Checks statements against one transcript."""

    def __init__(self, transcript: Transcript, *, output_language: str | None = None) -> None:
        """:param output_language: of the statements, where it is not the transcript's."""
        self._transcript = transcript
        self._output_language = output_language or transcript.language

    def objection(self, text: str, segments: Sequence[int]) -> str | None:
        """Why `text` must not be published with these citations; None if they bear it out."""
        raise NotImplementedError

    def name(self, name: str) -> str | None:
        """The name as the transcript has it (or a speaker's label); None if it does not occur there."""
        raise NotImplementedError

    def citations(self, segments: Iterable[int]) -> tuple[int, ...]:
        """Those that are ids of segments, rising, each once."""
        known = len(self._transcript.segments)
        return tuple(sorted({each for each in segments if 0 <= each < known}))
