"""The port: what is asked of a language model, what comes back, and how it fails.

Callers hand over instructions and data apart, and get a validated pydantic model back, or one of three errors:
LANGUAGE_MODEL_UNAVAILABLE (may work later), LANGUAGE_MODEL_REFUSED (will not), LANGUAGE_MODEL_BAD_ANSWER (answered, but
nothing that can be used, after its repair turns). A model is given no tools, no addresses and no secrets.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from pydantic import BaseModel

from transcribe_pipeline.errors import ErrorCode

A = TypeVar("A", bound=BaseModel)

FAILURES = frozenset(
    {
        ErrorCode.LANGUAGE_MODEL_UNAVAILABLE,
        ErrorCode.LANGUAGE_MODEL_REFUSED,
        ErrorCode.LANGUAGE_MODEL_BAD_ANSWER,
    }
)
"""With these, the next model of the chain is asked, and then the offline form is made."""


@dataclass(frozen=True)
class Prompt:
    task: str
    """The stage that asks: 'summary'. Models may be chosen by it, and calls are counted by it."""
    instructions: str
    """Ours alone: nothing that a stranger wrote or said."""
    data: str
    """What strangers said, between delimiters (`insight.prompts.transcript_data`)."""

    def fingerprint(self, answer: type[BaseModel]) -> str:
        """SHA-256 of what is asked, whatever it is asked about: the instructions and the form of the answer."""
        schema = json.dumps(answer.model_json_schema(), sort_keys=True)
        return hashlib.sha256(f"{self.task}\x1f{self.instructions}\x1f{schema}".encode()).hexdigest()


@dataclass(frozen=True)
class Call:
    """One request and what became of it, for the ledger. No text of either side."""

    task: str
    provider: str
    model: str
    started_at: datetime
    seconds: float
    outcome: str
    """'answered', or an ErrorCode."""
    turn: int
    """0 for the question, 1 and 2 for repairs."""
    tokens_counted: int
    """Our own safe bound of the prompt."""
    tokens_in: int | None
    """As the provider reports them; None where it does not."""
    tokens_out: int | None
    cost_usd: float | None
    """None where no price is known."""
    detail: str = ""
    """A fact about a failure: 'HTTP 429'."""


Record = Callable[[Call], None]


class LanguageModel(Protocol):
    @property
    def provider(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def context_tokens(self) -> int:
        """Prompt and answer together. Raises as `ask` does, since the provider may have to be asked."""

    @property
    def answer_tokens(self) -> int:
        """As many are kept free for the answer."""

    def count(self, text: str) -> int:
        """Tokens of `text`, or somewhat more; never fewer."""

    def room(self, prompt: Prompt, answer: type[BaseModel]) -> int:
        """Tokens that `prompt.data` may have with these instructions and this form of answer."""

    def ask(self, prompt: Prompt, answer: type[A]) -> A:
        """The answer, in its form. What it says is not checked here: that is grounding.

        :raises PipelineError: one of FAILURES; also if the prompt does not fit the context.
        """
