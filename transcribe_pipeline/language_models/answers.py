"""From what a model wrote to a value of the form that was asked for; and how its mistakes are told to it.

A model that was told what to say by a speaker may write anything. Nothing that it wrote is put before it again: what
goes back are our own words about the form.
"""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from transcribe_pipeline.language_models.port import A

_LONGEST = 400_000
"""Characters; answers have 16,384 tokens at most."""
_TOLD = 300
"""Characters of what was wrong with an answer: room for them is kept free in every prompt."""
_THOUGHTS = re.compile(r"<(think|thinking|thought|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class UnusableError(Exception):
    """An answer without the form. `wish`: what to tell the model; `fact`: what to tell people."""

    def __init__(self, fact: str, wish: str) -> None:
        super().__init__(fact)
        self.fact = fact
        self.wish = wish


def cut_off() -> UnusableError:
    return UnusableError(
        "cut off", "Your last answer was too long and was cut off. Answer more briefly: fewer entries."
    )


def read(text: str, answer: type[A]) -> A:
    """:raises UnusableError: it is not JSON, or not of the form."""
    try:
        return answer.model_validate(_cleaned(from_json(_json_in(text))))
    except ValidationError as error:
        problems = [_problem(each, answer) for each in error.errors(include_url=False, include_input=False)]
        told = "; ".join(problems)[:_TOLD]
        raise UnusableError(
            f"{len(problems)} faults in its form", f"Your last answer did not have the form: {told}. Answer again."
        ) from None
    except ValueError:
        raise UnusableError(
            "no JSON", "Your last answer was not JSON. Answer again, with one JSON object and nothing else."
        ) from None


def _json_in(text: str) -> str:
    """The outermost braces, without what reasoning models think aloud and without code fences."""
    if len(text) > _LONGEST:
        raise cut_off()
    said = _THOUGHTS.sub("", text)
    return said[said.find("{") : said.rfind("}") + 1]


def _cleaned(value: Any) -> Any:
    """Without the control characters that databases and documents cannot hold."""
    match value:
        case str():
            return _CONTROL.sub("", value)
        case list():
            return [_cleaned(each) for each in value]
        case dict():
            return {key: _cleaned(each) for key, each in value.items()}
    return value


def _problem(error: ErrorDetails, answer: type[BaseModel]) -> str:
    """'at topics.0.segments: Input should be a valid list', with no word of the model's."""
    known = _field_names(answer.model_json_schema())
    place = ".".join(str(part) if isinstance(part, int) or part in known else "?" for part in error["loc"])
    ours = error["type"] in ("value_error", "assertion_error")  # whose texts may quote the value
    return f"at {place or 'the top'}: {'not allowed' if ours else error['msg']}"


def _field_names(schema: Mapping[str, Any]) -> frozenset[str]:
    objects = (schema, *schema.get("$defs", {}).values())
    return frozenset(name for each in objects for name in each.get("properties", {}))
