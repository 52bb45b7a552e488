"""Parameters that several commands have, and the closed lists that they offer.

The lists are written out, since those that they repeat would load a database driver or Dagster; tests hold them equal.
"""

from enum import StrEnum
from typing import Annotated, Literal

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="File name, partition key, object key or id.", show_default=False)]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE]...", help="File names, partition keys, object keys or ids.", show_default=False),
]
Owner = Annotated[str | None, typer.Option(help="Only files of this owner.", show_default=False)]
# An enumeration, since typer takes no list of literals. Named like their values.
StateName = StrEnum(
    "StateName",
    [
        "pending", "queued", "processing", "completed", "degraded", "error", "cancelling", "cancelled", "orphaned",
        "quarantined",
    ],
)  # fmt: skip
AnyStageName = Literal[
    "upload", "options", "media_metadata", "audio", "transcription", "given_transcript", "alignment", "diarization",
    "transcript", "transcript_record", "speaker_identities", "subtitles", "transcript_page", "search_document",
    "analytics", "semantic_chunks", "chapters", "knowledge_graph", "questions", "speaker_names", "summary",
]  # fmt: skip
