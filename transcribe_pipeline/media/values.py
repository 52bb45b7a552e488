"""From what tools print to values that every later stage can store: clean text, finite numbers."""

import math
import re
from typing import Any

# NUL ends strings in PostgreSQL, other control characters break documents; tab and newline are text.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def clean_text(value: Any, longest: int = 2000) -> str | None:
    """Text without control characters and lone surrogates, at most `longest` characters; None if nothing is left."""
    text = _CONTROL.sub("", str(value).replace("\r\n", "\n").replace("\r", "\n")).strip()
    return text[:longest] or None


def number(value: Any) -> float | None:
    """A finite float, or None for anything else ('N/A', '', 'inf', a list)."""
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def length(value: Any) -> float | None:
    """A finite float that is not negative, or None."""
    parsed = number(value)
    return parsed if parsed is not None and parsed >= 0 else None


def whole(value: Any) -> int | None:
    """A non-negative integer that fits a database's bigint, or None."""
    parsed = number(value)
    return int(parsed) if parsed is not None and 0 <= parsed < 2**63 else None


def ratio(value: Any) -> float | None:
    """'30000/1001' -> 29.97; None where either part is not a positive number."""
    numerator, _, denominator = str(value).partition("/")
    top, bottom = number(numerator), number(denominator or 1)
    return top / bottom if top and bottom and top > 0 and bottom > 0 else None
