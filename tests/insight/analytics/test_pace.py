"""Words per minute, overall and in windows."""

import pytest

from transcribe_pipeline.insight.analytics.pace import window_seconds, windows, words_per_minute


def test_words_per_minute_of_talk() -> None:
    assert words_per_minute(10, 4) == 150
    assert words_per_minute(10, 2.9) is None
    assert words_per_minute(0, 60) is None


def test_windows_by_hand() -> None:
    # 75 s: windows of 30, 30 and 15 s. Talk 0-10 and 20-50, two speakers in 40-50, and 70-75.
    found = windows([1.0, 2.0, 29.99, 30.0, 74.0, 75.0], [[(0, 10), (20, 50), (70, 75)], [(40, 50)]], 75)
    assert [(each.start, each.end, each.words, each.talk_seconds) for each in found] == [
        (0, 30, 3, 20),
        (30, 60, 1, 30),
        (60, 75, 2, 5),
    ]
    assert [each.words_per_minute for each in found] == pytest.approx([9, 2, 24])


@pytest.mark.parametrize(
    ("seconds", "expected"), [(10, 30), (1800, 30), (1801, 60), (3600, 60), (36_000, 600), (216_000, 3600)]
)
def test_at_most_60_windows(seconds: float, expected: float) -> None:
    assert window_seconds(seconds) == expected
    assert len(windows([], [], seconds)) <= 60


def test_nothing_at_all() -> None:
    (window,) = windows([], [], 0.0)
    assert (window.start, window.end, window.words, window.words_per_minute) == (0, 0, 0, None)
