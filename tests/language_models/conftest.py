from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel, Field, SecretStr

from tests.servers.scripted_model import ScriptedModel, scripted_model
from transcribe_pipeline.language_models.chat import ChatModel, Endpoint
from transcribe_pipeline.language_models.choice import ModelName
from transcribe_pipeline.language_models.egress import http_client
from transcribe_pipeline.language_models.patience import new_breaker
from transcribe_pipeline.language_models.port import Call, Prompt
from transcribe_pipeline.language_models.providers.anthropic_messages import AnthropicMessages
from transcribe_pipeline.language_models.providers.ollama_chat import OllamaChat
from transcribe_pipeline.language_models.providers.openai_chat import OpenAIChat
from transcribe_pipeline.language_models.wire import Wire

KEY = "sk-hunter2"


class Point(BaseModel):
    text: str = Field(max_length=80, description="What was said.")
    segments: list[int] = Field(max_length=4)


class Points(BaseModel):
    points: list[Point] = Field(max_length=3)


ANSWER = '{"points": [{"text": "Ten chairs.", "segments": [0]}]}'
PROMPT = Prompt("summary", "List what was decided.", "<t>\n0|SPEAKER_00|We buy ten chairs.\n</t>")


@dataclass
class Bench:
    """A model at the scripted server, and the calls it reports."""

    server: ScriptedModel
    calls: list[Call] = field(default_factory=list)

    def model(self, wire: Wire, name: str = "compatible/m", **settings: object) -> ChatModel:
        provider, _, model = name.partition("/")
        defaults = {"breaker": new_breaker(), "answer_seconds": 5.0, "context": 4096, "first_wait": 0.0}
        return ChatModel(Endpoint(ModelName(provider, model), wire, **defaults | settings), self.calls.append)  # type: ignore[arg-type]

    def compatible(self, provider: str = "compatible", **settings: object) -> ChatModel:
        http = http_client(allow_remote=False)
        wire = OpenAIChat(provider, "m", f"{self.server.url}/v1", SecretStr(KEY), http)  # type: ignore[arg-type]
        return self.model(wire, f"{provider}/m", **settings)

    def ollama(self, **settings: object) -> ChatModel:
        return self.model(OllamaChat("m", self.server.url, http_client(allow_remote=False)), "ollama/m", **settings)

    def anthropic(self, **settings: object) -> ChatModel:
        wire = AnthropicMessages("m", self.server.url, SecretStr(KEY), http_client(allow_remote=False))
        return self.model(wire, "anthropic/m", **settings)

    @property
    def outcomes(self) -> list[tuple[str, int, str]]:
        return [(str(call.outcome), call.turn, call.detail) for call in self.calls]


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[ScriptedModel]:
    with scripted_model() as server:
        yield server


@pytest.fixture
def bench(scripted_server: ScriptedModel) -> Bench:
    scripted_server.forget()
    return Bench(scripted_server)
