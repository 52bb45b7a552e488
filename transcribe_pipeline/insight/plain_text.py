"""Is a text plain: one line of words, that no viewer takes for markup, a link or a command?"""

import re
from typing import Final

from transcribe_pipeline.export.script import clean

MAX_CHARACTERS: Final = 1000
"""No statement is longer; a sentence that is read out seldom has 400."""

# Direction overrides and isolates make a text read otherwise than it is; tags and invisible operators hide text in it.
_INVISIBLE = re.compile("[\u200b\u202a-\u202e\u2061-\u2069\u00ad\U000e0000-\U000e007f]")
_MARKUP = re.compile(
    r"[<>`|{}\\]|\]\s*[\[(]|!\[|\*\*|__|~~"  # HTML, code, tables, links, pictures, emphasis
    r"|^\s*[#*+>-]"  # headings, lists, quotes
    r"|(?<!\w)[*_](?=\S)"  # *emphasis*
    r"|&(?:#\d+|#x[\da-f]+|[a-z]+);",
    re.IGNORECASE,
)
# The endings by which mail programs and chat windows make links of bare names; spoken addresses end in these.
_ENDINGS = "com|org|net|io|dev|ai|co|info|biz|xyz|app|me|tv|edu|gov|mil|eu|de|uk|fr|es|it|nl|ch|at|ru|cn|jp|in|us|link|site|online"  # noqa: E501  # fmt: skip
_ADDRESS = re.compile(
    rf"[a-z][a-z\d+.-]*:/|\b(?:javascript|data|mailto|tel|file):\S|\bwww\.|\S@\S+\.\S|\b[\w-]+\.(?:{_ENDINGS})\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b",
    re.IGNORECASE,
)


def objection(text: str) -> str | None:
    """Why `text` is not plain; None if it is."""
    if not text.strip():
        return "empty"
    if len(text) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS} characters"
    if text != clean(text) or _INVISIBLE.search(text):
        return "characters that people do not see"
    if _MARKUP.search(text):
        return "markup"
    if _ADDRESS.search(text):
        return "an address"
    return None
