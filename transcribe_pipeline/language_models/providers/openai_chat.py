"""OpenAI's `/v1/chat/completions`, as OpenAI, OpenRouter, vLLM, llama.cpp and many others have it.

They differ in how they tell the context, in the name of the answer's limit and in which forms of answer they know; this
is where that is known. Responses are read with models of our own: services leave out and add what they like.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.language_models import facts
from transcribe_pipeline.language_models.egress import timeout, translated
from transcribe_pipeline.language_models.schemas import without_lengths
from transcribe_pipeline.language_models.wire import (
    Form,
    Limits,
    MayPassError,
    Reply,
    Request,
    as_object,
    failure,
    refused,
)

if TYPE_CHECKING:
    import httpx2
    from openai import OpenAI

OPENAI_URL = "https://api.openai.com/v1"
OPENROUTER_URL = "https://openrouter.ai/api/v1"

_NO_KEY = "none"
"""The client insists on sending one; servers that want none ignore it."""
_CONTEXT_NAMES = ("max_model_len", "context_length", "context_window", "max_context_length")
"""In `/v1/models`: of vLLM; OpenRouter and Together; Groq; Mistral."""


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Message(_Lenient):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Lenient):
    message: _Message = _Message()
    finish_reason: str | None = None
    error: Any = None


class _Usage(_Lenient):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    """OpenRouter's, in USD."""


class _Completion(_Lenient):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None
    """OpenRouter, and proxies: with HTTP 200."""


@dataclass(frozen=True)
class OpenAIChat:
    provider: Literal["openai", "openrouter", "vllm", "compatible"]
    model: str
    address: str
    """Up to and with `/v1`."""
    key: SecretStr
    http: "httpx2.Client"
    forms: tuple[Form, ...] = field(default=("schema", "json", "text"), init=False)

    def send(self, request: Request) -> Reply:
        import openai

        self._require_key()
        arguments: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
            "timeout": timeout(request.seconds),
            "response_format": self._response_format(request) or openai.omit,
            **self._manners(request),
        }
        try:
            response = self._client.chat.completions.with_raw_response.create(**arguments)
            content = response.content
        except openai.APIStatusError as error:
            raise failure(error.status_code, error.response.headers) from None
        except openai.OpenAIError as error:
            raise translated(error) from None
        return _reply(content)

    def limits(self, seconds: float) -> Limits:
        if self.provider == "openai":
            return Limits(facts.openai_context(self.model), facts.openai_answer(self.model))
        listed = self._get("/models", seconds).get("data")
        entries = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        # A server with a single model may answer to any name.
        own = next((each for each in entries if each.get("id") == self.model), entries[0] if len(entries) == 1 else {})
        if own.get("owned_by") == "llamacpp":
            return Limits(self._slot_context(seconds))
        context = next((own[name] for name in _CONTEXT_NAMES if _is_count(own.get(name))), None)
        serving = own.get("top_provider")
        answer = serving.get("max_completion_tokens") if isinstance(serving, dict) else None
        return Limits(context, answer if _is_count(answer) else None)

    def look(self, seconds: float) -> None:
        match self.provider:
            case "openai":
                self._get(f"/models/{self.model}", seconds)
            case "openrouter":
                self._get("/key", seconds)  # its list of models is public
            case _:
                self._get("/models", seconds)

    def _slot_context(self, seconds: float) -> int | None:
        """llama.cpp divides its context between requests at a time; `/props` tells the part of one."""
        properties = self._get("/props", seconds, address=self.address.removesuffix("/v1"))
        generation = properties.get("default_generation_settings")
        context = generation.get("n_ctx") if isinstance(generation, dict) else None
        return context if _is_count(context) else None

    def _response_format(self, request: Request) -> dict[str, Any] | None:
        match request.form:
            case "schema":
                is_grammar = self.provider in ("vllm", "compatible")
                schema = request.schema if is_grammar else without_lengths(request.schema)
                return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
            case "json":
                return {"type": "json_object"}
            case "text":
                return None

    def _manners(self, request: Request) -> dict[str, Any]:
        if self.provider == "openai":
            # Its reasoning models know neither `max_tokens` nor a temperature.
            return {"max_completion_tokens": request.answer_tokens, "store": False}
        arguments: dict[str, Any] = {"max_tokens": request.answer_tokens, "temperature": 0}
        if self.provider == "openrouter":
            # Not to those who keep what they are sent; and tell what it cost.
            arguments["extra_body"] = {"provider": {"data_collection": "deny"}, "usage": {"include": True}}
        return arguments

    @property
    def _client(self) -> "OpenAI":
        from openai import OpenAI

        # Everything is said explicitly: the client would take the address and the key from OPENAI_... variables.
        key = self.key.get_secret_value() or _NO_KEY
        return OpenAI(base_url=self.address, api_key=key, http_client=self.http, max_retries=0)

    def _get(self, path: str, seconds: float, *, address: str = "") -> Mapping[str, Any]:
        import httpx2

        self._require_key()
        headers = {"authorization": f"Bearer {self.key.get_secret_value() or _NO_KEY}"}
        try:
            response = self.http.get(f"{address or self.address}{path}", headers=headers, timeout=timeout(seconds))
            content = response.content
        except (httpx2.HTTPError, PipelineError) as error:
            raise translated(error) from None
        return as_object(response.status_code, response.headers, content)

    def _require_key(self) -> None:
        if not self.key.get_secret_value() and self.address in (OPENAI_URL, OPENROUTER_URL):
            raise refused(f"it wants a key: TRANSCRIBE_LLM_{self.provider.upper()}_KEY")


def _reply(content: bytes) -> Reply:
    try:
        completion = _Completion.model_validate_json(content)
    except ValidationError:
        raise MayPassError("HTTP 200 without a chat completion") from None
    if completion.error:
        raise _told(completion.error)
    if not completion.choices:
        raise MayPassError("no choices")
    choice = completion.choices[0]
    if choice.error or choice.finish_reason == "error":
        raise _told(choice.error)
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise refused("it declines to answer")
    usage = completion.usage or _Usage()
    return Reply(
        choice.message.content or "",
        finished=choice.finish_reason != "length",
        tokens_in=usage.prompt_tokens or None,
        tokens_out=usage.completion_tokens,
        cost_usd=usage.cost,
    )


def _told(error: Any) -> PipelineError:
    """HTTP 200 with an error in the body; OpenRouter gives its HTTP status there."""
    status = error.get("code") if isinstance(error, dict) else None
    if not isinstance(status, int) or not 400 <= status < 600:
        return MayPassError("HTTP 200 with an error")
    told = failure(status, {})
    return MayPassError(f"HTTP 200 with error {status}") if isinstance(told, MayPassError) else refused(told.detail)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value > 0
