"""What providers do not tell over their interface: contexts of OpenAI's models, and prices. As of November 2026.

Sources: developers.openai.com/api/docs/models and /pricing, platform.claude.com/docs/en/about-claude/pricing, by way of
github.com/simonw/llm-prices. Settings take precedence; a model that is not here has no price, and a context that no
model of its provider falls short of.
"""

import re
from collections.abc import Mapping

from transcribe_pipeline.language_models.choice import ModelName, Price

_OPENAI_CONTEXTS: Mapping[str, int] = {
    "gpt-3.5-turbo": 16_385,
    "gpt-4": 8_192,
    "gpt-4-turbo": 128_000,
    "gpt-4o": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-5": 272_000,
    "gpt-5-chat": 128_000,
    "gpt-5.1-chat": 128_000,
    "gpt-5.2-chat": 128_000,
    "o1": 200_000,
    "o3": 200_000,
    "o4": 200_000,
}
"""Of every model that begins so, the longest first. What gpt-5 takes in; it may say 128,000 tokens more."""
_OPENAI_ANSWERS: Mapping[str, int] = {"gpt-3.5-turbo": 4_096, "gpt-4": 4_096, "gpt-4o": 16_384, "gpt-4.1": 32_768}
_OPENAI_CONTEXT = 128_000
"""No model of OpenAI that came later has less."""
ANTHROPIC_CONTEXT = 200_000
"""No model of Anthropic's since Claude 2.1 has less; asked of it, where its interface tells."""

_PRICES: Mapping[str, Mapping[str, Price]] = {
    "anthropic": {
        "claude-haiku-4-5": Price(1, 5),
        "claude-sonnet-4": Price(3, 15),
        "claude-sonnet-4-5": Price(3, 15),
        "claude-sonnet-5": Price(2, 10),
        "claude-sonnet-5-5": Price(2, 10),
        "claude-opus-4-1": Price(15, 75),
        "claude-opus-4-5": Price(5, 25),
        "claude-opus-4-6": Price(5, 25),
        "claude-opus-4-7": Price(5, 25),
        "claude-opus-4-8": Price(5, 25),
        "claude-opus-5": Price(5, 25),
        "claude-opus-5-5": Price(4, 20),
    },
    "openai": {
        "gpt-4o": Price(2.5, 10),
        "gpt-4o-mini": Price(0.15, 0.6),
        "gpt-4.1": Price(2, 8),
        "gpt-4.1-mini": Price(0.4, 1.6),
        "gpt-4.1-nano": Price(0.1, 0.4),
        "gpt-5": Price(1.25, 10),
        "gpt-5-nano": Price(0.05, 0.4),
        "gpt-5-mini": Price(0.25, 2),
        "gpt-5.1": Price(1.25, 10),
        "gpt-5.2": Price(1.75, 14),
        "gpt-5.4": Price(2.5, 15),
        "gpt-5.4-mini": Price(0.75, 4.5),
        "gpt-5.4-nano": Price(0.2, 1.25),
        "gpt-5.5": Price(5, 30),
        "o4-mini": Price(1.1, 4.4),
    },
}
"""Up to 200,000 tokens in: longer prompts cost more with some."""


_SNAPSHOT = re.compile(r"-20\d\d-?\d\d-?\d\d$")
"""The date in claude-opus-4-1-20250805 and gpt-4o-2024-11-20."""


def openai_context(model: str) -> int:
    return _by_beginning(_OPENAI_CONTEXTS, model) or _OPENAI_CONTEXT


def openai_answer(model: str) -> int | None:
    """The longest answer in tokens, where it is short."""
    return _by_beginning(_OPENAI_ANSWERS, model)


def price(name: ModelName) -> Price | None:
    return _PRICES.get(name.provider, {}).get(_SNAPSHOT.sub("", name.model))


def _by_beginning(table: Mapping[str, int], model: str) -> int | None:
    known = [begin for begin in table if model == begin or model.startswith((f"{begin}-", f"{begin}."))]
    return table[max(known, key=len)] if known else None
