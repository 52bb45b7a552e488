"""Speaker labels in text, and the names people gave them."""

import re
from collections.abc import Mapping

_LABEL = re.compile(r"\b(SPEAKER_\d{2,})\b")


def named(text: str, names: Mapping[str, str]) -> str:
    """`text` with the labels of speakers that have a name replaced by it."""
    return _LABEL.sub(lambda found: names.get(found[0], found[0]), text)


def around_labels(text: str) -> list[str]:
    """`text` cut where a label begins or ends: every second piece is one."""
    return _LABEL.split(text)
