"""Which models are chosen: the settings TRANSCRIBE_LLM, TRANSCRIBE_LLM_TASKS and TRANSCRIBE_LLM_PRICES, read.

What belongs here: their grammar. What does not: where the models are, and keys.
"""

import math
import re
from collections.abc import Container, Iterable
from typing import NamedTuple

from transcribe_pipeline.errors import ErrorCode, PipelineError

PROVIDERS = ("anthropic", "openai", "openrouter", "vllm", "ollama", "compatible")

_MODEL = re.compile(r"[\w.:@/+-]{1,200}", re.ASCII)


class ModelName(NamedTuple):
    provider: str
    """One of PROVIDERS."""
    model: str
    """As the provider calls it; may hold '/' itself, as in meta-llama/llama-3.3-70b-instruct."""

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class Price(NamedTuple):
    """USD per million tokens."""

    tokens_in: float
    tokens_out: float


Chain = tuple[ModelName, ...]
"""The next is asked where one fails."""


def parse(text: str) -> Chain:
    """'anthropic/claude-x, ollama/llama3.2' -> both, in this order; '' -> ().

    :raises PipelineError: CONFIGURATION.
    """
    return tuple(dict.fromkeys(_name(item, "TRANSCRIBE_LLM") for item in _items(text)))


def parse_tasks(text: str, tasks: Container[str]) -> dict[str, Chain]:
    """'summary=anthropic/claude-x, ollama/llama3.2, chapters=vllm/y' -> the chain of each task that is named.

    What names no task belongs to the one before it.

    :raises PipelineError: CONFIGURATION.
    """
    where, task = "TRANSCRIBE_LLM_TASKS", ""
    chains: dict[str, Chain] = {}
    for item in _items(text):
        before, sign, after = item.partition("=")
        if sign:
            task, item = before.strip(), after
        if task not in tasks:
            raise _wrong(where, f"{item!r} stands for no stage" if not task else f"no stage is called {task!r}")
        chains[task] = (*chains.get(task, ()), _name(item, where))
    return chains


def parse_prices(text: str) -> dict[ModelName, Price]:
    """'openai/gpt-x=1.25/10' -> USD per million tokens in and out.

    :raises PipelineError: CONFIGURATION.
    """
    where = "TRANSCRIBE_LLM_PRICES"
    prices = {}
    for item in _items(text):
        name, _, amounts = item.rpartition("=")
        try:
            tokens_in, tokens_out = map(float, amounts.split("/"))
        except ValueError:
            raise _wrong(where, f"{item!r} is not like openai/gpt-x=1.25/10") from None
        if not all(math.isfinite(amount) and amount >= 0 for amount in (tokens_in, tokens_out)):
            raise _wrong(where, f"{item!r} is no price")
        prices[_name(name, where)] = Price(tokens_in, tokens_out)
    return prices


def _items(text: str) -> Iterable[str]:
    return filter(None, (item.strip() for item in text.split(",")))


def _name(text: str, where: str) -> ModelName:
    provider, _, model = text.strip().partition("/")
    if provider not in PROVIDERS:
        raise _wrong(where, f"{text.strip()!r} is not provider/model with one of {', '.join(PROVIDERS)}")
    if not _MODEL.fullmatch(model):
        raise _wrong(where, f"{text.strip()!r} names no model of {provider}")
    return ModelName(provider, model)


def _wrong(where: str, fact: str) -> PipelineError:
    return PipelineError(ErrorCode.CONFIGURATION, f"{where}: {fact}")
