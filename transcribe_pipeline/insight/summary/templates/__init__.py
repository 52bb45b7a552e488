"""What a summary should have and how it is asked for, by kind of recording, and by owner. See README.md here.

What belongs here: finding, reading and checking templates. What does not: what every summary must hold to, whatever its
template (`prompts.RULES`, `grounding`).
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from transcribe_pipeline.artifacts import Transcript
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.export.script import clean
from transcribe_pipeline.insight.summary.content_type import content_type
from transcribe_pipeline.insights import ContentType
from transcribe_pipeline.text import plain_yaml

Part = Literal[
    "brief_summary",
    "major_topics",
    "key_points",
    "decisions",
    "action_items",
    "follow_ups",
    "speakers",
    "sentiment",
]
"""Of a summary; the bottom line is in all."""

_BUILT_IN: Final = Path(__file__).parent
_NAME: Final = re.compile("[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Template:
    name: str
    version: int
    content_type: ContentType
    parts: tuple[Part, ...]
    instructions: str
    """For language models, on one line; after the rules, which it cannot change."""

    @property
    def label(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says, for code versions."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1, le=9999)]
    content_type: ContentType
    parts: Annotated[list[Part], Field(max_length=len(get_args(Part)))]
    instructions: Annotated[str, Field(max_length=4000)] = ""


def template_for(transcript: Transcript, *, wanted: str = "", folder: Path | None = None, owner: str = "") -> Template:
    """The template called `wanted`, or that of the kind of recording this seems to be.

    Looked for in `folder/owner`, then in `folder`, then among those that come with the pipeline.

    :param folder: setting `summary_templates`.
    :raises PipelineError: CONFIGURATION, naming the file that cannot be read, or the templates that there are.
    """
    return load(wanted or content_type(transcript), folder=folder, owner=owner)


def load(name: str, *, folder: Path | None = None, owner: str = "") -> Template:
    """The template called `name`. Raises as `template_for` does."""
    places = list(_places(folder, owner))
    if _NAME.fullmatch(name):
        for place in places:
            if (path := place / f"{name}.yaml").is_file():
                return _read(path)
    there_are = sorted({path.stem for place in places for path in place.glob("*.yaml") if _NAME.fullmatch(path.stem)})
    raise PipelineError(
        ErrorCode.CONFIGURATION, f"there is no summary template '{clean(name)[:40]}', but {', '.join(there_are)}"
    )


def _places(folder: Path | None, owner: str) -> Iterator[Path]:
    if folder is not None:
        # An owner is a folder's name in the object store, where '..' is one like any other.
        if owner and owner not in (".", "..") and not re.search(r"[/\\\0]", owner):
            yield folder / owner
        yield folder
    yield _BUILT_IN


def _read(path: Path) -> Template:
    try:
        with path.open("rb") as file:
            told = _File.model_validate(plain_yaml.load(file.read(plain_yaml.MAX_BYTES + 1)))
    except plain_yaml.BadYaml as error:
        raise PipelineError(ErrorCode.CONFIGURATION, f"summary template {path}{error}") from None
    except OSError as error:
        raise PipelineError(ErrorCode.CONFIGURATION, f"summary template {path}: {type(error).__name__}") from None
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg']}" for each in error.errors())
        raise PipelineError(ErrorCode.CONFIGURATION, f"summary template {path}, {'; '.join(problems)}") from None
    parts = tuple(dict.fromkeys(told.parts))
    return Template(path.stem, told.version, told.content_type, parts, clean(told.instructions))
