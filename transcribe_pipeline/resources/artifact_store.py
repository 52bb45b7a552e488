"""What flows between assets, kept beside the audio: one zstd-compressed JSON per stage, content and generation.

    <prefix>/<partition key>/<content>/g<generation>/<stage>.json.zst
    <prefix>/<partition key>/<content>/partial/<stage>/...                what an unfinished stage need not do again

`content` is the start of the SHA-256 of the upload, so a generation inherits what earlier ones made of the same bytes:
a re-upload of identical bytes, or a recovery that redoes one stage, finds the rest. A generation writes only into its
own folder, so a run that has lost its lease changes nothing that a newer one reads, and versions stay immutable.

Values are pydantic models and are parsed as the model that the reading stage declares. Nothing is ever unpickled:
whoever can write to the store can at worst supply a wrong value.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import dagster as dg
import zstandard
from pydantic import BaseModel, ValidationError

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources.object_store import ObjectStore

_SUFFIX = ".json.zst"
_CONTENT_DIGITS = 16
_ZSTD_LEVEL = 3
_MAX_JSON_BYTES = 1024**3
"""A transcript of 10 hours (100,000 words) is about 20 MB of JSON; what unpacks to more than this is no artifact."""
_MAX_WINDOW_BYTES = 128 * 1024**2
_GENERATION = re.compile(r"/g(\d{4,})/")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class FileVersion:
    """Which state of a file a run works on."""

    content: str
    """`content_id` of the upload."""
    generation: int


def content_id(sha256: str) -> str:
    """How a path names content: the first 16 hex digits of its SHA-256."""
    return sha256[:_CONTENT_DIGITS]


class ArtifactStore:
    """Saves and loads artifacts; knows nothing of Dagster."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self.store = store
        self._prefix = prefix

    def key(self, partition_key: str, version: FileVersion, name: str) -> str:
        """Where generation `version.generation` writes its artifact `name`."""
        return self.object_key(partition_key, version, f"{name}{_SUFFIX}")

    def object_key(self, partition_key: str, version: FileVersion, file_name: str) -> str:
        """Where that generation writes a file that is no artifact, such as audio that an artifact points at."""
        return f"{self._folder(partition_key, version.content)}/g{version.generation:04d}/{file_name}"

    def save(self, partition_key: str, version: FileVersion, name: str, artifact: BaseModel) -> tuple[str, int]:
        """Write the artifact into its generation's folder; returns its key and its compressed size in bytes."""
        key = self.key(partition_key, version, name)
        return key, self._write(key, artifact)

    def _write(self, key: str, artifact: BaseModel) -> int:
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
        data = compressor.compress(artifact.model_dump_json().encode())
        self.store.put_bytes(key, data)
        return len(data)

    def load(self, partition_key: str, version: FileVersion, name: str, model: type[Model]) -> Model:
        """The artifact of the highest generation up to `version.generation` that has it for this content.

        :raises PipelineError: ARTIFACT_MISSING, naming the stage; also if what is stored is not a `model`.
        """
        key = self.find(partition_key, version, name)
        if key is None:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"stage '{name}'")
        try:
            return model.model_validate_json(_decompress(self.store.get_bytes(key)))
        except FileNotFoundError as error:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"stage '{name}'") from error
        except (zstandard.ZstdError, ValidationError) as error:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, f"stage '{name}': what is stored is damaged") from error

    def of_file(self, partition_key: str) -> Iterator[str]:
        """Keys of every artifact of a file, of all contents and generations, unfinished work left out."""
        for key in self.store.list_keys(f"{self._prefix}/{partition_key}"):
            if key.endswith(_SUFFIX) and _GENERATION.search(key):
                yield key

    def read_json(self, key: str) -> bytes:
        """An artifact as the JSON that it is.

        :raises PipelineError: ARTIFACT_MISSING, also if what is stored is damaged.
        """
        try:
            return _decompress(self.store.get_bytes(key))
        except (FileNotFoundError, zstandard.ZstdError) as error:
            raise PipelineError(ErrorCode.ARTIFACT_MISSING, "an artifact cannot be read") from error

    def find(self, partition_key: str, version: FileVersion, name: str) -> str | None:
        """Key of the artifact that `load` would read, or None."""
        keys = self.store.list_keys(self._folder(partition_key, version.content))
        found = [
            (int(match[1]), key)
            for key in keys
            if key.endswith(f"/{name}{_SUFFIX}") and (match := _GENERATION.search(key))
        ]
        inherited = [pair for pair in found if pair[0] <= version.generation]
        return max(inherited)[1] if inherited else None

    def inherited(self, partition_key: str, version: FileVersion) -> dict[str, int]:
        """What `load` would find: name -> the generation that made it. One listing for all of them."""
        found: dict[str, int] = {}
        for key in self.store.list_keys(self._folder(partition_key, version.content)):
            match = _GENERATION.search(key)
            if match and key.endswith(_SUFFIX) and int(match[1]) <= version.generation:
                name = key[match.end() : -len(_SUFFIX)]
                found[name] = max(found.get(name, 0), int(match[1]))
        return found

    def save_partial(self, partition_key: str, content: str, stage: str, name: str, artifact: BaseModel) -> None:
        """Keep part of a stage's work, for whichever run goes on with it; `discard_partial` ends that."""
        self._write(f"{self._partial(partition_key, content, stage)}/{name}{_SUFFIX}", artifact)

    def load_partial(self, partition_key: str, content: str, stage: str, name: str, model: type[Model]) -> Model | None:
        """The part of that name, or None; a damaged one is as good as none."""
        try:
            data = self.store.get_bytes(f"{self._partial(partition_key, content, stage)}/{name}{_SUFFIX}")
            return model.model_validate_json(_decompress(data))
        except (FileNotFoundError, zstandard.ZstdError, ValidationError):
            return None

    def discard_partial(self, partition_key: str, content: str, stage: str) -> None:
        self.store.delete_prefix(self._partial(partition_key, content, stage))

    def _partial(self, partition_key: str, content: str, stage: str) -> str:
        return f"{self._folder(partition_key, content)}/partial/{stage}"

    def _folder(self, partition_key: str, content: str) -> str:
        return f"{self._prefix}/{partition_key}/{content}"


VersionLookup = Callable[[dg.InputContext | dg.OutputContext], FileVersion]
"""Which version of the file the run behind this context works on."""
WriteHook = Callable[[dg.OutputContext], None]


class ArtifactIOManager(dg.IOManager):
    """Stores what assets return, and gives their readers the type they declare.

    `before_write` raises if the run may no longer write (its lease is lost); `after_write` learns that a stage's value
    is safe in the store.
    """

    def __init__(
        self, artifacts: ArtifactStore, version_of: VersionLookup, before_write: WriteHook, after_write: WriteHook
    ) -> None:
        self._artifacts = artifacts
        self._version_of = version_of
        self._before_write = before_write
        self._after_write = after_write

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if not isinstance(obj, BaseModel):
            raise TypeError(f"{_name(context)} returned {type(obj).__name__}; only pydantic models are stored")
        version = self._version_of(context)
        self._before_write(context)
        key, size_bytes = self._artifacts.save(context.asset_partition_key, version, _name(context), obj)
        self._artifacts.discard_partial(context.asset_partition_key, version.content, _name(context))
        context.add_output_metadata(
            {
                "dagster/uri": self._artifacts.store.url(key),
                "artifact_key": key,
                "artifact_bytes": size_bytes,
            }
        )
        self._after_write(context)

    def load_input(self, context: dg.InputContext) -> BaseModel:
        model = context.dagster_type.typing_type
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"the input {_name(context)} must be annotated with the pydantic model to load")
        return self._artifacts.load(context.asset_partition_key, self._version_of(context), _name(context), model)


def _name(context: dg.InputContext | dg.OutputContext) -> str:
    return context.asset_key.to_python_identifier()


def _decompress(data: bytes) -> bytes:
    """:raises zstandard.ZstdError: not zstd, damaged, or more than `_MAX_JSON_BYTES` (a bomb)."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    unpacked = bytearray()
    # In steps, since a frame's declared size would make `decompress` allocate all of it at once.
    for chunk in decompressor.read_to_iter(data):
        unpacked += chunk
        if len(unpacked) > _MAX_JSON_BYTES:
            raise zstandard.ZstdError("unpacks to more than any artifact has")
    return bytes(unpacked)
