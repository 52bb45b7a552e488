"""A language model whose answers a test chooses, with the real one's counting, room and refusals."""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pybreaker
from pydantic import BaseModel

from transcribe_pipeline.language_models.chat import ChatModel, Endpoint
from transcribe_pipeline.language_models.choice import ModelName
from transcribe_pipeline.language_models.port import Prompt
from transcribe_pipeline.language_models.wire import refused

Script = Callable[[Prompt, type[BaseModel]], dict[str, Any]]


class Scripted(ChatModel):
    """Answers with what `script` returns, validated as real answers are."""

    def __init__(self, script: Script, *, context: int = 32_768) -> None:
        name = ModelName("compatible", "scripted")
        wire = SimpleNamespace(forms=("schema",))
        super().__init__(Endpoint(name, wire, pybreaker.CircuitBreaker(), 10.0, context), lambda call: None)
        object.__setattr__(self, "script", script)  # the real one is frozen
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "forms", [])

    __hash__ = object.__hash__

    script: Script
    asked: list[tuple[Prompt, int]]
    """Every prompt, with the tokens that it and its answer may take."""
    forms: list[type[BaseModel]]

    def ask(self, prompt, answer):
        around = self._around(prompt.task, prompt.instructions, answer)
        needed = around + self.count(prompt.data)
        if needed > self.context_tokens:
            raise refused(f"{needed} tokens")
        self.asked.append((prompt, needed))
        self.forms.append(answer)
        return answer.model_validate(self.script(prompt, answer))

    @cache  # noqa: B019
    def _around(self, task: str, instructions: str, answer: type[BaseModel]) -> int:
        """Tokens of all but the data, and of the answer, as the real model counts them."""
        request = self._request(Prompt(task, instructions, ""), answer)
        return request.prompt_tokens + request.answer_tokens


def lines(prompt: Prompt) -> list[list[str]]:
    """The data's lines, as ['12', 'SPEAKER_00', 'text'], or ['12,13', 'key point', 'text'] of notes."""
    return [line.split("|", 2) for line in prompt.data.splitlines()[1:-1]]


def is_stitching(prompt: Prompt) -> bool:
    return "not segments here" in prompt.instructions
