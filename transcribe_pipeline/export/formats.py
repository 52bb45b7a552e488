"""The formats people download, in one table. A new one is a module with `render` and a reader, and a line here.

What belongs here: the table, and the promise that each format keeps: every word of the transcript, once, in order
(those that hold something else, or in another order, say so). `difference` proves it by reading the written file back,
with a reader that shares no code with the writer beyond the constants of the format.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.export import (
    audacity,
    csv_table,
    ctm,
    elan,
    json_document,
    markdown,
    plain_text,
    podcast_json,
    praat,
    rttm,
    subrip,
    substation,
    tiers,
    webvtt,
    whisper_tsv,
    whisperx_json,
    word_document,
)
from transcribe_pipeline.export.options import DEFAULT_OPTIONS, ExportOptions
from transcribe_pipeline.export.script import MalformedExport, Script
from transcribe_pipeline.text.words import is_unspaced


def _words(script: Script) -> list[str]:
    return [word.text for word in script.transcript.words]


@dataclass(frozen=True)
class ExportFormat:
    extension: str
    media_type: str
    write: Callable[[Script], bytes]
    read: Callable[[bytes], list[str]]
    """A file -> the words in it, split at white space. Raises MalformedExport, or UnicodeDecodeError."""
    promise: Callable[[Script], list[str]] = _words
    """What `read` finds in a file that has lost nothing."""


def _text(
    extension: str,
    media_type: str,
    render: Callable[[Script], str],
    read: Callable[[str], list[str]],
    promise: Callable[[Script], list[str]] = _words,
) -> ExportFormat:
    """A format whose files are text in UTF-8."""
    return ExportFormat(
        extension,
        media_type,
        write=lambda script: render(script).encode(),
        read=lambda content: read(content.decode()),
        promise=promise,
    )


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

FORMATS: Final[Mapping[str, ExportFormat]] = {
    # to watch and to read
    "srt": _text("srt", "application/x-subrip", subrip.render, subrip.read_words),
    "vtt": _text("vtt", "text/vtt", webvtt.render, webvtt.read_words),
    "ass": _text("ass", "text/x-ssa", substation.render, substation.read_words),
    "txt": _text("txt", "text/plain", plain_text.render, plain_text.read_words),
    "md": _text("md", "text/markdown", markdown.render, markdown.read_words),
    "docx": ExportFormat("docx", _WORD, word_document.render, word_document.read_words),
    # for programs
    "json": _text("json", "application/json", json_document.render, json_document.read_words),
    "csv": _text("csv", "text/csv", csv_table.render, csv_table.read_words),
    "tsv": _text("tsv", "text/tab-separated-values", whisper_tsv.render, whisper_tsv.read_words),
    "whisperx": _text("whisperx.json", "application/json", whisperx_json.render, whisperx_json.read_words),
    "podcast": _text("podcast.json", "application/json", podcast_json.render, podcast_json.read_words),
    # for research
    "rttm": _text("rttm", "text/plain", rttm.render, rttm.read_turns, rttm.turns),
    "ctm": _text("ctm", "text/plain", ctm.render, ctm.read_words, ctm.words_in_time),
    "audacity": _text("labels.txt", "text/plain", audacity.render, audacity.read_words),
    "textgrid": _text("TextGrid", "text/plain", praat.render, praat.read_words, tiers.words_by_speaker),
    "eaf": _text("eaf", "text/x-eaf+xml", elan.render, elan.read_words, tiers.words_by_speaker),
}

RESULT_FORMATS: Final = ("srt", "vtt", "txt", "json", "csv")
"""Written for every file; all others are made when somebody asks for them."""


def result_keys(
    results_prefix: str, owner: str, partition_key: str, formats: Collection[str] = RESULT_FORMATS
) -> dict[str, str]:
    """Format -> object key of the file that people download."""
    folder = f"{results_prefix}/{owner}/{partition_key}"
    return {name: f"{folder}/transcript.{FORMATS[name].extension}" for name in formats}


def write_all(
    transcript: Transcript,
    *,
    file_name: str,
    names: Mapping[str, str],
    formats: Collection[str] = RESULT_FORMATS,
    options: ExportOptions = DEFAULT_OPTIONS,
) -> dict[str, bytes]:
    """Format -> the file's bytes. `names`: speaker label -> name; speakers without one keep their label.

    Raises BAD_EXPORT where the options ask for what cannot be had.
    """
    script = Script.of(transcript, file_name=file_name, names=names, options=options)
    return {name: FORMATS[name].write(script) for name in formats}


def difference(
    transcript: Transcript, format_name: str, content: bytes, options: ExportOptions = DEFAULT_OPTIONS
) -> str | None:
    """None if the file holds exactly what its format promises of the transcript; else what is wrong, quoting no word.

    `options`: those that the file was written with.
    """
    form = FORMATS[format_name]
    try:
        read = form.read(content)
    except UnicodeDecodeError:
        return "the file is not UTF-8"
    except MalformedExport as error:
        return str(error)
    script = Script.of(transcript, file_name="", names={}, options=options)
    language = script.transcript.language
    return _first_difference(_units(form.promise(script), language), _units(read, language))


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
