"""The formats people download, in one table. A new one is a module with `render` and `read_words`, and a line here.

What belongs here: the table, and the promise that holds for all formats: every word of the transcript, once, in
order. `difference` proves it by reading the written file back, with a reader that shares no code with the writer
beyond the constants of the format.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export import csv_table, json_document, plain_text, subrip, webvtt
from transcribe_pipeline.export.script import MalformedExport, Script, clean
from transcribe_pipeline.text.words import is_unspaced


@dataclass(frozen=True)
class ExportFormat:
    extension: str
    media_type: str
    render: Callable[[Script], str]
    read_words: Callable[[str], list[str]]
    """Text of a file -> its words, split at white space. Raises MalformedExport."""


FORMATS: Final[Mapping[str, ExportFormat]] = {
    "srt": ExportFormat("srt", "application/x-subrip", subrip.render, subrip.read_words),
    "vtt": ExportFormat("vtt", "text/vtt", webvtt.render, webvtt.read_words),
    "txt": ExportFormat("txt", "text/plain", plain_text.render, plain_text.read_words),
    "json": ExportFormat("json", "application/json", json_document.render, json_document.read_words),
    "csv": ExportFormat("csv", "text/csv", csv_table.render, csv_table.read_words),
}


def result_keys(results_prefix: str, owner: str, partition_key: str) -> dict[str, str]:
    """Format -> object key of the file that people download."""
    folder = f"{results_prefix}/{owner}/{partition_key}"
    return {name: f"{folder}/transcript.{export.extension}" for name, export in FORMATS.items()}


def write_all(transcript: Transcript, *, file_name: str, names: Mapping[str, str]) -> dict[str, bytes]:
    """Format -> the file's bytes (UTF-8). `names`: speaker label -> name; speakers without one keep their label."""
    script = Script.of(transcript, file_name=file_name, names=names)
    return {name: export.render(script).encode() for name, export in FORMATS.items()}


def difference(transcript: Transcript, format_name: str, content: bytes) -> str | None:
    """None if the file holds exactly the transcript's words in order; else what is wrong, without quoting a word."""
    try:
        read = FORMATS[format_name].read_words(content.decode())
    except UnicodeDecodeError:
        return "the file is not UTF-8"
    except MalformedExport as error:
        return str(error)
    return _first_difference(
        _units((clean(word.text) for word in transcript.words), transcript.language),
        _units(read, transcript.language),
    )


def _units(words: Iterable[str], language: str) -> list[str]:
    """What is compared: words; characters where a language is written without spaces and text is not split there."""
    split = " ".join(words).split()
    return list("".join(split)) if is_unspaced(language) else split


def _first_difference(expected: list[str], read: list[str]) -> str | None:
    if expected == read:
        return None
    pairs = enumerate(zip_longest(expected, read), start=1)
    position = next(position for position, (left, right) in pairs if left != right)
    return f"{len(read)} of {len(expected)} words, the first difference is at word {position}"
