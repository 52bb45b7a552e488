"""What settings take for a schedule, Dagster takes too; and of what it would refuse, they say what is wrong."""

import pytest
from dagster._utils.schedules import is_valid_cron_string
from hypothesis import given
from hypothesis import strategies as st

from transcribe_pipeline.crontab import ALIASES, problem
from transcribe_pipeline.settings import Settings

_item = st.from_regex(r"(\*|[0-9]{1,2}|[0-9]{1,2}-[0-9]{1,2}|mon|Sun|jan|feb-mar)(/[0-9]{1,2})?", fullmatch=True)
_field = st.lists(_item, min_size=1, max_size=2).map(",".join)


@given(st.tuples(_field, _field, _field, _field, _field).map(" ".join))
def test_dagster_takes_what_is_taken_here(schedule: str) -> None:
    if problem(schedule) is None:
        assert is_valid_cron_string(schedule)


@pytest.mark.parametrize(
    "schedule",
    ["*/10 * * * *", "0 2 * * 0", "0 4 * * sat", "30 */6 1-15,20 jan-mar mon-fri", "5/15 * 29 2 *", "@daily"],
)
def test_ordinary_ones_are_taken(schedule: str) -> None:
    assert problem(schedule) is None
    assert is_valid_cron_string(schedule)


def test_so_are_the_defaults() -> None:
    crons = [field.default for name, field in Settings.model_fields.items() if name.endswith("_cron")]
    assert len(crons) == 8
    assert [problem(cron) for cron in [*crons, *ALIASES]] == [None] * (len(crons) + len(ALIASES))


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ("", "not 0"),
        ("banana", "not 1"),
        ("0 * * * * *", "not 6"),
        ("60 * * * *", "field minute"),
        ("* 24 * * *", "field hour"),
        ("* * 0 13 *", "field day and month"),
        ("* * * * fry", "field weekday"),
        ("*/0 * * * *", "field minute"),
        ("5-1 * * * *", "field minute"),
        ("², * * * *", "field minute"),
        ("0 0 31 2,4 *", "never comes"),
    ],
)
def test_what_is_wrong_is_said(schedule: str, told: str) -> None:
    assert told in str(problem(schedule))
    assert not schedule.strip() or schedule not in str(problem(schedule))
