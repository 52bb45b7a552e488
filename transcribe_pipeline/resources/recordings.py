"""Local copies of recordings for tools that need files: fetched or decoded once, shared by the stages of a run.

A copy lies alone, under one constant name, in a private folder of this process' scratch.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from transcribe_pipeline.artifacts import Audio, AudioChannel
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.resources.object_store import Fetched, ObjectStore, ObjectStoreResource
from transcribe_pipeline.scratch import Scratch, open_scratch
from transcribe_pipeline.settings import settings

if TYPE_CHECKING:
    from transcribe_pipeline.media.decode import DecodedAudio


class Recordings:
    """Assets annotate `recordings: dg.ResourceParam[Recordings]`."""

    def __init__(self, store: ObjectStore, scratch: Scratch, *, max_bytes: int) -> None:
        self._store = store
        self._scratch = scratch
        self._max_bytes = max_bytes

    def original(
        self, object_key: str, etag: str, size_bytes: int, *, on_progress: Callable[[float], None] | None = None
    ) -> tuple[Path, Fetched]:
        """The uploaded object, exactly as listed with this etag and size. Raises as `ObjectStore.fetch` does.

        One that does not fit is not begun: it would fill the disk for everybody before it failed.
        """

        def report(received: int, total: int) -> None:
            if on_progress:
                on_progress(received / total)

        def fetch(path: Path) -> Fetched:
            self._scratch.require_free(size_bytes)
            return self._store.fetch(object_key, etag, path, max_bytes=self._max_bytes, on_progress=report)

        return self._scratch.cached(_original(object_key, etag), fetch)

    def discard_original(self, object_key: str, etag: str) -> None:
        """Free the disk as soon as no stage needs the upload any more."""
        self._scratch.discard(_original(object_key, etag))

    def decode(self, key: str, decode: "Callable[[Path], DecodedAudio]") -> "tuple[Path, DecodedAudio]":
        """The FLAC that `decode` writes, kept at hand for the speech stages under its object key."""
        self._scratch.discard(key)
        return self._scratch.cached(key, decode)

    def folder(self) -> AbstractContextManager[Path]:
        """A private empty folder for files on their way into the store."""
        return self._scratch.folder()

    def flac(self, audio: Audio | AudioChannel) -> Path:
        """The audio artifact's FLAC; fetched if an earlier process decoded it. Raises ARTIFACT_MISSING."""

        def fetch(path: Path) -> None:
            try:
                self._store.get_file(audio.object_key, path)
            except FileNotFoundError as error:
                raise PipelineError(ErrorCode.ARTIFACT_MISSING, "the audio of stage 'audio'") from error

        return self._scratch.cached(audio.object_key, fetch)[0]

    def discard_flac(self, audio: Audio | AudioChannel) -> None:
        self._scratch.discard(audio.object_key)


def _original(object_key: str, etag: str) -> str:
    return f"{object_key}\0{etag}"


class RecordingsResource(dg.ConfigurableResource[Recordings]):
    store: dg.ResourceDependency[ObjectStoreResource]

    def create_resource(self, context: dg.InitResourceContext) -> Recordings:
        # `self.store` is what the dependency created: the plain ObjectStore.
        configured = settings()
        return Recordings(self.store, open_scratch(configured.home), max_bytes=configured.max_file_bytes)  # type: ignore[arg-type]
