"""Many exported files in one place: a ZIP archive or a folder, written as they are made.

What belongs here: names of the files, and that what is interrupted leaves nothing behind that looks whole. What does
not: which recordings, and where their transcripts come from. Memory holds one transcript and one file of it at a time.
"""

import uuid
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from slugify import slugify

from transcribe_pipeline.export.formats import FORMATS
from transcribe_pipeline.export.options import ExportOptions
from transcribe_pipeline.export.redaction import Redaction
from transcribe_pipeline.export.script import Script, clean

SKIPPED = "skipped.txt"

Member = tuple[str, bytes]
"""Path inside the archive or folder, and content."""


@dataclass(frozen=True)
class Recording:
    owner: str
    file_name: str
    partition_key: str
    """Made of [a-z0-9-], ending in a hash: two recordings never share it."""


class Folders:
    """The folder of each recording's files, 'owner/recording': unique, in plain letters, telling nothing hidden."""

    def __init__(self, options: ExportOptions) -> None:
        self._redaction = Redaction(options.redact, clean(options.placeholder))

    def name(self, recording: Recording) -> str:
        owner = self._shown(recording.owner)
        key = recording.partition_key
        if self._shown(recording.file_name) != clean(recording.file_name):
            # The key begins with a slug of the name, which would tell it.
            key = f"{slugify(self._shown(recording.file_name)) or 'file'}-{key.rpartition('-')[2]}"
        return f"{slugify(owner) or 'owner'}/{key}"

    def line(self, recording: Recording, reason: str) -> str:
        """One line of skipped.txt."""
        return f"{self._shown(recording.owner)}/{self._shown(recording.file_name)}: {clean(reason)}\n"

    def _shown(self, text: str) -> str:
        return self._redaction.text(clean(text))


def members(script: Script, formats: Collection[str], folder: str) -> Iterator[Member]:
    """The files of one recording; each is written when it is asked for."""
    for name in formats:
        export = FORMATS[name]
        yield f"{folder}/transcript.{export.extension}", export.write(script)


def write_zip(files: Iterable[Member], out: BinaryIO) -> None:
    """Write a ZIP archive to `out`, which need not be seekable.

    If `files` raises, the archive stays without its directory, so that no program takes it for a whole one.
    """
    stream = _Stream(out)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        try:
            for path, content in files:
                archive.writestr(path, content)
        except BaseException:
            stream.is_cut = True  # leaving the block writes the directory
            raise
    out.flush()


def write_folder(files: Iterable[Member], folder: Path) -> None:
    """Write files below `folder`, each in one piece; what is there under the same name is replaced."""
    for path, content in files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as out:
            out.write(content)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends, and is removed if that raises. Pipes and devices stay.

    Raises OSError, which names `path`.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as out:
            yield out
        return
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as out:
            yield out
        part.replace(target)
    except OSError as error:
        if str(error.filename) == str(part):
            error.filename = str(path)  # people know that one
        raise
    finally:
        part.unlink(missing_ok=True)


class _Stream:
    """What `zipfile` writes to: it only ever goes on, and lets nothing through once it is cut."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.is_cut = False

    def write(self, data: bytes) -> int:
        return len(data) if self.is_cut else self._out.write(data)

    def flush(self) -> None:
        self._out.flush()
