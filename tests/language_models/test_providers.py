"""What each provider is asked, in its own words, and what is made of its answers."""

import json
from typing import Any

import pytest
from pydantic import SecretStr

from tests.language_models.conftest import ANSWER, KEY, PROMPT, Bench, Points
from tests.servers.language_model import CONTEXT_TOKENS
from tests.servers.scripted_model import Scripted
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.language_models.chat import ChatModel
from transcribe_pipeline.language_models.choice import Price
from transcribe_pipeline.language_models.egress import http_client
from transcribe_pipeline.language_models.port import Prompt
from transcribe_pipeline.language_models.providers.anthropic_messages import AnthropicMessages
from transcribe_pipeline.language_models.providers.openai_chat import OpenAIChat
from transcribe_pipeline.language_models.schemas import schema_of
from transcribe_pipeline.language_models.wire import Request

LONG = Prompt("summary", "List what was decided.", "\n".join(f"{i}|SPEAKER_00|yes we buy it" for i in range(60)))


def completion(**usage: Any) -> Scripted:
    counts = {"prompt_tokens": 1000, "completion_tokens": 100}
    return Scripted({"choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}], "usage": counts | usage})


# --- OpenAI's interface ---------------------------------------------------------------------------------------------


def test_openai_is_asked_in_the_words_of_its_newer_models(bench: Bench) -> None:
    bench.server.says(completion())
    bench.compatible("openai").ask(PROMPT, Points)
    [asked] = bench.server.asked
    assert not {"max_tokens", "temperature", "tools"} & set(asked)
    assert asked["max_completion_tokens"] == 1024
    assert asked["store"] is False
    form = asked["response_format"]["json_schema"]
    assert form["strict"] is True
    assert "maxLength" not in json.dumps(form)
    assert form["schema"]["additionalProperties"] is False


def test_grammars_get_the_bounds_of_the_answer(bench: Bench) -> None:
    bench.server.says(completion())
    bench.compatible("vllm").ask(PROMPT, Points)
    [asked] = bench.server.asked
    assert asked["temperature"] == 0
    point = asked["response_format"]["json_schema"]["schema"]["$defs"]["Point"]["properties"]
    assert point["text"]["maxLength"] == 80


def test_openrouter_keeps_nothing_and_tells_its_cost(bench: Bench) -> None:
    bench.server.says(completion(cost=0.0123))
    bench.compatible("openrouter", price=Price(99, 99)).ask(PROMPT, Points)
    assert bench.server.asked[0]["provider"] == {"data_collection": "deny"}
    assert bench.calls[0].cost_usd == 0.0123


def test_cost_by_the_price_of_a_million_tokens(bench: Bench) -> None:
    bench.server.says(completion())
    bench.compatible(price=Price(2, 10)).ask(PROMPT, Points)
    assert bench.calls[0].cost_usd == pytest.approx(0.003)  # 1,000 in at $2, 100 out at $10


@pytest.mark.parametrize(
    ("provider", "entry", "context"),
    [
        ("vllm", {"id": "m", "max_model_len": 6000}, 6000),
        ("openrouter", {"id": "m", "context_length": 7000}, 7000),
        ("compatible", {"id": "m", "context_window": 8000}, 8000),
        ("compatible", {"id": "m"}, 4096),
        ("compatible", {"id": "m", "max_model_len": "many"}, 4096),
        ("compatible", {"id": "the only one", "max_model_len": 9000}, 9000),
    ],
)
def test_the_context_is_asked_of_the_provider_once(
    bench: Bench, provider: str, entry: dict[str, Any], context: int
) -> None:
    bench.server.pages["/v1/models"] = Scripted({"data": [entry]})
    model = bench.compatible(provider, context=0)
    assert model.context_tokens == context
    assert model.answer_tokens == context // 4
    assert bench.server.visits == ["/v1/models"]


def test_among_several_models_only_the_own_one_counts(bench: Bench) -> None:
    others = [{"id": "x", "max_model_len": 1}, {"id": "m", "max_model_len": 5000}]
    bench.server.pages["/v1/models"] = Scripted({"data": others})
    assert bench.compatible("vllm", context=0).context_tokens == 5000
    bench.server.pages["/v1/models"] = Scripted({"data": others[:1] * 2})
    assert bench.compatible("vllm", context=0).context_tokens == 4096


def test_llama_cpp_tells_the_context_of_one_request(bench: Bench) -> None:
    bench.server.pages["/v1/models"] = Scripted(
        {"data": [{"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx": 8192}}]}
    )
    bench.server.pages["/props"] = Scripted({"default_generation_settings": {"n_ctx": 2048}})
    assert bench.compatible(context=0).context_tokens == 2048


def test_a_longest_answer_is_kept_to(bench: Bench) -> None:
    entry = {"id": "m", "context_length": 100_000, "top_provider": {"max_completion_tokens": 1500}}
    bench.server.pages["/v1/models"] = Scripted({"data": [entry]})
    assert bench.compatible("openrouter", context=0).answer_tokens == 1500


def test_asking_for_the_context_fails_as_asking_does(bench: Bench) -> None:
    bench.server.pages["/v1/models"] = Scripted(status=503)
    with pytest.raises(PipelineError) as caught:
        bench.compatible(context=0).room(PROMPT, Points)
    assert caught.value.code is ErrorCode.LANGUAGE_MODEL_UNAVAILABLE
    bench.server.pages["/v1/models"] = Scripted("[1]")
    with pytest.raises(PipelineError, match="something else answers there"):
        bench.compatible(context=0).ask(PROMPT, Points)


# --- Ollama ---------------------------------------------------------------------------------------------------------


def chat(content: str = ANSWER, **changes: Any) -> Scripted:
    counts = {"prompt_eval_count": 900, "eval_count": 20, "done_reason": "stop", "done": True}
    return Scripted({"model": "m", "message": {"role": "assistant", "content": content}} | counts | changes)


def test_ollama_is_asked_at_its_own_route_with_a_window_that_fits(bench: Bench) -> None:
    bench.server.says(chat(), chat(prompt_eval_count=10_050))
    model = bench.ollama(context=32_768)
    model.ask(PROMPT, Points)
    model.ask(Prompt("summary", "List.", "word \n" * 5000), Points)
    small, large = bench.server.asked
    assert bench.server.visits == ["/api/chat"] * 2
    assert small["format"] == schema_of(Points)
    assert small["options"] == {"num_ctx": 16_384, "num_predict": 8192, "temperature": 0}
    assert large["options"]["num_ctx"] == 32_768
    assert (small["stream"], small["truncate"], small["shift"]) == (False, False, False)
    assert bench.calls[0].tokens_in == 900


def test_ollamas_window_is_never_larger_than_the_model_s(bench: Bench) -> None:
    bench.server.says(chat())
    bench.ollama(context=3000).ask(PROMPT, Points)
    assert bench.server.asked[0]["options"]["num_ctx"] == 3000


@pytest.mark.parametrize(
    ("shown", "context"),
    [
        ({"model_info": {"llama.context_length": 8192}}, 8192),
        ({"model_info": {"llama.context_length": 131_072}}, 32_768),
        ({"model_info": {"llama.context_length": 131_072}, "parameters": "stop x\nnum_ctx    65536"}, 65_536),
        ({"model_info": {"llama.context_length": 8192}, "parameters": "num_ctx 65536"}, 8192),
        ({"model_info": {}}, 4096),
    ],
)
def test_ollama_tells_the_context(bench: Bench, shown: dict[str, Any], context: int) -> None:
    bench.server.pages["/api/show"] = Scripted(shown)
    assert bench.ollama(context=0).context_tokens == context


@pytest.mark.parametrize("read", [4095, 4096, 150])
def test_ollama_s_silent_truncation_is_found_out(bench: Bench, read: int) -> None:
    bench.server.says(chat(prompt_eval_count=read), chat())
    with pytest.raises(PipelineError, match="truncated") as caught:
        bench.ollama().ask(LONG, Points)
    assert caught.value.code is ErrorCode.LANGUAGE_MODEL_BAD_ANSWER
    assert len(bench.calls) == 1


def test_an_old_ollama_is_asked_for_json(bench: Bench) -> None:
    bench.server.says(Scripted({"error": "cannot unmarshal object"}, status=400), chat(prompt_eval_count=None))
    assert bench.ollama().ask(PROMPT, Points).points
    assert bench.server.asked[1]["format"] == "json"


def test_ollama_s_error_with_status_200_may_pass(bench: Bench) -> None:
    bench.server.says(Scripted({"error": "model is loading"}), chat(ANSWER[:9], done_reason="length"), chat())
    assert bench.ollama().ask(PROMPT, Points).points
    assert [call.detail for call in bench.calls] == ["HTTP 200 with an error", "cut off", ""]


# --- Anthropic ------------------------------------------------------------------------------------------------------


def message(**changes: Any) -> Scripted:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 900, "output_tokens": 20}
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": ANSWER}]
    return Scripted({"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage} | changes)


def test_anthropic_constrains_the_answer_itself(bench: Bench) -> None:
    bench.server.says(message())
    assert bench.anthropic().ask(PROMPT, Points).points
    [asked] = bench.server.asked
    assert bench.server.visits == ["/v1/messages"]
    assert bench.server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert asked["output_config"]["format"]["type"] == "json_schema"
    assert not {"tools", "temperature"} & set(asked)
    assert asked["system"].startswith(PROMPT.instructions)
    assert bench.calls[0].tokens_in == 910


def test_an_anthropic_model_without_structured_output_is_asked_in_words(bench: Bench) -> None:
    bench.server.says(Scripted(status=400), message(), message())
    model = bench.anthropic()
    model.ask(PROMPT, Points)
    model.ask(PROMPT, Points)
    assert ["output_config" in asked for asked in bench.server.asked] == [True, False, False]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([message(stop_reason="refusal")], ErrorCode.LANGUAGE_MODEL_REFUSED),
        ([message(stop_reason="model_context_window_exceeded")], ErrorCode.LANGUAGE_MODEL_BAD_ANSWER),
        ([message(stop_reason="max_tokens")] * 3, ErrorCode.LANGUAGE_MODEL_BAD_ANSWER),
        ([Scripted(status=401)], ErrorCode.LANGUAGE_MODEL_REFUSED),
        ([message(content=[])] * 5, ErrorCode.LANGUAGE_MODEL_UNAVAILABLE),
        ([Scripted("<html>")] * 5, ErrorCode.LANGUAGE_MODEL_UNAVAILABLE),
        ([Scripted(status=529)] * 5, ErrorCode.LANGUAGE_MODEL_UNAVAILABLE),
    ],
)
def test_anthropic_s_failures(bench: Bench, script: list[Scripted], code: ErrorCode) -> None:
    bench.server.says(*script)
    with pytest.raises(PipelineError) as caught:
        bench.anthropic().ask(PROMPT, Points)
    assert caught.value.code is code
    assert len(bench.calls) == len(script)


def test_anthropic_tells_its_limits(bench: Bench) -> None:
    about = {"id": "m", "type": "model", "max_input_tokens": 500_000, "max_tokens": 8000}
    bench.server.pages["/v1/models/m"] = Scripted(about)
    model = bench.anthropic(context=0)
    assert (model.context_tokens, model.answer_tokens) == (500_000, 8000)


def test_what_speaks_anthropic_s_protocol_and_tells_no_limits_has_those_of_its_models(bench: Bench) -> None:
    assert bench.anthropic(context=0).context_tokens == 200_000


# --- a real model ---------------------------------------------------------------------------------------------------


def real(bench: Bench, url: str, **settings: Any) -> ChatModel:
    wire = OpenAIChat("compatible", "smollm2", url, SecretStr(""), http_client(allow_remote=False))
    return bench.model(wire, "compatible/smollm2", answer_seconds=120.0, **settings)


def test_a_real_model_answers_in_form_over_openai_s_interface(bench: Bench, smollm2: str) -> None:
    model = real(bench, smollm2, context=0)
    assert model.context_tokens == CONTEXT_TOKENS
    answer = model.ask(PROMPT, Points)
    assert isinstance(answer, Points)
    [call] = bench.calls
    assert call.outcome == "answered"
    assert 50 < (call.tokens_in or 0) <= call.tokens_counted
    assert call.tokens_out


def test_a_real_model_answers_over_anthropic_s_interface(smollm2: str) -> None:
    """llama.cpp's `/v1/messages` leaves the form to the model, and this one is too small to keep it."""
    address = smollm2.removesuffix("/v1")
    wire = AnthropicMessages("smollm2", address, SecretStr(""), http_client(allow_remote=False))
    asked = Request("Be brief.", "Say hello.", schema_of(Points), "schema", 100, 8, CONTEXT_TOKENS, 60.0)
    reply = wire.send(asked)
    assert reply.text
    assert 10 < (reply.tokens_in or 0) < 100
    assert (reply.tokens_out, reply.finished) == (8, False)


def test_a_real_server_refuses_what_is_longer_than_its_context(bench: Bench, smollm2: str) -> None:
    with pytest.raises(PipelineError) as caught:
        real(bench, smollm2, context=200_000).ask(Prompt("summary", "List.", "yes we do. " * 4000), Points)
    assert caught.value.code is ErrorCode.LANGUAGE_MODEL_REFUSED
