"""How commands speak: data on stdout, everything else on stderr, one line for an error, documented exit codes."""

import json
import re
import sys
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.script import clean

_TERMINAL_COMMANDS = re.compile(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What terminals obey in the middle of a text: control characters, and those that turn the writing round."""

_UNWRAPPED_COLUMNS = 10_000
"""When piped, a row is a line, whatever its length."""


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    PARTIAL = 4


EXIT_CODES = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 no such file or transcript;"
    " 4 done, but degraded (the transcript is there, a later stage is not)."
)

_CODE_OF_ERROR = {
    ErrorCode.CONFIGURATION: ExitCode.USAGE,
    ErrorCode.FILE_UNKNOWN: ExitCode.NOT_FOUND,
    ErrorCode.ARTIFACT_MISSING: ExitCode.NOT_FOUND,
    ErrorCode.VOICE_UNKNOWN: ExitCode.NOT_FOUND,
    ErrorCode.VOICE_REFUSED: ExitCode.USAGE,
    ErrorCode.BAD_GOLDEN_SET: ExitCode.USAGE,
    ErrorCode.BAD_REQUEST: ExitCode.USAGE,
    ErrorCode.PLAN_UNKNOWN: ExitCode.NOT_FOUND,
    ErrorCode.BAD_QUERY: ExitCode.USAGE,
    ErrorCode.BAD_EXPORT: ExitCode.USAGE,
}


class Commands(TyperGroup):
    """The group whose commands end in an exit code and one line, not in a traceback, when something known is wrong."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            note(plain(str(error)))
            raise typer.Exit(_CODE_OF_ERROR.get(error.code, ExitCode.FAILED)) from None
        except BrokenPipeError:
            raise  # the reader has seen enough; typer knows
        except OSError as error:
            place = f" ({plain(Path(str(error.filename)).name)})" if error.filename else ""
            note(f"{error.strerror or type(error).__name__}{place}.")
            raise typer.Exit(ExitCode.FAILED) from None


def note(text: str) -> None:
    """A line for people, on stderr. Names in it must be `plain`."""
    typer.echo(text, err=True)


def plain(text: str) -> str:
    """Names and speech as a terminal may have them: on one line, without control characters."""
    return _TERMINAL_COMMANDS.sub("", clean(text))


def print_json(value: Any) -> None:
    """One JSON value on one line of stdout. What a terminal would obey is escaped, so no character of it is lost."""
    text = json.dumps(value, default=_encoded, ensure_ascii=False)
    typer.echo(_TERMINAL_COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _encoded(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def stdout() -> Console:
    """For data: coloured on a terminal, one line a row when piped. Markup is off, since text is people's."""
    return _console(sys.stdout)


def stderr() -> Console:
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _UNWRAPPED_COLUMNS
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def table(*columns: str) -> Table:
    """A table without lines; cells that do not fit a terminal are folded, not cut."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def clock(seconds: float) -> str:
    """'0:01:02', rounded down as players count."""
    minutes, whole_seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{whole_seconds:02}"


def size(size_bytes: int) -> str:
    """'1.4 MB' (decimal units, as file managers show them)."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
