"""The numbers in a text, so that '25', 'twenty-five' and '25th' are the same, and '5 million' is 5,000,000.

Words for numbers are known in English only; elsewhere only digits are numbers, of whatever script.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from transcribe_pipeline.search.tokens import tokens

_THOUSANDS: Final = re.compile("(?<=\\d)[,.'’\u00a0\u202f](?=\\d{3}(?!\\d))")  # noqa: RUF001
_DIGITS: Final = re.compile(r"\d+")
_JOINT: Final = re.compile(r"[\s-]*(?:and\s)?\s*")
_MOST_DIGITS: Final = 15

_BELOW_TWENTY: Final = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen
zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
fifteenth sixteenth seventeenth eighteenth nineteenth
"""
_TENS: Final = """
zero ten twenty thirty forty fifty sixty seventy eighty ninety
zeroth tenth twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth
"""
_VALUES: Final = {
    **{word: i % 10 * 10 for i, word in enumerate(_TENS.split())},
    **{word: i % 20 for i, word in enumerate(_BELOW_TWENTY.split())},
}
_SCALES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_SELDOM_NUMBERS: Final = frozenset({"one", "first", "second"})
"""'The one', 'at first', 'wait a second'."""


class _Numeral(NamedTuple):
    word: str
    value: int
    end: int
    """Where it ends in the text."""


def said(text: str, language: str) -> frozenset[int]:
    """Every number that `text` states."""
    found: set[int] = set()
    for run in _runs(text, language):
        if not all(numeral.word in _SELDOM_NUMBERS for numeral in run):
            found.update(_cardinals(run))
    return frozenset(found)


def meant(text: str, language: str) -> frozenset[int]:
    """Every number that `text` may mean: 'twenty twenty-five' is 20, 25, 5 and 2025."""
    found: set[int] = set()
    for run in _runs(text, language):
        cardinals = _cardinals(run)
        together = "".join(map(str, cardinals))
        found.update(cardinals, (numeral.value for numeral in run), [int(together[:_MOST_DIGITS])])
    return frozenset(found)


def _runs(text: str, language: str) -> Iterator[list[_Numeral]]:
    """Numerals that follow each other."""
    plain = _THOUSANDS.sub("", text)
    run: list[_Numeral] = []
    for numeral, start in _numerals(plain, language):
        if run and not _JOINT.fullmatch(plain, run[-1].end, start):
            yield run
            run = []
        run.append(numeral)
    if run:
        yield run


def _numerals(text: str, language: str) -> Iterator[tuple[_Numeral, int]]:
    if language != "en":
        for digits in _DIGITS.finditer(text):
            yield _Numeral("", int(digits[0][:_MOST_DIGITS]), digits.end()), digits.start()
        return
    for token in tokens(text):
        value = _VALUES.get(token.text, _SCALES.get(token.text))
        if value is not None:
            yield _Numeral(token.text, value, token.end), token.start
            continue
        for digits in _DIGITS.finditer(token.text):
            yield _Numeral("", int(digits[0][:_MOST_DIGITS]), token.end), token.start


def _cardinals(run: Iterable[_Numeral]) -> list[int]:
    """'two hundred and five' is 205; 'nineteen eighty-four' is 19 and 84."""
    made: list[int] = []
    for word, value, _ in run:
        if made and word in _SCALES:
            made[-1] = _scaled(made[-1], value)
        elif made and word and _takes(made[-1], value):
            made[-1] += value
        else:
            made.append(value)
    return made


def _scaled(number: int, scale: int) -> int:
    """'two thousand three' and then 'hundred': what is smaller than the scale is multiplied by it."""
    return number - number % scale + (number % scale or 1) * scale if number > scale else number * scale


def _takes(number: int, value: int) -> bool:
    """Can `value` be added to what was said so far: 'twenty' takes 'five', 'five' takes nothing?"""
    if number % 100 == 0:
        return number > 0 and value < 100
    return number % 100 >= 20 and number % 10 == 0 and 0 < value < 10
