"""The promises made to people: kept by good transcripts, and seen when broken."""

import pytest

from tests.speech.samples import diarization, spoken, transcript_of, transcription, turn
from transcribe_pipeline.artifacts import Audio, ExportFile, Subtitles, Transcript
from transcribe_pipeline.checks import audio_is_whole, exports_are_lossless, speech_is_covered, words_in_order
from transcribe_pipeline.export.formats import FORMATS, write_all
from transcribe_pipeline.resources.object_store import ObjectStore, open_store

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
def store(tmp_path) -> ObjectStore:
    return open_store(tmp_path.as_uri())


def stored(store: ObjectStore) -> Subtitles:
    files = []
    for name, content in write_all(GOOD, file_name="a.wav", names={}).items():
        key = f"results/transcript.{FORMATS[name].extension}"
        store.put_bytes(key, content)
        files.append(ExportFile(format=name, object_key=key, size_bytes=len(content), words=len(GOOD.words)))
    return Subtitles(transcript_id="t", files=tuple(files))


def test_exports_read_back_are_compared_with_the_transcript(store):
    subtitles = stored(store)
    assert exports_are_lossless(subtitles, GOOD, store=store).passed


@pytest.mark.parametrize("name", FORMATS)
def test_a_lost_word_is_seen_in_every_format(store, name):
    subtitles = stored(store)
    (file,) = [file for file in subtitles.files if file.format == name]
    store.put_bytes(file.object_key, store.get_bytes(file.object_key).replace(b"done?", b""))
    result = exports_are_lossless(subtitles, GOOD, store=store)
    assert not result.passed
    assert name in result.metadata
