"""The promises made to people: kept by good transcripts, and seen when broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.speech.samples import diarization, spoken, transcript_of, transcription, turn
from tests.world import World, embedded_world
from transcribe_pipeline.artifacts import Audio, Doubt, Subtitles, Transcript, TranscriptRecord
from transcribe_pipeline.checks.transcripts import (
    audio_is_whole,
    exports_are_lossless,
    few_doubts,
    speakers_are_plausible,
    speech_is_covered,
    transcript_is_usable,
    version_became_current,
    words_in_order,
)
from transcribe_pipeline.export.formats import RESULT_FORMATS
from transcribe_pipeline.ledger import leases, transcripts
from transcribe_pipeline.resources.results import publish

GOOD = transcript_of(
    transcription(spoken("Is it done? It is. “Really?” he said."), speech=[(0.0, 4.0)]),
    diarization([turn("a", 0, 1.5), turn("b", 1.5, 4)]),
)
SILENT = transcript_of(transcription([]), diarization([]))


def audio(seconds: float, declared: float | None) -> Audio:
    return Audio(
        object_key="a.flac",
        size_bytes=1,
        sha256="ab" * 32,
        seconds=seconds,
        declared_seconds=declared,
        stream_index=0,
        track_rule="only track",
        downmix="mono",
    )


@pytest.mark.parametrize(
    ("seconds", "declared", "whole"),
    [
        (60, 60, True),
        (60, None, True),
        (59.1, 60, True),
        (58.0, 60, False),
        (3_540, 3_600, True),
        (3_500, 3_600, False),
        (70, 60, True),
        (0, None, False),
    ],
)
def test_audio_is_as_long_as_declared(seconds, declared, whole):
    assert audio_is_whole(audio(seconds, declared)).passed == whole


def with_word(transcript: Transcript, **changes: float) -> Transcript:
    """`transcript` with the second word of its first segment changed."""
    first, *others = transcript.segments
    words = [first.words[0], first.words[1].model_copy(update=changes), *first.words[2:]]
    segment = first.model_copy(update={"words": tuple(words)})
    return transcript.model_copy(update={"segments": (segment, *others)})


def test_good_transcripts_pass():
    for transcript in (GOOD, SILENT):
        assert words_in_order(transcript).passed
        assert speech_is_covered(transcript).passed


@pytest.mark.parametrize(
    "changes",
    [{"start": 99.0, "end": 99.5}, {"start": 0.9, "end": 0.6}, {"end": 99.0}],
    ids=["after its segment", "ends before it starts", "beyond the audio"],
)
def test_a_misplaced_word_is_seen(changes):
    assert not words_in_order(with_word(GOOD, **changes)).passed


def test_words_that_run_backwards_are_seen():
    first, *others = GOOD.segments
    segment = first.model_copy(update={"words": first.words[::-1]})
    assert not words_in_order(GOOD.model_copy(update={"segments": (segment, *others)})).passed


def test_speech_without_words_is_seen():
    missed = transcription(spoken("Hello."), speech=[(0.0, 60.0)])
    result = speech_is_covered(transcript_of(missed, diarization([])))
    assert not result.passed
    assert result.metadata["covered_share"].value < 0.05


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with embedded_world(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def exported(world: World) -> Subtitles:
    """The good transcript in a real ledger, and its exports in a real store."""
    key = world.add()
    claim = leases.claim(world.ledger, key, None, "run", lease_seconds=90, holder_finished=lambda _: False)
    transcripts.save(world.ledger, claim, GOOD, artifact_key="a", provenance={})
    return publish(world.ledger, world.store, "results", key)


def test_exports_read_back_are_compared_with_the_transcript(world: World, exported: Subtitles):
    assert exports_are_lossless(exported, ledger=world.ledger, store=world.store).passed


@pytest.mark.parametrize("name", RESULT_FORMATS)
def test_a_lost_word_is_seen_in_every_format(world: World, exported: Subtitles, name: str):
    (file,) = [file for file in exported.files if file.format == name]
    world.store.put_bytes(file.object_key, world.store.get_bytes(file.object_key).replace(b"done?", b""))
    result = exports_are_lossless(exported, ledger=world.ledger, store=world.store)
    assert not result.passed
    assert name in result.metadata


# --- quality --------------------------------------------------------------------------------------------------------


def judged(**quality: float) -> Transcript:
    """The good transcript with other figures."""
    return GOOD.model_copy(update={"quality": GOOD.quality.model_copy(update=quality)})


@pytest.mark.parametrize(
    ("quality", "usable"),
    [
        ({}, True),
        ({"speech_seconds": 60.0, "covered_speech_seconds": 50.0}, True),
        ({"speech_seconds": 60.0, "covered_speech_seconds": 3.0}, False),
        ({"speech_seconds": 60.0, "covered_speech_seconds": 50.0, "repeated_words": 7}, False),
        ({"speech_seconds": 60.0, "covered_speech_seconds": 50.0, "doubtful_seconds": 3.9}, False),
        # Too little speech proves nothing.
        ({"speech_seconds": 4.0, "covered_speech_seconds": 0.0}, True),
    ],
)
def test_only_a_transcript_of_no_use_is_an_error(quality, usable):
    result = transcript_is_usable(judged(**quality))
    assert (result.passed, result.severity.value) == (usable, "ERROR")


def test_doubts_are_counted_and_warned_of():
    first, *others = GOOD.segments
    doubtful = first.model_copy(update={"doubts": (Doubt.REPETITION,)})
    figures = GOOD.quality.model_copy(update={"doubtful_seconds": first.end - first.start})
    result = few_doubts(GOOD.model_copy(update={"segments": (doubtful, *others), "quality": figures}))
    assert (result.passed, result.severity.value) == (False, "WARN")
    assert result.metadata["segments_repetition"].value == 1
    assert few_doubts(GOOD).passed


def test_speakers_that_could_not_be_told_apart_are_said():
    who = diarization([turn("a", 0, 1.5), turn("b", 1.5, 4)])
    assert speakers_are_plausible(GOOD, who).passed
    failed = speakers_are_plausible(GOOD, who.model_copy(update={"failure": "no model"}))
    assert (failed.passed, failed.metadata["failure"].value) == (False, "no model")
    in_passing = transcript_of(
        transcription(spoken("Is it done? It is."), speech=[(0.0, 4.0)]),
        diarization([turn("a", 0, 4), turn("b", 2.0, 2.3)]),
    )
    assert not speakers_are_plausible(in_passing, who).passed


def test_a_version_that_was_held_back_is_said():
    record = TranscriptRecord(
        transcript_id="t", version=2, generation=2, digest="d", segments=1, words=2, speakers=1, is_current=False
    )
    assert version_became_current(record).passed
    assert not version_became_current(record.model_copy(update={"held_back": "half of the words"})).passed
