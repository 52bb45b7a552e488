"""Versions of insights, on both databases."""

import threading
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.ledger.samples import claimed, take, transcript, upload
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import Chapter, Chapters, Insights, NameSuggestion, Provenance, SpeakerNames
from transcribe_pipeline.ledger import insights, leases, transcripts
from transcribe_pipeline.ledger.database import read
from transcribe_pipeline.ledger.files import register
from transcribe_pipeline.ledger.leases import Claim

OFFLINE = Provenance(method="offline")


def transcribed(engine: Engine) -> tuple[Claim, str]:
    claim = claimed(engine)
    return claim, transcripts.save(engine, claim, transcript(), artifact_key="x", provenance={}).transcript_id


def chapters(transcript_id: str, title: str = "Weather", made_by: Provenance = OFFLINE) -> Chapters:
    chapter = Chapter(start=0.0, end=15.0, title=title, first_segment=0, last_segment=2, key_phrases=("rain",))
    return Chapters(transcript_id=transcript_id, language="en", made_by=made_by, chapters=(chapter,))


def names(transcript_id: str) -> SpeakerNames:
    suggestion = NameSuggestion(
        label="SPEAKER_00", name="Zoë", confidence=0.9, source="is addressed", segments=(1,), reason="thanks, Zoë"
    )
    return SpeakerNames(transcript_id=transcript_id, language="en", made_by=OFFLINE, suggestions=(suggestion,))


def refusal(action: Any, *arguments: Any) -> ErrorCode:
    with pytest.raises(PipelineError) as refused:
        action(*arguments)
    return refused.value.code


def test_the_highest_version_of_each_stage_is_seen_and_the_others_are_kept(engine: Engine):
    claim, transcript_id = transcribed(engine)
    by_model = Provenance(method="language model", provider="ollama", model="qwen3:8b", prompt_hash="ab" * 32)
    first, second = chapters(transcript_id), chapters(transcript_id, "Rain", by_model)
    insights.save(engine, claim, "chapters", first)
    kept = insights.save(engine, claim, "chapters", second)
    insights.save(engine, claim, "speaker_names", names(transcript_id))

    assert (kept.version, kept.generation, kept.run_id) == (2, 1, "run-1")
    assert (kept.method, kept.provider, kept.model, kept.prompt_hash) == (
        "language model",
        "ollama",
        "qwen3:8b",
        "ab" * 32,
    )
    seen = insights.latest(engine, transcript_id)
    assert {stage: (view.version, view.value) for stage, view in seen.items()} == {
        "chapters": (2, second),
        "speaker_names": (1, names(transcript_id)),
    }
    assert insights.seen(engine, transcript_id) == Insights(chapters=second, speaker_names=names(transcript_id))
    assert [view.value for view in insights.history(engine, transcript_id, "chapters")] == [first, second]
    assert len(insights.history(engine, transcript_id)) == 3
    assert insights.of_stage(engine, transcript_id, "chapters") == seen["chapters"]
    earlier = insights.of_stage(engine, transcript_id, "chapters", 1)
    assert earlier
    assert earlier.value == first
    assert insights.of_stage(engine, transcript_id, "chapters", 3) is None
    assert insights.of_stage(engine, transcript_id, "summary") is None


def test_the_same_again_adds_no_version_but_going_back_does(engine: Engine):
    claim, transcript_id = transcribed(engine)
    first = insights.save(engine, claim, "chapters", chapters(transcript_id))
    assert insights.save(engine, claim, "chapters", chapters(transcript_id)) == first
    insights.save(engine, claim, "chapters", chapters(transcript_id, "Rain"))
    assert insights.save(engine, claim, "chapters", chapters(transcript_id)).version == 3


def test_a_run_that_was_superseded_writes_nothing(engine: Engine):
    claim, transcript_id = transcribed(engine)
    leases.release(engine, claim)
    take(engine, "run-2")
    assert refusal(insights.save, engine, claim, "chapters", chapters(transcript_id)) is ErrorCode.LEASE_LOST
    assert insights.latest(engine, transcript_id) == {}


def test_an_insight_belongs_to_a_transcript_of_the_claimed_file(engine: Engine):
    claim, transcript_id = transcribed(engine)
    other = upload("other.mp3", owner="bob")
    register(engine, [other], settle_seconds=0)
    bobs = take(engine, key=other.partition_key)
    assert refusal(insights.save, engine, bobs, "chapters", chapters(transcript_id)) is ErrorCode.ARTIFACT_MISSING
    assert refusal(insights.save, engine, claim, "chapters", chapters("nonsense")) is ErrorCode.ARTIFACT_MISSING


def test_text_that_no_database_takes_is_kept_without_it(engine: Engine):
    claim, transcript_id = transcribed(engine)
    insights.save(engine, claim, "chapters", chapters(transcript_id, "R\x00a\ud800in \x1b[2J'; DROP TABLE insight; --"))
    view = insights.of_stage(engine, transcript_id, "chapters")
    assert view
    assert view.value == chapters(transcript_id, "Rain [2J'; DROP TABLE insight; --")


def test_runs_that_save_at_once_count_on(engine: Engine):
    """Two threads of one run: the ledger lets no two runs hold a file."""
    claim, transcript_id = transcribed(engine)
    failures: list[BaseException] = []

    def save(title: str) -> None:
        try:
            insights.save(engine, claim, "chapters", chapters(transcript_id, title))
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=save, args=(f"Title {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [view.version for view in insights.history(engine, transcript_id)] == [1, 2, 3, 4]


def test_versions_tell_what_has_changed_without_reading(engine: Engine):
    claim, transcript_id = transcribed(engine)
    insights.save(engine, claim, "chapters", chapters(transcript_id))
    insights.save(engine, claim, "chapters", chapters(transcript_id, "Rain"))
    insights.save(engine, claim, "speaker_names", names(transcript_id))
    found = read(engine, lambda connection: insights.versions_of(connection, [transcript_id, "unknown"]))
    assert found == {transcript_id: {"chapters": 2, "speaker_names": 1}}
    assert read(engine, lambda connection: insights.versions_of(connection, [])) == {}


def test_another_transcript_version_has_insights_of_its_own(engine: Engine):
    claim, first = transcribed(engine)
    insights.save(engine, claim, "chapters", chapters(first))
    anew = transcripts.save(engine, claim, transcript(first_word="Bye"), artifact_key="x", provenance={})
    assert insights.latest(engine, anew.transcript_id) == {}
    assert insights.save(engine, claim, "chapters", chapters(anew.transcript_id)).version == 1
    assert insights.latest(engine, first)["chapters"].value == chapters(first)
