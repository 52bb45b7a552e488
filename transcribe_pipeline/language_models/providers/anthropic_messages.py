"""Anthropic's `/v1/messages`, of Anthropic itself or of a server that speaks it (llama.cpp does)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from transcribe_pipeline.language_models import facts
from transcribe_pipeline.language_models.egress import timeout, translated
from transcribe_pipeline.language_models.wire import Form, Limits, MayPassError, Reply, Request, failure, refused

if TYPE_CHECKING:
    import httpx2
    from anthropic import Anthropic

ANTHROPIC_URL = "https://api.anthropic.com"

_NO_KEY = "none"


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Block(_Lenient):
    type: str
    text: str = ""


class _Usage(_Lenient):
    input_tokens: int = 0
    """Those that no cache was concerned with; the next two are the others."""
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(_Lenient):
    content: list[_Block]
    stop_reason: str | None = None
    usage: _Usage = _Usage()


class _Model(_Lenient):
    max_input_tokens: int | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class AnthropicMessages:
    model: str
    address: str
    """Up to `/v1`, without it."""
    key: SecretStr
    http: "httpx2.Client"
    forms: tuple[Form, ...] = field(default=("schema", "text"), init=False)

    def send(self, request: Request) -> Reply:
        import anthropic

        arguments: dict[str, Any] = {
            "model": self.model,
            "system": request.system,
            "messages": [{"role": "user", "content": request.user}],
            "max_tokens": request.answer_tokens,
            "timeout": timeout(request.seconds),
        }
        if request.form == "schema":
            schema = anthropic.transform_schema(dict(request.schema))
            arguments["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        try:
            content: bytes = self._client().messages.with_raw_response.create(**arguments).http_response.content
        except anthropic.APIStatusError as error:
            raise failure(error.status_code, error.response.headers) from None
        except anthropic.AnthropicError as error:
            raise translated(error) from None
        return _reply(content)

    def limits(self, seconds: float) -> Limits:
        content = self._asked(seconds)
        try:
            told = _Model.model_validate_json(content)
        except ValidationError:
            told = _Model()
        return Limits(told.max_input_tokens or facts.ANTHROPIC_CONTEXT, told.max_tokens)

    def look(self, seconds: float) -> None:
        self._asked(seconds)

    def _asked(self, seconds: float) -> bytes:
        import anthropic

        try:
            asked = self._client().models.with_raw_response.retrieve(self.model, timeout=timeout(seconds))
            return asked.http_response.content
        except anthropic.NotFoundError as error:
            if self.address == ANTHROPIC_URL:
                raise failure(error.status_code, error.response.headers) from None
            return b"{}"  # others answer messages alone
        except anthropic.APIStatusError as error:
            raise failure(error.status_code, error.response.headers) from None
        except anthropic.AnthropicError as error:
            raise translated(error) from None

    def _client(self) -> "Anthropic":
        from anthropic import Anthropic

        key = self.key.get_secret_value()
        if not key and self.address == ANTHROPIC_URL:
            raise refused("it wants a key: TRANSCRIBE_LLM_ANTHROPIC_KEY")
        # Said explicitly: the client would take the address and the key from ANTHROPIC_... variables.
        return Anthropic(base_url=self.address, api_key=key or _NO_KEY, http_client=self.http, max_retries=0)


def _reply(content: bytes) -> Reply:
    try:
        message = _Message.model_validate_json(content)
    except ValidationError:
        raise MayPassError("HTTP 200 without a message") from None
    if message.stop_reason == "refusal":
        raise refused("it declines to answer")
    if not message.content:
        raise MayPassError("no content")
    usage = message.usage
    read = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    return Reply(
        "".join(block.text for block in message.content if block.type == "text"),
        finished=message.stop_reason != "max_tokens",
        tokens_in=sum(filter(None, read)) or None,
        tokens_out=usage.output_tokens,
        window_full=message.stop_reason == "model_context_window_exceeded",
    )
