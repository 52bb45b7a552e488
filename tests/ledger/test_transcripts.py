"""Storing and reading transcripts: whole or not at all, once."""

import os
import signal
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from tests.ledger.samples import MEETING, claimed, take, transcript, upload
from transcribe_pipeline.artifacts import Transcript, TranscriptRecord, TranscriptSegment, TranscriptSpeaker
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events, transcripts
from transcribe_pipeline.ledger.database import connect
from transcribe_pipeline.ledger.files import list_files, register
from transcribe_pipeline.ledger.leases import Claim, record_sha256
from transcribe_pipeline.ledger.models import EventKind


def _save(engine: Engine, claim: Claim, value: Transcript) -> TranscriptRecord:
    return transcripts.save(engine, claim, value, artifact_key="artifacts/1", provenance={"model": "base", "beam": 5})


@pytest.mark.parametrize("sentences", [0, 1, 40])
def test_a_transcript_comes_back_as_it_was(engine: Engine, sentences: int):
    stored = transcript(sentences)
    record = _save(engine, claimed(engine), stored)
    assert transcripts.load(engine, record.transcript_id) == stored
    assert (record.version, record.generation, record.is_current) == (1, 1, True)
    assert (record.segments, record.words, record.speakers) == (sentences, sentences * 10, min(sentences, 2))
    assert transcripts.current(engine, MEETING) == record
    assert list_files(engine)[0].current_transcript_id == record.transcript_id


def test_no_field_of_a_transcript_is_forgotten():
    """A field added to the artifact needs a column (or a test here that says why not)."""
    stored_as_columns = {*transcripts._HEAD_FIELDS, "segments", "speakers"}
    assert set(Transcript.model_fields) == stored_as_columns
    assert set(TranscriptSegment.model_fields) == {"id", "start", "end", "speaker", "text", "confidence", "words"}
    assert set(TranscriptSpeaker.model_fields) == {"label", "seconds", "words", "embedding"}


def test_the_same_transcript_is_one_version(engine: Engine):
    claim = claimed(engine)
    assert _save(engine, claim, transcript()) == _save(engine, claim, transcript())
    assert len(events.pending(engine, 9)) == 1


def test_versions_add_up_and_an_older_one_may_become_current_again(engine: Engine):
    claim = claimed(engine)
    first = _save(engine, claim, transcript(first_word="One"))
    second = _save(engine, claim, transcript(first_word="Two"))
    assert (second.version, second.is_current) == (2, True)
    assert [version.is_current for version in transcripts.versions(engine, MEETING)] == [False, True]

    assert _save(engine, claim, transcript(first_word="One")) == first
    assert transcripts.current(engine, MEETING) == first
    (told,) = events.pending(engine, 9)  # whoever follows needs the last word only
    assert (told.kind, told.payload) == (EventKind.TRANSCRIBED, {"transcript_id": first.transcript_id})


def test_a_new_generation_keeps_showing_the_old_transcript_until_it_has_its_own(engine: Engine):
    first = _save(engine, claimed(engine), transcript(first_word="One"))
    register(engine, [upload(etag="e2")], settle_seconds=0)
    assert transcripts.current(engine, MEETING) == first
    second = _save(engine, take(engine, "run-2"), transcript(first_word="Two"))
    assert (second.version, second.generation) == (2, 2)
    assert transcripts.current(engine, MEETING) == second


def test_a_change_announced_while_the_last_one_is_delivered_is_not_lost(engine: Engine):
    claim = claimed(engine)
    _save(engine, claim, transcript(first_word="One"))
    being_delivered = events.pending(engine, 9)
    second = _save(engine, claim, transcript(first_word="Two"))
    events.mark_delivered(engine, [told.id for told in being_delivered])
    assert [told.payload["transcript_id"] for told in events.pending(engine, 9)] == [second.transcript_id]


def test_files_do_not_share_versions(engine: Engine):
    register(engine, [upload("a.mp3"), upload("b.mp3")], settle_seconds=0)
    one, other = (
        _save(engine, take(engine, key=upload(name).partition_key), transcript()) for name in ("a.mp3", "b.mp3")
    )
    assert one.digest == other.digest
    assert one.transcript_id != other.transcript_id
    assert transcripts.versions(engine, upload("a.mp3").partition_key) == [one]


def test_control_characters_and_half_characters_do_not_stop_a_transcript(engine: Engine):
    record = _save(engine, claimed(engine), transcript(first_word="He\x00l\x1blo\ud83d 🎙️\n"))
    loaded = transcripts.load(engine, record.transcript_id)
    assert loaded == transcript(first_word="Hello 🎙️\n")
    assert _save(engine, take(engine), transcript(first_word="Hello 🎙️\n")) == record


def test_what_is_not_there(engine: Engine):
    assert transcripts.current(engine, "unknown") is None
    assert transcripts.versions(engine, "unknown") == []
    with pytest.raises(PipelineError) as missing:
        transcripts.load(engine, "unknown")
    assert missing.value.code == ErrorCode.ARTIFACT_MISSING


# --- crashes --------------------------------------------------------------------------------------------------------

CRASH_POINTS = [
    "INSERT INTO transcript ",
    "INSERT INTO segment ",
    "INSERT INTO speaker ",
    "UPDATE media_file ",
    "INSERT INTO outbox_event ",
    "before COMMIT",
    "after COMMIT",
]


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_killed_while_saving_then_saved_again(engine: Engine, scalar: Callable[[str], Any], point: str):
    claim = claimed(engine)
    record_sha256(engine, claim, "a" * 64)
    _killed_while_saving(engine, claim, transcript(), point)
    if point != "after COMMIT":
        assert transcripts.current(engine, MEETING) is None

    record = _save(engine, take(engine), transcript())
    assert transcripts.versions(engine, MEETING) == [record]
    assert transcripts.load(engine, record.transcript_id) == transcript()
    for table, rows in {"transcript": 1, "segment": 3, "speaker": 2, "outbox_event": 1}.items():
        assert scalar(f"SELECT count(*) FROM {table}") == rows


def _killed_while_saving(engine: Engine, claim: Claim, value: Transcript, point: str) -> None:
    """A process of its own, with connections of its own, kills itself with SIGKILL at the named point."""
    url = engine.url.render_as_string(hide_password=False)
    child = os.fork()
    if child == 0:
        try:
            victim = connect(url)

            def die() -> None:
                os.kill(os.getpid(), signal.SIGKILL)

            @event.listens_for(victim, "after_cursor_execute")
            def executed(_c: object, _cursor: object, statement: str, *_: object) -> None:
                if statement.startswith(point):
                    die()

            @event.listens_for(victim, "commit")
            def committing(_connection: Connection) -> None:
                if point == "before COMMIT":
                    die()

            _save(victim, claim, value)
            if point == "after COMMIT":
                die()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the process was to be killed at {point!r} and never came there"
    assert os.WTERMSIG(status) == signal.SIGKILL


# --- size -----------------------------------------------------------------------------------------------------------


def test_fifty_thousand_words(engine: Engine, capsys: pytest.CaptureFixture[str]):
    claim, long = claimed(engine), transcript(5_000, words_each=10)
    start = perf_counter()
    record = _save(engine, claim, long)
    saved = perf_counter()
    loaded = transcripts.load(engine, record.transcript_id)
    took = f"saved in {saved - start:.2f} s, loaded in {perf_counter() - saved:.2f} s"
    with capsys.disabled():
        print(f"\n50,000 words on {engine.dialect.name}: {took}")
    assert loaded == long
    assert record.words == 50_000
