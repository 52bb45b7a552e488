"""What text a database takes. PostgreSQL refuses NUL, and neither database can encode half of a surrogate pair."""

import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Tab and line breaks stay. The other control characters mean nothing in a transcript and break XML-based exports.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# How the same characters look in ASCII-only JSON. Also finds whole surrogate pairs, and a backslash that was there.
_PERHAPS_UNWANTED = re.compile(r"\\u00[01]|\\ud[89a-f]|\x7f")


def is_storable(text: str) -> bool:
    """Can both databases store this text unchanged?"""
    return _UNSTORABLE.search(text) is None


def may_need_cleaning(ascii_json: str) -> bool:
    """False if nothing in this ASCII-only JSON can change in `clean`: one look where `clean` visits every value."""
    return _PERHAPS_UNWANTED.search(ascii_json) is not None


def clean(value: Any) -> Any:
    """`value` (a string, or JSON-like nesting of them) without control characters and lone surrogates."""
    if isinstance(value, str):
        return _UNWANTED.sub("", value)
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return value
