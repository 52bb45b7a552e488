"""CSV (.csv): a row for every segment; RFC 4180 (comma, CRLF, quotes doubled), UTF-8, times in seconds.

Names and text are made harmless for spreadsheets (`cells`).
"""

import csv
import io

from transcribe_pipeline.artifacts import TranscriptSegment
from transcribe_pipeline.export.cells import harmless, original
from transcribe_pipeline.export.script import MalformedExport, Script

_COLUMNS = ["segment", "start", "end", "speaker", "confidence", "text"]


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
        words += original(row[-1]).split()
    return words


def _row(script: Script, segment: TranscriptSegment) -> list[str]:
    return [
        str(segment.id),
        f"{segment.start:.3f}",
        f"{segment.end:.3f}",
        harmless(script.name(segment.speaker)),
        f"{segment.confidence:.3f}",
        harmless(script.text([segment])),
    ]
