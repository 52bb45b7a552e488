"""The catalogue of failures: complete, readable, and free of what people must not see."""

import copy
import pickle
import re

import pytest

from transcribe_pipeline.errors import CATALOGUE, ErrorClass, ErrorCode, PipelineError


def test_every_code_has_an_entry():
    assert set(CATALOGUE) == set(ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
def test_entries_are_sentences_with_a_remedy(code):
    entry = CATALOGUE[code]
    for text in (entry.sentence, entry.remedy):
        assert re.fullmatch(r"[A-Z][^\n]*\.", text), text
    assert entry.sentence != entry.remedy


def test_people_read_sentence_facts_remedy_and_code():
    error = PipelineError(ErrorCode.TOO_LONG, "12 h; the limit is 10 h")
    assert error.sentence == "The recording is longer than this installation accepts (12 h; the limit is 10 h)."
    assert str(error) == f"{error.sentence} {error.remedy} [TOO_LONG]"
    assert error.error_class is ErrorClass.PERMANENT


def test_without_facts_the_sentence_stands_alone():
    assert PipelineError(ErrorCode.EMPTY_FILE).sentence == "The file is empty."


@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_a_process_boundary(clone):
    error = clone(PipelineError(ErrorCode.DISK_FULL, "3.0 GB needed"))
    assert (error.code, error.detail) == (ErrorCode.DISK_FULL, "3.0 GB needed")
