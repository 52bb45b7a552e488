"""YAML that strangers wrote, as plain values.

Whatever could surprise people or machines is refused: tags, aliases (and their bombs), names given twice, deep nesting,
large files. Of YAML's many readings the core schema of 1.2 is taken: `no` is text (and Norwegian), not false; dates and
1:30 are text; only `true` and `false` are truth values.
"""

import re
from typing import Any

import yaml

MAX_BYTES = 64 * 1024
_MAX_DEPTH = 8


class BadYaml(ValueError):
    """What is wrong, ready to follow the file's name: ', line 3: tags are not allowed' or ': not UTF-8'."""


def load(data: bytes) -> Any:
    """The one document, as dict (its names are text), list, str, int, float, bool or None. Raises BadYaml."""
    if len(data) > MAX_BYTES:
        raise BadYaml(f": larger than {MAX_BYTES // 1024} KiB")
    try:
        return yaml.load(data.decode("utf-8-sig"), _PlainLoader)  # noqa: S506  # a SafeLoader, only stricter
    except UnicodeDecodeError:
        raise BadYaml(": not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYaml(f", line {mark.line + 1}: {error.problem}") from None
    except yaml.YAMLError:
        raise BadYaml(": not text in YAML") from None


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own way; filled below

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise yaml.composer.ComposerError(problem="aliases are not allowed", problem_mark=event.start_mark)
        if event.tag:
            raise yaml.composer.ComposerError(problem="tags are not allowed", problem_mark=event.start_mark)
        if self._depth == _MAX_DEPTH:
            raise yaml.composer.ComposerError(problem="nested too deeply", problem_mark=event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names: set[str] = set()
        for name, _ in node.value:
            if name.tag != "tag:yaml.org,2002:str":
                raise yaml.composer.ComposerError(problem="a name must be text", problem_mark=name.start_mark)
            if name.value in names:
                raise yaml.composer.ComposerError(problem="a name is given twice", problem_mark=name.start_mark)
            names.add(name.value)
        return super().construct_mapping(node, deep)


for _kind, _pattern, _first in (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", "[-+]?[0-9]{1,18}", "-+0123456789"),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^({_pattern})$"), list(_first))
