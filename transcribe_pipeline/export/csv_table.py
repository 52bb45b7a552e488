"""CSV (.csv): a row for every segment; RFC 4180 (comma, CRLF, quotes doubled), UTF-8, times in seconds.

Spreadsheets run cells that begin like a formula (OWASP, 'CSV Injection'), so names and text get an apostrophe before
such a beginning. The same after a semicolon, which begins a cell where that is the list separator (most of Europe).
Cleaned text has no tab, line break or NUL, the other beginnings on OWASP's list.
"""

import csv
import io
import re

from transcribe_pipeline.artifacts import TranscriptSegment
from transcribe_pipeline.export.script import MalformedExport, Script

_COLUMNS = ["segment", "start", "end", "speaker", "confidence", "text"]

# Quotes and spaces before the sign count: '=1 must be marked as well for the mark to be undone, "=1" loses its quotes
# when a spreadsheet splits at semicolons, and spaces may be trimmed. Full-width signs may be read as ASCII ones.
_FORMULA = "[\"' ]*[=+\\-@＝＋－＠]"  # noqa: RUF001  # full-width signs are meant
_UNMARKED = re.compile(f"(^|;)(?={_FORMULA})")
_MARKED = re.compile(f"(^|;)'(?={_FORMULA})")


def render(script: Script) -> str:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_row(script, segment) for segment in script.transcript.segments)
    return table.getvalue()


def read_words(text: str) -> list[str]:
    """The words of the text column in order. Raises MalformedExport."""
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except (csv.Error, ValueError) as error:
        raise MalformedExport("the file is not CSV with a header") from error
    if header != _COLUMNS:
        raise MalformedExport("the columns are not those of a transcript")
    words: list[str] = []
    for number, row in enumerate(rows, start=1):
        if len(row) != len(_COLUMNS):
            raise MalformedExport(f"row {number} has {len(row)} of {len(_COLUMNS)} cells")
        words += _MARKED.sub(r"\1", row[-1]).split()
    return words


def _row(script: Script, segment: TranscriptSegment) -> list[str]:
    return [
        str(segment.id),
        f"{segment.start:.3f}",
        f"{segment.end:.3f}",
        _harmless(script.name(segment.speaker)),
        f"{segment.confidence:.3f}",
        _harmless(script.text([segment])),
    ]


def _harmless(cell: str) -> str:
    return _UNMARKED.sub(r"\1'", cell)
