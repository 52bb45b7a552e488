"""Against a real server that speaks OpenAI's protocol and hears with the bundled Whisper base (`tests/servers`)."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import decode_audio

from tests.servers.openai_audio import AudioService, Fault, openai_audio_service
from tests.speech.recognisers.conftest import JFK, PRINTERS
from tests.speech.recognisers.heard import assert_in_order, segment_texts, spoken, words_of
from transcribe_pipeline.errors import ErrorClass, ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.recogniser import Request, Samples
from transcribe_pipeline.speech.recognisers import openai_api
from transcribe_pipeline.speech.recognisers.faster_whisper import FasterWhisper
from transcribe_pipeline.speech.recognisers.openai_api import OpenAIAudio

ENGLISH = Request("en")
GROUPS = [(0.0, 4.5), (5.0, 11.0)]
"""Of the eleven seconds of `jfk`: '... ask not' and 'what your country ...'."""


@pytest.fixture
def service(whisper: FasterWhisper) -> Iterator[AudioService]:
    with openai_audio_service(whisper.whisper) as running:
        yield running


@pytest.fixture
def engine(service: AudioService) -> OpenAIAudio:
    return openai_api.load("whisper-1", service.url, "")


def _impatient(engine: OpenAIAudio, retries: int = 0) -> OpenAIAudio:
    return OpenAIAudio(engine.client.with_options(max_retries=retries), engine.model)


# --- what services give ---------------------------------------------------------------------------------------------


def test_word_times_of_the_service_with_the_writing_of_its_text(
    service: AudioService, engine: OpenAIAudio, jfk: Samples
):
    heard = list(engine.recognise(jfk, GROUPS, ENGLISH))
    assert_in_order(heard)
    assert [group for group, _ in heard] == GROUPS
    words = words_of(heard)
    assert spoken(words) == JFK
    assert "country." in [word.text for word in words]  # the service's own words have no punctuation
    americans = words[JFK.index("americans")]
    assert americans.start <= 1.8 <= americans.end + 0.1
    assert 0.3 < words[0].probability < 1
    assert all(-1 < segment.avg_logprob < 0 for _, segments in heard for segment in segments)
    (asked,) = service.requests
    assert asked.path == "/v1/audio/transcriptions"
    assert asked.file_name == "audio.flac"
    assert asked.fields["language"] == ["en"]
    assert asked.fields["model"] == ["whisper-1"]
    assert "prompt" not in asked.fields


def test_without_word_times_words_are_spread_over_their_segment(
    service: AudioService, engine: OpenAIAudio, jfk: Samples
):
    service.gives_words = False
    heard = list(engine.recognise(jfk, GROUPS, ENGLISH))
    assert_in_order(heard)
    words = words_of(heard)
    assert spoken(words) == JFK
    assert words[JFK.index("americans")].start == pytest.approx(1.8, abs=1.0)
    list(engine.recognise(jfk, GROUPS[:1], ENGLISH))
    granularities = ["timestamp_granularities[]" in asked.fields for asked in service.requests]
    assert granularities == [True, False, False]  # not asked again after it was refused


def test_text_alone_is_asked_for_group_by_group(service: AudioService, engine: OpenAIAudio, jfk: Samples):
    service.gives_words = service.gives_segments = False
    heard = list(engine.recognise(jfk, GROUPS, ENGLISH))
    assert_in_order(heard)
    (_, first), (_, second) = heard
    assert "my fellow Americans" in segment_texts(first)
    assert "country" not in segment_texts(first)
    assert "what you can do for your country" in segment_texts(second)
    assert (second[0].start, second[0].end) == (5.0, 11.0)
    assert first[0].avg_logprob is None


def test_vocabulary_and_prompt_are_the_prompt(service: AudioService, engine: OpenAIAudio, printing: Samples):
    whole = [(0.0, printing.size / SAMPLE_RATE)]

    def misheard(request: Request) -> set[str]:
        said = " ".join(spoken(words_of(engine.recognise(printing, whole, request))))
        return {name for name in PRINTERS if name.lower() not in said}

    assert misheard(ENGLISH) >= {"Sweynheim", "Pannartz"}
    assert misheard(Request("en", vocabulary=PRINTERS, prompt="On printing.")) == set()
    assert service.requests[-1].fields["prompt"] == ["On printing. Glossary: Sweynheim, Pannartz, Subiaco."]


def test_language_and_translation(service: AudioService, engine: OpenAIAudio, testdata: Path):
    german: Samples = decode_audio(str(testdata / "lang_leopard/test_de.wav"))
    assert engine.detect_language([german]) == [{"de": 1.0}]
    whole = [(0.0, german.size / SAMPLE_RATE)]
    english = segment_texts(
        s for _, found in engine.recognise(german, whole, Request("de", to_english=True)) for s in found
    )
    assert not {"der", "die", "und", "ist"} & set(english.lower().split())
    assert {"the", "of", "a", "is", "and", "to"} & set(english.lower().split())
    assert service.requests[-1].path == "/v1/audio/translations"
    service.gives_words = service.gives_segments = False
    assert engine.detect_language([german]) == []  # plain text does not tell


def test_a_second_look_is_at_another_temperature(service: AudioService, engine: OpenAIAudio, jfk: Samples):
    segments = engine.reconsider(jfk, (5.0, 11.0), ENGLISH)
    assert "country" in segment_texts(segments)
    assert 5.0 <= segments[0].start < segments[-1].end <= 11.0
    assert float(service.requests[-1].fields["temperature"][0]) > 0
    assert service.requests[-1].seconds == pytest.approx(6.0)


# --- uploads --------------------------------------------------------------------------------------------------------


def test_pauses_are_not_paid_for(service: AudioService, engine: OpenAIAudio, jfk: Samples):
    late = np.concatenate([jfk, np.zeros(30 * SAMPLE_RATE, np.float32), jfk])
    heard = list(engine.recognise(late, [(0.0, 11.0), (41.0, 52.0)], ENGLISH))
    assert_in_order(heard)
    assert spoken(words_of(heard)) == JFK + JFK
    first, second = (word.start for word in words_of(heard) if word.text.startswith("Americans"))
    assert second - first == pytest.approx(41, abs=0.3)
    (asked,) = service.requests
    assert asked.seconds == pytest.approx(23.0, abs=0.01)


def test_a_service_that_takes_less_gets_smaller_uploads(service: AudioService, engine: OpenAIAudio, jfk: Samples):
    service.upload_limit = 110_000  # six seconds are 95 kB, all eleven 173 kB
    for _ in range(2):
        heard = list(engine.recognise(jfk, GROUPS, ENGLISH))
        assert_in_order(heard)
        words = spoken(words_of(heard))
        assert (words[:5], words[7:]) == (JFK[:5], JFK[7:])  # 'ask not' alone is heard as 'asked not'
    seconds = [round(asked.seconds, 1) for asked in service.requests]
    assert seconds == [11.0, 4.5, 6.0, 4.5, 6.0]  # refused once, remembered, never cut inside a group


def test_a_group_that_is_too_large_is_an_error(service: AudioService, engine: OpenAIAudio, jfk: Samples):
    service.upload_limit = 1000
    with pytest.raises(PipelineError) as caught:
        list(engine.recognise(jfk, GROUPS[:1], ENGLISH))
    assert (caught.value.code, caught.value.detail) == (
        ErrorCode.SERVICE_REFUSED,
        "4 s of audio are too large an upload",
    )


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_busy_service_is_asked_again_when_it_says(
    service: AudioService, engine: OpenAIAudio, jfk: Samples, caplog: pytest.LogCaptureFixture
):
    service.faults.extend([Fault(429, (("Retry-After", "1"),)), Fault(503)])
    with caplog.at_level(logging.INFO, logger="openai"):
        heard = list(engine.recognise(jfk, GROUPS, ENGLISH))
    assert spoken(words_of(heard)) == JFK
    assert "Retrying request in 1.000000 seconds" in caplog.text


@pytest.mark.parametrize(
    ("fault", "code", "facts"),
    [
        (Fault(500), ErrorCode.SERVICE_UNAVAILABLE, "HTTP 500"),
        (Fault(429), ErrorCode.SERVICE_UNAVAILABLE, "HTTP 429"),
        (Fault(403), ErrorCode.SERVICE_REFUSED, "HTTP 403"),
        (Fault(404), ErrorCode.SERVICE_REFUSED, "HTTP 404"),
        (Fault(200, body="<html>Please log in</html>"), ErrorCode.SERVICE_REFUSED, "its answer is not a transcription"),
        (
            Fault(200, body='{"text": "a", "segments": [{"text": "a", "start": NaN, "end": 1}]}'),
            ErrorCode.SERVICE_REFUSED,
            "its answer is not a transcription",
        ),
    ],
)
def test_failures_have_codes(
    service: AudioService, engine: OpenAIAudio, jfk: Samples, fault: Fault, code: ErrorCode, facts: str
):
    service.faults.append(fault)
    with pytest.raises(PipelineError) as caught:
        list(_impatient(engine).recognise(jfk, GROUPS, ENGLISH))
    assert (caught.value.code, caught.value.detail) == (code, facts)


def test_an_account_without_money_is_not_asked_again(service: AudioService, engine: OpenAIAudio, jfk: Samples):
    broke = Fault(429, (("Content-Type", "application/json"),), '{"error": {"code": "insufficient_quota"}}')
    service.faults.append(broke)
    with pytest.raises(PipelineError) as caught:
        list(_impatient(engine).recognise(jfk, GROUPS, ENGLISH))
    assert caught.value.error_class is ErrorClass.PERMANENT


def test_a_service_that_is_away_or_hangs_is_unavailable(service: AudioService, engine: OpenAIAudio, jfk: Samples):
    nobody = _impatient(openai_api.load("whisper-1", "http://127.0.0.1:9/v1", ""))
    with pytest.raises(PipelineError) as caught:
        list(nobody.recognise(jfk, GROUPS, ENGLISH))
    assert (caught.value.code, caught.value.detail) == (ErrorCode.SERVICE_UNAVAILABLE, "no connection")
    service.hangs_seconds = 3.0
    hurried = _impatient(engine)
    hurried.answer_seconds = -10.5  # half a second for these eleven
    with pytest.raises(PipelineError) as caught:
        list(hurried.recognise(jfk, GROUPS, ENGLISH))
    assert (caught.value.code, caught.value.detail) == (ErrorCode.SERVICE_UNAVAILABLE, "no answer in time")


def test_a_wrong_key_is_refused_and_never_shown(service: AudioService, jfk: Samples, caplog: pytest.LogCaptureFixture):
    service.key = "sk-right"
    stranger = openai_api.load("whisper-1", service.url, "sk-hunter2")
    with caplog.at_level(logging.DEBUG), pytest.raises(PipelineError) as caught:
        list(stranger.recognise(jfk, GROUPS, ENGLISH))
    assert (caught.value.code, caught.value.detail) == (ErrorCode.SERVICE_REFUSED, "HTTP 401, invalid_api_key")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(stranger)
    with pytest.raises(PipelineError) as caught:
        openai_api.require_answer(service.url, "sk-hunter2")
    assert "hunter2" not in str(caught.value)
    openai_api.require_answer(service.url, "sk-right")


def test_a_private_service_never_gets_the_key_that_is_for_openai(
    service: AudioService, jfk: Samples, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hunter2")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    list(openai_api.load("whisper-1", service.url, "").recognise(jfk, GROUPS[:1], ENGLISH))
    assert "hunter2" not in str(service.requests)


def test_openai_itself_wants_a_key():
    with pytest.raises(PipelineError) as caught:
        openai_api.load("whisper-1", "", "")
    assert caught.value.code is ErrorCode.CONFIGURATION
    assert str(openai_api.load("whisper-1", "", "sk-any").client.base_url) == f"{openai_api.OPENAI_URL}/"


def test_a_service_is_asked_whether_it_is_there(service: AudioService):
    openai_api.require_answer(service.url, "")
    openai_api.require_answer(service.url.removesuffix("/v1") + "/no-list", "")
    with pytest.raises(PipelineError) as caught:
        openai_api.require_answer("http://127.0.0.1:9/v1", "")
    assert caught.value.code is ErrorCode.SERVICE_UNAVAILABLE


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(PipelineError) as caught:
        openai_api.load("whisper-1", "http://127.0.0.1:9/v1", "")
    assert caught.value.code is ErrorCode.ENGINE_MISSING
    assert "pip install openai" in caught.value.detail
