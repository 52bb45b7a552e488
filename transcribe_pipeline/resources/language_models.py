"""Language models as the settings choose them, by task; nothing is asked of a provider before it is needed."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import dagster as dg
from pydantic import SecretStr

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.insights import INSIGHTS
from transcribe_pipeline.language_models.choice import Chain, ModelName, Price, parse, parse_prices, parse_tasks
from transcribe_pipeline.language_models.port import LanguageModel, Record
from transcribe_pipeline.settings import Settings, settings

if TYPE_CHECKING:
    from transcribe_pipeline.language_models.chat import Endpoint
    from transcribe_pipeline.language_models.wire import Wire


class _Chosen(NamedTuple):
    chain: Chain
    by_task: Mapping[str, Chain]
    prices: Mapping[ModelName, Price]

    @property
    def names(self) -> tuple[ModelName, ...]:
        return tuple(dict.fromkeys((*self.chain, *(name for chain in self.by_task.values() for name in chain))))


class LanguageModels:
    """Assets ask `context.resources.language_models`.

    Settings that name no model, price or address are told (CONFIGURATION) when a model is asked for, not before: they
    must not cost a recording its transcript.
    """

    def __init__(self, configured: Settings) -> None:
        self._settings = configured
        self._endpoints: dict[ModelName, Endpoint] = {}

    @cached_property
    def _chosen(self) -> _Chosen:
        s = self._settings
        chosen = _Chosen(parse(s.llm), parse_tasks(s.llm_tasks, INSIGHTS), parse_prices(s.llm_prices))
        for name in chosen.names:
            self._address(name)
        return chosen

    def names(self) -> tuple[ModelName, ...]:
        """Every model that is chosen for something, each once."""
        return self._chosen.names

    def for_task(self, task: str, record: Record) -> list[LanguageModel]:
        """The models to ask, one after another where one fails; none where none is chosen.

        :param record: gets every request that is made, failed ones too.
        """
        from transcribe_pipeline.language_models.chat import ChatModel

        return [ChatModel(self.endpoint(name), record) for name in self._chain_of(task)]

    def endpoint(self, name: ModelName) -> "Endpoint":
        if name not in self._endpoints:
            self._endpoints[name] = self._new_endpoint(name)
        return self._endpoints[name]

    def _chain_of(self, task: str) -> Chain:
        return self._chosen.by_task.get(task, self._chosen.chain)

    def _new_endpoint(self, name: ModelName) -> "Endpoint":
        from transcribe_pipeline.language_models.chat import Endpoint
        from transcribe_pipeline.language_models.patience import breaker_of

        wire = self._wire(name)
        return Endpoint(
            name,
            wire,
            breaker_of(name.provider, wire.address),
            answer_seconds=self._settings.llm_answer_seconds,
            context=self._settings.llm_context_tokens,
            price=self._chosen.prices.get(name),
        )

    def _wire(self, name: ModelName) -> "Wire":
        from transcribe_pipeline.language_models.egress import http_client
        from transcribe_pipeline.language_models.providers.anthropic_messages import AnthropicMessages
        from transcribe_pipeline.language_models.providers.ollama_chat import OllamaChat
        from transcribe_pipeline.language_models.providers.openai_chat import OpenAIChat

        s, address = self._settings, self._address(name)
        http = http_client(allow_remote=s.allow_remote_llm)
        match name.provider:
            case "anthropic":
                return AnthropicMessages(name.model, address, s.llm_anthropic_key, http)
            case "ollama":
                return OllamaChat(name.model, address, http)
            case "openai" | "openrouter" | "vllm" | "compatible":
                keys: dict[str, SecretStr] = {
                    "openai": s.llm_openai_key,
                    "openrouter": s.llm_openrouter_key,
                    "vllm": s.llm_vllm_key,
                    "compatible": s.llm_compatible_key,
                }
                return OpenAIChat(name.provider, name.model, address, keys[name.provider], http)
        raise AssertionError(name.provider)

    def _address(self, name: ModelName) -> str:
        """:raises PipelineError: CONFIGURATION."""
        from transcribe_pipeline.language_models.providers.anthropic_messages import ANTHROPIC_URL
        from transcribe_pipeline.language_models.providers.openai_chat import OPENAI_URL, OPENROUTER_URL

        s = self._settings
        addresses = {
            "anthropic": s.llm_anthropic_url or ANTHROPIC_URL,
            "openai": OPENAI_URL,
            "openrouter": OPENROUTER_URL,
            "vllm": s.llm_vllm_url,
            "ollama": s.llm_ollama_url,
            "compatible": s.llm_compatible_url,
        }
        return _checked(addresses[name.provider], f"TRANSCRIBE_LLM_{name.provider.upper()}_URL")


def _checked(address: str, setting: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PipelineError(ErrorCode.CONFIGURATION, f"{setting} is no address like http://host:8000/v1")
    if parts.username or parts.password:
        raise PipelineError(ErrorCode.CONFIGURATION, f"{setting} holds a password: keys have settings of their own")
    return address.rstrip("/")


class LanguageModelsResource(dg.ConfigurableResource[LanguageModels]):
    def create_resource(self, context: dg.InitResourceContext) -> LanguageModels:
        return LanguageModels(settings())
