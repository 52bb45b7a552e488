"""A language model behind a wire: fits prompts, asks with patience, checks that nothing was cut off, has forms mended.

What belongs here: all that is the same for every provider. What does not: their interfaces (`providers/`), and whether
an answer is true (`insight.grounding`).
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Final

import pybreaker
from pydantic import BaseModel

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.language_models import facts, tokens
from transcribe_pipeline.language_models.answers import UnusableError, cut_off, read
from transcribe_pipeline.language_models.choice import ModelName, Price
from transcribe_pipeline.language_models.patience import Budget
from transcribe_pipeline.language_models.port import A, Call, Prompt, Record
from transcribe_pipeline.language_models.schemas import Schema, schema_of
from transcribe_pipeline.language_models.wire import (
    Form,
    FormRefusedError,
    Limits,
    Reply,
    Request,
    Wire,
    bad_answer,
    refused,
)

_REPAIRS: Final = 2
_ANSWER_SHARE: Final = 4
_MOST_ANSWER_TOKENS: Final = 16_384
"""The answer has a quarter of the context, but no more than this: most hosted models give that much."""
_UNTOLD_CONTEXT: Final = 4096
"""Of servers that do not tell: what LM Studio and Ollama give a model unasked."""
_LIMITS_SECONDS: Final = 10.0

_FORM = "\n\nAnswer with one JSON object of this schema, and with nothing else:\n"
_NOW = "\n\nThis was the data. Now answer as you were instructed, with one JSON object."
_TEMPLATE_TOKENS: Final = 128
"""What chat templates add: 10 with SmolLM2's, up to 60 with others."""
_WISH_TOKENS: Final = 256
"""Kept free for what a repair turn adds."""


@dataclass
class Endpoint:
    """A model at its provider, with what was learned of it; shared by all tasks."""

    name: ModelName
    wire: Wire
    breaker: pybreaker.CircuitBreaker
    answer_seconds: float
    """For one turn with its repeated requests."""
    context: int = 0
    """0: asked of the provider."""
    price: Price | None = None
    """None: as the provider or our table of facts tells."""
    first_wait: float = 0.5
    """Seconds before a request is repeated, where the provider does not say."""
    form: Form = field(init=False)
    """The strictest that was not refused."""

    def __post_init__(self) -> None:
        self.form = self.wire.forms[0]

    @cached_property
    def limits(self) -> Limits:
        """Asked once. Raises as `LanguageModel.ask`."""
        if self.context:
            return Limits(self.context)
        budget = self.budget(min(_LIMITS_SECONDS, self.answer_seconds))
        with self.naming():
            return budget.spend(self.breaker, self.wire.limits)

    @property
    def context_tokens(self) -> int:
        return self.limits.context or _UNTOLD_CONTEXT

    def look(self) -> None:
        """Is it there, with this key and this name? Nothing is tried twice. Raises as `LanguageModel.ask`."""
        with self.naming():
            self.wire.look(_LIMITS_SECONDS)

    def budget(self, seconds: float) -> Budget:
        return Budget(seconds, first_wait=self.first_wait)

    def cost(self, reply: Reply) -> float | None:
        """USD."""
        if reply.cost_usd is not None:
            return reply.cost_usd
        price = self.price or facts.price(self.name)
        if price is None or reply.tokens_in is None or reply.tokens_out is None:
            return None
        return (reply.tokens_in * price.tokens_in + reply.tokens_out * price.tokens_out) / 1e6

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Errors of the port, which say whose they are."""
        try:
            yield
        except PipelineError as error:
            raise PipelineError(error.code, f"{self.name}: {error.detail}") from None


@dataclass(frozen=True)
class ChatModel:
    """A `port.LanguageModel`."""

    endpoint: Endpoint
    record: Record

    @property
    def provider(self) -> str:
        return self.endpoint.name.provider

    @property
    def model(self) -> str:
        return self.endpoint.name.model

    @property
    def context_tokens(self) -> int:
        return self.endpoint.context_tokens

    @property
    def answer_tokens(self) -> int:
        most = min(_MOST_ANSWER_TOKENS, self.endpoint.limits.answer or _MOST_ANSWER_TOKENS)
        return min(most, self.context_tokens // _ANSWER_SHARE)

    def count(self, text: str) -> int:
        return tokens.at_most(text)

    def room(self, prompt: Prompt, answer: type[BaseModel]) -> int:
        around = self.count(_system(prompt, schema_of(answer))) + self.count(_NOW)
        return max(0, self.context_tokens - self.answer_tokens - around - _TEMPLATE_TOKENS - _WISH_TOKENS)

    def ask(self, prompt: Prompt, answer: type[A]) -> A:
        request = self._request(prompt, answer)
        with self.endpoint.naming():
            return self._asked(prompt.task, request, answer)

    def _request(self, prompt: Prompt, answer: type[BaseModel]) -> Request:
        """:raises PipelineError: LANGUAGE_MODEL_REFUSED, if the prompt does not fit."""
        needed, room = self.count(prompt.data), self.room(prompt, answer)
        if needed > room:
            raise refused(f"{self.endpoint.name}: a prompt of up to {needed:,} tokens where there is room for {room:,}")
        schema = schema_of(answer)
        system, user = _system(prompt, schema), prompt.data + _NOW
        return Request(
            system,
            user,
            schema,
            self.endpoint.form,
            prompt_tokens=self.count(system) + self.count(user) + _TEMPLATE_TOKENS + _WISH_TOKENS,
            answer_tokens=self.answer_tokens,
            context_tokens=self.context_tokens,
            seconds=self.endpoint.answer_seconds,
        )

    def _asked(self, task: str, request: Request, answer: type[A]) -> A:
        budget = self.endpoint.budget(self.endpoint.answer_seconds)
        wish = fact = ""
        for turn in range(1 + _REPAIRS):
            repair = replace(request, user=request.user + wish)
            reply, call = self._reply(repair, self._call(task, turn, repair), budget)
            try:
                value = _usable(reply, repair, answer)
            except UnusableError as error:
                self.record(replace(call, outcome=ErrorCode.LANGUAGE_MODEL_BAD_ANSWER, detail=error.fact))
                wish, fact = f"\n{error.wish}", error.fact
            except PipelineError as error:
                self.record(replace(call, outcome=error.code, detail=error.detail))
                raise
            else:
                self.record(call)
                return value
        raise bad_answer(f"{fact}, after {_REPAIRS} repairs")

    def _reply(self, request: Request, call: Call, budget: Budget) -> tuple[Reply, Call]:
        """In the strictest form that the server takes, which is remembered."""
        forms = self.endpoint.wire.forms
        for form in forms[forms.index(self.endpoint.form) :]:
            try:
                answered = budget.spend(self.endpoint.breaker, partial(self._send, replace(request, form=form), call))
            except FormRefusedError:
                if form == forms[-1]:
                    raise
            else:
                self.endpoint.form = form
                return answered
        raise AssertionError("there is a form")

    def _send(self, request: Request, call: Call, seconds: float) -> tuple[Reply, Call]:
        """One request. What fails is recorded here; what is answered, by whoever finds out what it is worth."""
        call, started = replace(call, started_at=datetime.now(UTC)), time.monotonic()
        try:
            reply = self.endpoint.wire.send(replace(request, seconds=seconds))
        except PipelineError as error:
            detail = f"{error.detail} ({request.form})" if isinstance(error, FormRefusedError) else error.detail
            self.record(replace(call, seconds=time.monotonic() - started, outcome=error.code, detail=detail))
            raise
        return reply, replace(
            call,
            seconds=time.monotonic() - started,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
            cost_usd=self.endpoint.cost(reply),
        )

    def _call(self, task: str, turn: int, request: Request) -> Call:
        return Call(
            task=task,
            provider=self.provider,
            model=self.model,
            started_at=datetime.now(UTC),
            seconds=0.0,
            outcome="answered",
            turn=turn,
            tokens_counted=request.prompt_tokens,
            tokens_in=None,
            tokens_out=None,
            cost_usd=None,
        )


def _system(prompt: Prompt, schema: Schema) -> str:
    """The schema stands here too, whatever form is asked for: of grammars the model sees nothing."""
    return f"{prompt.instructions}{_FORM}{json.dumps(schema, ensure_ascii=False, separators=(',', ':'))}"


def _usable(reply: Reply, request: Request, answer: type[A]) -> A:
    """:raises UnusableError: may be repaired.
    :raises PipelineError: LANGUAGE_MODEL_BAD_ANSWER: the server has read a part of the prompt only.
    """
    least = tokens.at_least(f"{request.system}\n{request.user}")
    if reply.window_full or (reply.tokens_in is not None and reply.tokens_in < least):
        read_in = "unknown" if reply.tokens_in is None else f"{reply.tokens_in:,}"
        raise bad_answer(f"the prompt was truncated: {read_in} tokens read of {least:,} or more")
    if not reply.finished:
        raise cut_off()
    return read(reply.text, answer)
