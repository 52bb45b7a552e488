"""What a provider's own client has to do: send one request, and tell its limits. And how that fails.

What belongs here: the words that `chat.py` and the modules of `providers/` have in common. What does not: patience,
repairs and checks, which are the same for all of them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple, Protocol

from pydantic_core import from_json

from transcribe_pipeline.errors import ErrorCode, PipelineError

Form = Literal["schema", "json", "text"]
"""How an answer is constrained: to the JSON schema, to JSON, or not at all. The instructions hold the schema anyway."""


@dataclass(frozen=True)
class Request:
    system: str
    user: str
    schema: Mapping[str, Any]
    form: Form
    prompt_tokens: int
    """It has no more."""
    answer_tokens: int
    """It may have no more."""
    context_tokens: int
    """The model has no more."""
    seconds: float
    """For connecting, the question and the whole answer."""


@dataclass(frozen=True)
class Reply:
    text: str
    finished: bool
    """False: it ends where its tokens were used up."""
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None = None
    """As the provider tells it."""
    window_full: bool = False
    """The provider says that the prompt filled all the context there was, so that part of it may be lost."""


class Limits(NamedTuple):
    """Tokens; None where the provider does not tell."""

    context: int | None
    answer: int | None = None


class Wire(Protocol):
    @property
    def address(self) -> str:
        """Where requests go; with the provider's name, what a circuit breaker is for."""

    @property
    def forms(self) -> tuple[Form, ...]:
        """What the provider may know, the strictest first."""

    def send(self, request: Request) -> Reply:
        """One request, without any patience.

        :raises PipelineError: LANGUAGE_MODEL_REFUSED, LANGUAGE_MODEL_BAD_ANSWER; or as the next two.
        :raises MayPassError: what may be over in a moment.
        :raises FormRefusedError: the server does not know the form; or does not like something else.
        """

    def limits(self, seconds: float) -> Limits:
        """Asked of the provider, or facts. Raises as `send` does."""

    def look(self, seconds: float) -> None:
        """Ask whether the provider is there, takes the key and knows the model. Raises as `send` does."""


class MayPassError(PipelineError):
    """The same request may succeed later."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        """:param retry_after: seconds, where the provider asks for them."""
        super().__init__(ErrorCode.LANGUAGE_MODEL_UNAVAILABLE, detail)
        self.retry_after = retry_after


class FormRefusedError(PipelineError):
    def __init__(self, detail: str) -> None:
        super().__init__(ErrorCode.LANGUAGE_MODEL_REFUSED, detail)


def refused(detail: str) -> PipelineError:
    return PipelineError(ErrorCode.LANGUAGE_MODEL_REFUSED, detail)


def bad_answer(detail: str) -> PipelineError:
    return PipelineError(ErrorCode.LANGUAGE_MODEL_BAD_ANSWER, detail)


_REFUSALS = {
    401: "the key is not accepted",
    402: "the account has no credit",
    403: "not permitted",
    404: "no such model or address",
    413: "the prompt is too large",
}


def failure(status: int, headers: Mapping[str, str]) -> PipelineError:
    """What an HTTP status means. The body is not looked at: it may quote keys and what was sent."""
    fact = f"HTTP {status}"
    if status in (408, 409, 425, 429) or status >= 500:
        return MayPassError(fact, _retry_after(headers))
    if status in (400, 422):
        return FormRefusedError(fact)
    if 300 <= status < 400:
        return refused(f"{fact}: redirects are not followed")
    return refused(f"{fact}: {_REFUSALS[status]}" if status in _REFUSALS else fact)


def as_object(status: int, headers: Mapping[str, str], content: bytes) -> Mapping[str, Any]:
    """A JSON object that a server answered with; what it lacks is for the caller to find out."""
    if status != 200:
        raise failure(status, headers)
    try:
        body = from_json(content)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise MayPassError("something else answers there")
    return body


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, of RFC 9110's `Retry-After`: a number or a date; None if there is none to go by."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
