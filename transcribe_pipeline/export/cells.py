"""Cells of tables that people open in spreadsheets.

Spreadsheets run cells that begin like a formula (OWASP, 'CSV Injection'), so such a beginning gets an apostrophe before
it. The same after a semicolon, which begins a cell where that is the list separator (most of Europe). Cleaned text has
no tab, line break or NUL, the other beginnings on OWASP's list.
"""

import re

# Quotes and spaces before the sign count: '=1 must be marked as well for the mark to be undone, "=1" loses its quotes
# when a spreadsheet splits at semicolons, and spaces may be trimmed. Full-width signs may be read as ASCII ones.
_FORMULA = "[\"' ]*[=+\\-@＝＋－＠]"  # noqa: RUF001  # full-width signs are meant
_UNMARKED = re.compile(f"(^|;)(?={_FORMULA})")
_MARKED = re.compile(f"(^|;)'(?={_FORMULA})")


def harmless(text: str) -> str:
    """Cleaned text as a cell that no spreadsheet runs."""
    return _UNMARKED.sub(r"\1'", text)


def original(cell: str) -> str:
    """The text that `harmless` was given."""
    return _MARKED.sub(r"\1", cell)
