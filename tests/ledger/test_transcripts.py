"""Storing and reading transcripts: whole or not at all, once."""

import os
import signal
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from tests.ledger.samples import MEETING, claimed, take, transcript, upload
from transcribe_pipeline.artifacts import (
    Doubt,
    Transcript,
    TranscriptRecord,
    TranscriptSegment,
    TranscriptSpeaker,
    Translation,
)
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.ledger import events, transcripts
from transcribe_pipeline.ledger.database import connect
from transcribe_pipeline.ledger.files import list_files, register
from transcribe_pipeline.ledger.leases import Claim, complete, record_sha256, record_sidecars
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
    assert set(TranscriptSegment.model_fields) == {
        *("id", "start", "end", "speaker", "text", "confidence", "words", "doubts")
    }
    assert set(TranscriptSpeaker.model_fields) == {"label", "seconds", "words", "embedding"}


def test_doubts_translation_and_a_given_text_come_back_as_they_were(engine: Engine):
    plain = transcript(3)
    stored = plain.model_copy(
        update={
            "text_source": "given",
            "translation": (Translation(start=0, end=2.5, text="Bonjour, où êtes-vous ?"),),
            "segments": (
                plain.segments[0].model_copy(update={"doubts": (Doubt.REPETITION, Doubt.NO_SPEECH)}),
                *plain.segments[1:],
            ),
            "quality": plain.quality.model_copy(update={"doubtful_seconds": 4.9, "given_match": 0.75}),
        }
    )
    record = _save(engine, claimed(engine), stored)
    assert transcripts.load(engine, record.transcript_id) == stored


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


# --- versions that hold less ----------------------------------------------------------------------------------------

SHA256, OTHER_SHA256 = "a" * 64, "b" * 64


def _held(
    sentences: int,
    *,
    covered: float | None = None,
    doubtful: int = 0,
    word: str = "Hello",
    **changes: Any,
) -> Transcript:
    """`sentences` of ten words, 5 s each, of which the first `doubtful` are doubted."""
    value = transcript(sentences, first_word=word)
    segments = tuple(
        segment.model_copy(update={"doubts": (Doubt.REPETITION,) if segment.id < doubtful else ()})
        for segment in value.segments
    )
    figures = {
        "covered_speech_seconds": sentences * 5.0 if covered is None else covered,
        "doubtful_seconds": doubtful * 5.0,
    }
    quality = value.quality.model_copy(update=figures)
    return value.model_copy(update={"segments": segments, "quality": quality} | changes)


def _claim_of(engine: Engine, sha256: str = SHA256, run_id: str = "run-1") -> Claim:
    claim = claimed(engine, run_id)
    record_sha256(engine, claim, sha256)
    return claim


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (_held(5), "25 s of certain speech, the current version has 50 s"),
        (_held(10, covered=29, word="Hi"), "29 s of certain speech, the current version has 50 s"),
        (_held(5, covered=50), "50 certain words, the current version has 100"),
        (_held(0), "0 s of certain speech, the current version has 50 s"),
        (_held(10, doubtful=5), "25 s of certain speech, the current version has 50 s"),
        (_held(6), None),
        (_held(10, word="Bonjour"), None),
        (_held(5, covered=50, language="zh"), None),
        (_held(5, language="zh"), "25 s of certain speech, the current version has 50 s"),
        (_held(1, text_source="given"), None),
    ],
)
def test_a_version_that_has_collapsed_is_held_back(engine: Engine, new: Transcript, reason: str | None):
    claim = _claim_of(engine)
    first = _save(engine, claim, _held(10))
    second = _save(engine, claim, new)
    assert (second.held_back, second.is_current) == (reason, reason is None)
    assert transcripts.current(engine, MEETING) == (first if reason else second)
    assert _save(engine, claim, new) == second
    (told,) = events.pending(engine, 9)
    assert told.payload["transcript_id"] == (first if reason else second).transcript_id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (_held(10, doubtful=8), _held(2)),  # it was mostly loops
        (_held(1), _held(0)),  # too little to judge by
        (_held(10, text_source="given"), _held(1)),  # people have taken their text away
    ],
)
def test_what_was_doubtful_or_given_or_tiny_holds_nothing_back(engine: Engine, old: Transcript, new: Transcript):
    claim = _claim_of(engine)
    _save(engine, claim, old)
    assert _save(engine, claim, new).is_current


def test_other_bytes_are_never_held_back(engine: Engine):
    _save(engine, _claim_of(engine), _held(10))
    register(engine, [upload(etag="e2")], settle_seconds=0)
    claim = take(engine, "run-2")
    record_sha256(engine, claim, OTHER_SHA256)
    assert _save(engine, claim, _held(1)).is_current


def test_a_version_remembers_what_lay_beside_the_file(engine: Engine):
    claim = _claim_of(engine)
    record_sidecars(engine, claim, "f" * 64)
    _save(engine, claim, _held(3))
    again = take(engine)
    assert (again.sidecars, again.transcribed_sidecars, again.transcribed_sha256) == ("f" * 64, "f" * 64, SHA256)


# --- promotion ------------------------------------------------------------------------------------------------------


def _two_versions(engine: Engine, second: Transcript | None = None) -> tuple[TranscriptRecord, TranscriptRecord]:
    """The first one is current if the second has collapsed."""
    claim = _claim_of(engine)
    records = _save(engine, claim, _held(10)), _save(engine, claim, second or _held(5))
    complete(engine, claim)
    return records


def _refusal(engine: Engine, version: int) -> PipelineError:
    with pytest.raises(PipelineError) as refused:
        transcripts.promote(engine, MEETING, version)
    return refused.value


def test_a_held_back_version_is_promoted_only_by_force(engine: Engine):
    first, second = _two_versions(engine)
    refused = _refusal(engine, 2)
    assert (refused.code, refused.detail) == (ErrorCode.PROMOTION_REFUSED, second.held_back)
    assert transcripts.current(engine, MEETING) == first
    promoted = transcripts.promote(engine, MEETING, 2, force=True)
    assert (promoted.is_current, promoted.held_back) == (True, second.held_back)
    assert transcripts.current(engine, MEETING) == promoted
    (told,) = [each for each in events.pending(engine, 9) if each.kind is EventKind.TRANSCRIBED]
    assert told.payload == {"transcript_id": second.transcript_id}


def test_going_back_is_a_promotion_too(engine: Engine):
    _, second = _two_versions(engine, _held(12))
    assert second.is_current
    assert transcripts.promote(engine, MEETING, 1).is_current
    assert transcripts.promote(engine, MEETING, 1).is_current, "again, as after a crash"
    assert [each.is_current for each in transcripts.versions(engine, MEETING)] == [True, False]


def test_a_version_of_other_content_is_promoted_only_by_force(engine: Engine):
    _save(engine, _claim_of(engine), _held(10))
    register(engine, [upload(etag="e2")], settle_seconds=0)
    claim = take(engine, "run-2")
    record_sha256(engine, claim, OTHER_SHA256)
    _save(engine, claim, _held(11))
    complete(engine, claim)
    assert _refusal(engine, 1).detail == "it was made from other content than the current version"
    assert transcripts.promote(engine, MEETING, 1, force=True).is_current


def test_nothing_is_promoted_under_a_run_at_work(engine: Engine, expire: Callable[[], None]):
    _two_versions(engine, _held(12))
    take(engine, "run-2")
    assert _refusal(engine, 1).code is ErrorCode.LEASE_HELD
    expire()
    assert transcripts.promote(engine, MEETING, 1).is_current


def test_what_cannot_be_promoted(engine: Engine):
    assert _refusal(engine, 1).code is ErrorCode.FILE_UNKNOWN
    register(engine, [upload()], settle_seconds=0)
    assert _refusal(engine, 1).code is ErrorCode.ARTIFACT_MISSING


def test_promotions_and_saves_at_once_leave_one_current_version_that_was_announced_last(engine: Engine):
    claim = _claim_of(engine)
    for number in range(4):
        _save(engine, claim, _held(10 + number))
    complete(engine, claim)
    refused = []

    def promoting(version: int) -> None:
        for _ in range(5):
            try:
                transcripts.promote(engine, MEETING, version)
            except PipelineError as error:
                refused.append(error.code)

    def saving() -> None:
        run = take(engine, "run-2")
        for number in range(5):
            _save(engine, run, _held(20 + number))
        complete(engine, run)

    threads = [threading.Thread(target=promoting, args=(version,)) for version in (1, 2, 3)]
    threads.append(threading.Thread(target=saving))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) <= {ErrorCode.LEASE_HELD, ErrorCode.PROMOTION_REFUSED}
    versions = transcripts.versions(engine, MEETING)
    assert [each.version for each in versions] == list(range(1, 10))
    (current,) = [each for each in versions if each.is_current]
    (told,) = [each for each in events.pending(engine, 99) if each.kind is EventKind.TRANSCRIBED]
    assert told.payload == {"transcript_id": current.transcript_id}


def test_the_history_says_what_made_each_version_and_how_good_it_is(engine: Engine):
    _two_versions(engine)
    first, second = transcripts.history(engine, MEETING)
    assert (first.version, first.is_current, first.recogniser, first.language) == (1, True, "faster-whisper base", "en")
    assert (second.held_back, second.words, second.quality["covered_speech_seconds"]) == (
        "25 s of certain speech, the current version has 50 s",
        50,
        25.0,
    )
    assert first.source_sha256 == SHA256
    assert transcripts.history(engine, "unknown") == []


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
