"""What names of people look like, as recognisers write them: 'Ann Lee', 'Dr. O'Neill', 'Ludwig van Beethoven'."""

import re
from typing import Final

from transcribe_pipeline.insight.name_cues import NOT_NAMES, NOT_PEOPLE, PARTICLES, TITLES

MOST_CHARACTERS: Final = 60
_MOST_WORDS: Final = 4
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*\.?")  # noqa: RUF001
_LONGEST_WORD: Final = 25
_CONTRACTION = re.compile(r"['’](?:s|m|re|ve|ll|d|t)$")  # noqa: RUF001


def name_in(text: str, start: int = 0) -> tuple[str, int] | None:
    """The person's name that stands in `text` right at `start`, and where it ends; None if there is none.

    'Dr. Ann Lee' is 'Ann Lee'; 'Dr. Lee' keeps the title, having nothing else.
    """
    title, words, ends = "", list[str](), list[int]()
    while len(words) <= _MOST_WORDS and (found := _WORD.match(text, start)):
        word = found[0] if _is_initial(found[0]) or _is_title(found[0]) else found[0].rstrip(".")
        end = start + len(word)
        if not words and _is_title(word):
            title = word.rstrip(".")
        elif not words and word.lower() in NOT_PEOPLE:
            break
        elif _is_name_word(word) or (words and word in PARTICLES):
            words.append(word)
            ends.append(end)
        else:
            break
        if text[end : end + 1] != " ":
            break
        start = end + 1
    while words and (words[-1] in PARTICLES or _is_initial(words[-1])):
        words.pop()
    if not 0 < len(words) <= _MOST_WORDS:
        return None
    name = f"{title} {words[0]}" if title and len(words) == 1 else " ".join(words)
    end = ends[len(words) - 1]
    is_possessive = text[end : end + 1] in ("'", "’")  # noqa: RUF001
    return None if is_possessive or len(name) > MOST_CHARACTERS else (name, end)


def is_name(text: str) -> bool:
    """Is this a person's name and nothing else, as a recogniser writes it?"""
    found = name_in(text)
    return found is not None and found[1] == len(text)


def core(name: str) -> tuple[str, ...]:
    """What two forms of a name are compared by: its words without titles and initials, in lower case."""
    words = name.split()
    return tuple(word.casefold() for word in words if not _is_title(word) and not _is_initial(word)) or (name,)


def _is_title(word: str) -> bool:
    return word[0].isupper() and word.rstrip(".").lower() in TITLES


def _is_initial(word: str) -> bool:
    return len(word) == 2 and word[0].isupper() and word[1] == "."


def _is_name_word(word: str) -> bool:
    """'Ann', "O'Neill", 'McCoy', 'Jean-Luc' or an initial; not 'NATO', 'iPhone', 'I' or "Bob's"."""
    if _is_initial(word):
        return True
    if not word[0].isupper() or word.isupper() or not 1 < len(word) <= _LONGEST_WORD:
        return False
    if not re.sub("['’-]", "", word).isalpha():  # 'x²' is a word to regular expressions  # noqa: RUF001
        return False
    return word.lower() not in NOT_NAMES and _CONTRACTION.search(word) is None
