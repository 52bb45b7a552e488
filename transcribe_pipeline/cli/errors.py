"""`transcribe errors`: the closed list of failures, for people and, as docs/errors.md, for the documentation."""

from collections.abc import Iterator

import typer

from transcribe_pipeline.cli import output
from transcribe_pipeline.errors import AREAS, CATALOGUE, RETRIED_AT_ONCE, ErrorCode, retried_later

_INTRODUCTION = """\
# Errors

Every failure that a person can meet is one of these. A permanent one would come again with the same input, so it is
never tried again by itself. A transient one may be gone in a moment, and a lack of resources (memory, disk, a model)
when the machine has them again.

*At once* is what the failed call itself tries before anything counts as a failure. *By further runs* is what follows
when a file has failed. The pipeline starts at most `TRANSCRIBE_MAX_TRIES` runs for one content, over all of its ways to
try again: the first one, Dagster's two retries from the failed stage, and those of recovery (`stuck_files`), which rest
longer each time. After the last of them the file is quarantined, and waits for a person. When too many files in a row
fail with the same transient or resource error, intake pauses until one succeeds, and those that failed so get their
tries back.

A stage after `transcript_record` costs a file nothing but what it makes: the file is completed and marked as degraded,
whatever the error, and recovery repeats what is missing, up to three times.
"""


def show(*, as_json: bool, as_markdown: bool) -> None:
    if as_markdown:
        typer.echo(markdown(), nl=False)
        return
    if as_json:
        output.print_json([_described(code) for code in ErrorCode])
        return
    rows = output.table("CODE", "CLASS", "WHAT", "REMEDY")
    for code in ErrorCode:
        entry = CATALOGUE[code]
        rows.add_row(code.value, entry.error_class.value, entry.sentence, entry.remedy)
    output.stdout().print(rows)


def markdown() -> str:
    """docs/errors.md."""
    return f"{_INTRODUCTION}{''.join(_sections())}"


def _sections() -> Iterator[str]:
    for code in ErrorCode:
        if code in AREAS:
            yield f"\n## {AREAS[code]}\n\n"
            yield "| Code | Class | What happened | What to do | At once | By further runs |\n"
            yield "|---|---|---|---|---|---|\n"
        yield f"| `{code}` | {' | '.join(list(_described(code).values())[1:])} |\n"


def _described(code: ErrorCode) -> dict[str, str]:
    entry = CATALOGUE[code]
    return {
        "code": code.value,
        "class": entry.error_class.value,
        "sentence": entry.sentence,
        "remedy": entry.remedy,
        "retried_at_once": RETRIED_AT_ONCE.get(code, ""),
        "retried_later": retried_later(code),
    }
