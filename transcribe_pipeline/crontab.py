"""What a cron schedule may say: five fields, of which Dagster, which reads them in the end, takes every one.

Known here, since settings are to refuse at once what would end all of Dagster's processes with a traceback; and they
must not load Dagster for it. Its further forms ('L', '#', '@reboot') are left out: nobody has asked for them yet.
"""

import re
from typing import NamedTuple

_MONTHS = {
    **{"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6},
    **{"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12},
}
_WEEKDAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_ITEM = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_LONGEST_MONTHS = 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
ALIASES = {"@hourly", "@daily", "@weekly", "@monthly"}


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    names: dict[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS),
)


def problem(schedule: str) -> str | None:
    """What is wrong with it, for people; None if nothing is."""
    if schedule in ALIASES:
        return None
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return f"a schedule has five fields (minute, hour, day, month, weekday), not {len(parts)}"
    values = [_values(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    wrong = [field.name for field, found in zip(_FIELDS, values, strict=True) if not found]
    if wrong:
        return f"cannot be read in the field {' and '.join(wrong)}"
    _, _, days, months, _ = values
    if min(days) > max(_LONGEST_MONTHS[month - 1] for month in months):
        return "names a day that never comes"
    return None


def _values(part: str, field: _Field) -> set[int]:
    """The moments that the field names; none if it cannot be read."""
    found: set[int] = set()
    for item in part.lower().split(","):
        matched = _ITEM.fullmatch(item)
        if matched is None:
            return set()
        first, last, step = matched["first"], matched["last"], int(matched["step"] or 1)
        if first is None:
            begin, end = field.least, field.most
        else:
            begin, end = _number(first, field), _number(last or first, field)
        if matched["step"] and first and not last:
            end = field.most
        if not field.least <= begin <= end <= field.most or not 1 <= step <= field.most:
            return set()
        found.update(range(begin, end + 1, step))
    return found


def _number(text: str, field: _Field) -> int:
    """Outside every field's range where it is none."""
    return int(text) if text.isdecimal() and text.isascii() else field.names.get(text, -1)
