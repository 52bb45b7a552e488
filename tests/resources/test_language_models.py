from typing import Any

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources.language_models import LanguageModels
from transcribe_pipeline.settings import Settings


def models(**configured: Any) -> LanguageModels:
    return LanguageModels(Settings(_env_file=None, **configured))


def chain(chosen: LanguageModels, task: str) -> list[str]:
    return [f"{model.provider}/{model.model}" for model in chosen.for_task(task, lambda call: None)]


def test_none_is_chosen_by_default() -> None:
    assert not models().names()
    assert chain(models(), "summary") == []


def test_a_task_has_its_own_chain_and_the_others_the_common_one() -> None:
    chosen = models(llm="ollama/a, vllm/b", llm_tasks="summary=anthropic/c, ollama/a")
    assert chain(chosen, "summary") == ["anthropic/c", "ollama/a"]
    assert chain(chosen, "chapters") == ["ollama/a", "vllm/b"]
    assert [str(name) for name in chosen.names()] == ["ollama/a", "vllm/b", "anthropic/c"]


def test_a_model_for_one_task_alone() -> None:
    chosen = models(llm_tasks="summary=ollama/a")
    assert chosen.names()
    assert chain(chosen, "chapters") == []


def test_every_provider_can_be_had() -> None:
    all_of_them = "anthropic/a, openai/b, openrouter/c/d, vllm/e, ollama/f, compatible/g"
    chosen = models(llm=all_of_them, llm_compatible_url="http://127.0.0.1:1/v1")
    assert chain(chosen, "summary") == all_of_them.split(", ")


@pytest.mark.parametrize("address", ["", "host:8000", "ftp://host/v1", "http:///v1", "http://ann:hunter2@host/v1"])
def test_what_is_no_address_is_a_configuration_error_without_secrets(address: str) -> None:
    with pytest.raises(PipelineError, match="TRANSCRIBE_LLM_COMPATIBLE_URL") as caught:
        models(llm="compatible/m", llm_compatible_url=address).names()
    assert caught.value.code is ErrorCode.CONFIGURATION
    assert "hunter2" not in str(caught.value)


def test_no_key_shows_in_what_is_made_of_the_settings() -> None:
    keys = {f"llm_{name}_key": "sk-hunter2" for name in ("anthropic", "openai", "openrouter", "vllm", "compatible")}
    chosen = models(llm="anthropic/a, openai/b, openrouter/c, vllm/d", **keys)
    shown = [repr(chosen.for_task("summary", print)), repr(vars(chosen))]
    assert "hunter2" not in "".join(shown)
