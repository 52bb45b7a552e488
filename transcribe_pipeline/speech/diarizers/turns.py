"""What every engine's answer is made of: ordered turns, one voice per speaker, typed failures."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import SpeakerTurn, SpeakerVoice
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech import hardware


def ordered_turns(turns: Iterable[tuple[float, float, str]]) -> tuple[SpeakerTurn, ...]:
    """(start, end, speaker) sorted by time, rounded to the millisecond, empty ones dropped."""
    found = (
        SpeakerTurn(start=round(max(float(start), 0.0), 3), end=round(float(end), 3), speaker=speaker)
        for start, end, speaker in sorted(turns)
        if end > start
    )
    return tuple(turn for turn in found if turn.end > turn.start)


def voices_of(turns: Iterable[SpeakerTurn], centroids: Mapping[str, NDArray[np.floating]]) -> tuple[SpeakerVoice, ...]:
    """One voice of unit length for each speaker who has a turn, in order of appearance.

    A speaker whose centroid says nothing (NaN, zero: the engine had too little speech) has none.
    """
    lengths = {speaker: float(np.linalg.norm(centroid)) for speaker, centroid in centroids.items()}
    return tuple(
        SpeakerVoice(speaker=s, embedding=tuple(round(float(x), 6) for x in centroids[s] / lengths[s]))
        for s in dict.fromkeys(turn.speaker for turn in turns)
        if np.isfinite(lengths.get(s, 0.0)) and lengths.get(s, 0.0) > 0
    )


@contextmanager
def typed_failures() -> Iterator[None]:
    """Turns a lack of memory, on whatever device, into OUT_OF_MEMORY."""
    try:
        yield
    except Exception as error:
        if not hardware.is_out_of_memory(error):
            raise
        raise PipelineError(ErrorCode.OUT_OF_MEMORY, "while speakers were told apart") from error
