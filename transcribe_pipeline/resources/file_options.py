"""Where the wishes for one recording come from: the settings, the file of defaults, its sidecar, requests, run config.

What belongs here: finding and reading them. What they mean is in `options.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transcribe_pipeline.artifacts import Options, Sidecar
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.options import Layer, default_layers, parse_yaml, resolve
from transcribe_pipeline.resources.object_store import ObjectStore
from transcribe_pipeline.resources.sidecars import is_options
from transcribe_pipeline.settings import Settings
from transcribe_pipeline.text.plain_yaml import MAX_BYTES


def options_of(
    store: ObjectStore,
    configured: Settings,
    object_key: str,
    sidecars: Sequence[Sidecar],
    *,
    requested: Mapping[str, Any],
    run_config: Mapping[str, Any],
) -> Options:
    """Everything that is asked for one recording. `sidecars` are those in force, as `ObjectStore.find_upload` tells.

    :raises PipelineError: BAD_OPTIONS; CONFIGURATION, if there is no file of defaults where one is named; SOURCE_GONE
        and SOURCE_CHANGED for a sidecar.
    """
    owner, _, path = object_key.removeprefix(f"{configured.uploads_prefix}/").partition("/")
    layers = [] if configured.options_file is None else _defaults(configured.options_file, owner, path)
    wishes = next((each for each in sidecars if is_options(each.object_key)), None)
    if wishes is not None:
        name = wishes.object_key.rpartition("/")[2]
        values = parse_yaml(store.read_sidecar(wishes, max_bytes=MAX_BYTES), name)
        layers.append(Layer(f"sidecar {name}", values, is_trusted=False))
    layers.append(Layer("transcribe reprocess", requested))
    layers.append(Layer("run config", run_config))
    given = next((each for each in sidecars if not is_options(each.object_key)), None)
    return resolve(configured, layers, given)


def _defaults(file: Path, owner: str, path: str) -> list[Layer]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        detail = f"TRANSCRIBE_OPTIONS_FILE, {file.name}: {error.strerror}"
        raise PipelineError(ErrorCode.CONFIGURATION, detail) from error
    return default_layers(data, file.name, owner=owner, path=path)
