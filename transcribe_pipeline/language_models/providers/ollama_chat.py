"""Ollama's own `/api/chat`. Its OpenAI route takes no context length, and shortens prompts silently to 4,096 tokens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.language_models.egress import timeout, translated
from transcribe_pipeline.language_models.wire import Form, Limits, MayPassError, Reply, Request, as_object

if TYPE_CHECKING:
    import httpx2

_LARGEST = 32_768
"""Tokens of context that are used unasked, although models take 131,072: each is about 0.1 MB of memory (llama3.2 3B:
28 layers x 8 heads x 128 x 2 x 2 bytes). A Modelfile's num_ctx or TRANSCRIBE_LLM_CONTEXT_TOKENS takes precedence."""
_SMALLEST = 4096
_NUM_CTX = re.compile(r"^num_ctx\s+(\d+)\s*$", re.MULTILINE)


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Message(_Lenient):
    content: str = ""


class _Chat(_Lenient):
    message: _Message
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None


@dataclass(frozen=True)
class OllamaChat:
    model: str
    address: str
    """Without `/api`."""
    http: "httpx2.Client"
    forms: tuple[Form, ...] = field(default=("schema", "json"), init=False)

    def send(self, request: Request) -> Reply:
        window = _window(request)
        body = {
            "model": self.model,
            "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": request.user}],
            "stream": False,
            "format": request.schema if request.form == "schema" else "json",
            "options": {"num_ctx": window, "num_predict": request.answer_tokens, "temperature": 0},
            # Since 0.12.6: an error instead of a shortened prompt, and no forgetting while it answers.
            "truncate": False,
            "shift": False,
        }
        content = self._post("/api/chat", body, request.seconds)
        if "error" in content:
            raise MayPassError("HTTP 200 with an error")
        try:
            chat = _Chat.model_validate(content)
        except ValidationError:
            raise MayPassError("HTTP 200 without a chat") from None
        read = chat.prompt_eval_count or None
        return Reply(
            chat.message.content,
            finished=chat.done_reason != "length",
            tokens_in=read,
            tokens_out=chat.eval_count,
            window_full=read is not None and read >= window - 1,
        )

    def limits(self, seconds: float) -> Limits:
        shown = self._show(seconds)
        parameters, about = shown.get("parameters"), shown.get("model_info")
        chosen = _NUM_CTX.search(parameters) if isinstance(parameters, str) else None
        lengths = (
            value
            for name, value in (about if isinstance(about, dict) else {}).items()
            if name.endswith(".context_length") and isinstance(value, int)
        )
        length = next(lengths, None)
        if chosen:
            return Limits(min(int(chosen[1]), length) if length else int(chosen[1]))
        return Limits(min(length, _LARGEST) if length else None)

    def look(self, seconds: float) -> None:
        self._show(seconds)

    def _show(self, seconds: float) -> Mapping[str, Any]:
        return self._post("/api/show", {"model": self.model}, seconds)

    def _post(self, path: str, body: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        import httpx2

        try:
            response = self.http.post(f"{self.address}{path}", json=body, timeout=timeout(seconds))
            content = response.content
        except (httpx2.HTTPError, PipelineError) as error:
            raise translated(error) from None
        return as_object(response.status_code, response.headers, content)


def _window(request: Request) -> int:
    """In steps, since another num_ctx makes Ollama load the model anew, which takes seconds."""
    needed = request.prompt_tokens + request.answer_tokens
    return min(max(_SMALLEST, 1 << (needed - 1).bit_length()), request.context_tokens)
