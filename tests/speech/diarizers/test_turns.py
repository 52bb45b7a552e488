"""Turns and voices as every engine returns them."""

import numpy as np
import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech.diarizers.none import NoDiarizer
from transcribe_pipeline.speech.diarizers.turns import ordered_turns, typed_failures, voices_of


def test_turns_are_ordered_rounded_and_never_empty():
    turns = ordered_turns([(2.0, 3.00049, "b"), (-0.1, 1.0, "a"), (1.0, 1.0002, "a"), (5.0, 4.0, "a")])
    assert [(t.start, t.end, t.speaker) for t in turns] == [(0.0, 1.0, "a"), (2.0, 3.0, "b")]


def test_voices_have_unit_length_and_belong_to_someone_who_speaks():
    turns = ordered_turns([(2.0, 3.0, "b"), (0.0, 1.0, "a"), (4.0, 5.0, "c"), (6.0, 7.0, "d")])
    centroids = {"silent": np.ones(2), "b": np.array([3.0, 4.0]), "c": np.array([np.nan, 1.0]), "d": np.zeros(2)}
    (voice,) = voices_of(turns, centroids)
    assert (voice.speaker, voice.embedding) == ("b", (0.6, 0.8))


def test_switched_off():
    found = NoDiarizer().diarize("unused", 1.0)
    assert (found.turns, found.exclusive_turns, found.engine) == ((), (), "none")


def test_a_lack_of_memory_has_its_code():
    with pytest.raises(PipelineError) as caught, typed_failures():
        raise MemoryError
    assert caught.value.code is ErrorCode.OUT_OF_MEMORY
    with pytest.raises(ZeroDivisionError), typed_failures():
        raise ZeroDivisionError
