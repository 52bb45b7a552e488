"""What people may ask of an export beside its format.

What belongs here: the choices and whether they make sense. What does not: carrying them out (`script.py`,
`redaction.py`, `translated.py`, `cues.py`).
"""

from dataclasses import dataclass
from typing import Final, Literal

from transcribe_pipeline.errors import ErrorCode, PipelineError

ExportLanguage = Literal["original", "en"]


@dataclass(frozen=True)
class ExportOptions:
    """Raises BAD_EXPORT where a choice makes no sense in itself."""

    names: bool = True
    """Say who speaks. Without, formats made for programs keep labels (SPEAKER_00), all others show no speaker."""
    words_per_cue: int | None = None
    """At most this many words in a subtitle."""
    language: ExportLanguage = "original"
    """'en': the English translation that was made beside the transcript."""
    redact: tuple[str, ...] = ()
    """Words and phrases to hide, wherever they stand as whole words; case and punctuation do not matter."""
    placeholder: str = "[redacted]"
    """Stands where something was hidden."""

    def __post_init__(self) -> None:
        if self.words_per_cue is not None and self.words_per_cue < 1:
            raise PipelineError(ErrorCode.BAD_EXPORT, "a subtitle needs at least one word")


DEFAULT_OPTIONS: Final = ExportOptions()
