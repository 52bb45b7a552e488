"""An answer's JSON schema, as providers want it. They differ in which keywords they know, and refuse the others."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_NOT_FOR_MODELS = frozenset({"title", "default"})
_LENGTHS = frozenset({"minLength", "maxLength"})


def schema_of(answer: type[BaseModel]) -> Schema:
    """Closed objects with every field required, which grammars and models follow best; sizes and descriptions kept."""
    return _rewritten(answer.model_json_schema(), _closed)


def without_lengths(schema: Mapping[str, Any]) -> Schema:
    """For OpenAI's strict mode, which knows no lengths of strings; they are checked afterwards anyway."""
    return _rewritten(schema, lambda each: {key: value for key, value in each.items() if key not in _LENGTHS})


def _closed(schema: Schema) -> Schema:
    kept = {key: value for key, value in schema.items() if key not in _NOT_FOR_MODELS}
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept


def _rewritten(schema: Mapping[str, Any], change: Callable[[Schema], Schema]) -> Schema:
    """`change` made to a schema and all schemas in it."""
    changed = change(dict(schema))
    for key in ("properties", "$defs"):
        if key in changed:
            changed[key] = {name: _rewritten(each, change) for name, each in changed[key].items()}
    for key in ("anyOf", "allOf", "prefixItems"):
        if key in changed:
            changed[key] = [_rewritten(each, change) for each in changed[key]]
    if isinstance(changed.get("items"), dict):
        changed["items"] = _rewritten(changed["items"], change)
    return changed
