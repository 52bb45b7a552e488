"""The catalogue of failures: complete, readable, and free of what people must not see."""

import copy
import json
import pickle
import re
from pathlib import Path

import pytest
import yaml

from transcribe_pipeline.cli import errors as page
from transcribe_pipeline.errors import AREAS, CATALOGUE, RETRIED_AT_ONCE, ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.errors import retried_later as plan
from transcribe_pipeline.language_models import patience
from transcribe_pipeline.ledger import database, recovery
from transcribe_pipeline.resources import object_store
from transcribe_pipeline.search import opensearch_server
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.speech.recognisers import openai_api

ROOT = Path(__file__).parents[1]


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


# --- the page, and what it says of trying again ---------------------------------------------------------------------


def test_the_page_is_what_the_catalogue_says():
    written = (ROOT / "docs/errors.md").read_text()
    assert written == page.markdown(), "write it again: transcribe errors --markdown > docs/errors.md"


def test_every_code_has_one_row_under_an_area():
    codes = re.findall(r"^\| `([A-Z_]+)` \|", page.markdown(), re.MULTILINE)
    assert codes == list(ErrorCode)
    assert next(iter(AREAS)) is next(iter(ErrorCode))
    assert list(AREAS) == [code for code in ErrorCode if code in AREAS]
    widths = {line.count(" | ") for line in page.markdown().splitlines() if line.startswith("| `")}
    assert widths == {5}


def test_the_command_prints_the_catalogue(capsys: pytest.CaptureFixture[str]):
    page.show(as_json=True, as_markdown=False)
    entries = json.loads(capsys.readouterr().out)
    assert [entry["code"] for entry in entries] == list(ErrorCode)
    page.show(as_json=False, as_markdown=True)
    assert capsys.readouterr().out == page.markdown()
    page.show(as_json=False, as_markdown=False)
    assert "NOT_MEDIA" in capsys.readouterr().out


def test_only_what_may_pass_is_followed_by_runs_of_its_own_accord():
    again = {code for code in ErrorCode if plan(code).startswith("Another run")}
    may_pass = {code for code in ErrorCode if CATALOGUE[code].error_class is not ErrorClass.PERMANENT}
    # These two cost a file nothing but a part that is made up for.
    assert again == may_pass - {ErrorCode.SEARCH_UNAVAILABLE, ErrorCode.LANGUAGE_MODEL_UNAVAILABLE}


def test_what_the_page_says_of_trying_again_is_what_the_code_does():
    store, say = object_store._RETRY, RETRIED_AT_ONCE
    assert say[ErrorCode.STORE_UNAVAILABLE].startswith(f"{store['max_retries']} times, after 0.2 s doubling to 5 s")
    assert [store["backoff"][name].total_seconds() for name in ("init_backoff", "max_backoff")] == [0.2, 5]
    assert f"for {database._RETRY_SECONDS:.0f} s" in say[ErrorCode.DATABASE_UNAVAILABLE]
    assert say[ErrorCode.SERVICE_UNAVAILABLE].startswith(f"{openai_api._RETRIES} times")
    assert f"For {opensearch_server._PATIENCE:.0f} s" in say[ErrorCode.SEARCH_UNAVAILABLE]
    told = say[ErrorCode.LANGUAGE_MODEL_UNAVAILABLE]
    assert told.startswith(f"{patience.Budget(1).repeats} times, after {patience.Budget(1).first_wait} s")
    assert f"within {patience._LONGEST_WAIT:.0f} s" in told
    assert (
        f"After {patience._FAILURES} failures in a row a provider is left alone for {patience._REST_SECONDS:.0f} s"
        in told
    )
    rests = [recovery.pause_seconds(tries) / 60 for tries in (1, 2, 3)]
    assert f"after {rests[0]:.0f}, {rests[1]:.0f}, {rests[2]:.0f} ... minutes" in plan(ErrorCode.STORE_UNAVAILABLE)


def test_the_introduction_counts_the_runs_as_the_files_configure_them():
    retries = yaml.safe_load((ROOT / "dagster.yaml").read_text())["run_retries"]["max_retries"]
    assert retries == 2
    assert "Dagster's two retries" in page.markdown()
    assert "TRANSCRIBE_MAX_TRIES" in page.markdown()
    assert "max_tries" in Settings.model_fields
    assert recovery._MAX_REPEATS == 3
    assert "up to three times" in page.markdown()
