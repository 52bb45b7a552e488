"""The pipeline's own audio, made small enough to be passed on."""

from pathlib import Path

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.tools import constant_name, run_tool

MP3 = "audio/mpeg"
_BIT_RATE = "32k"
"""Of one voice at 16 kHz: 14 MB an hour. MP3, since every browser plays it; Opus would be better, but not in all."""


def as_mp3(flac: Path, seconds: float) -> bytes:
    """A 16 kHz mono FLAC as MP3. Raises MEDIA_TOOL_MISSING, MEDIA_TOOL_TIMEOUT, MEDIA_TOOL_CRASH.

    :param seconds: how long it plays.
    """
    encoded = bytearray()
    source = ["-f", "flac", "-i", f"file:{constant_name(flac)}"]
    written = ["-c:a", "libmp3lame", "-b:a", _BIT_RATE, "-f", "mp3", "pipe:1"]
    output = run_tool(
        ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", *source, *written],
        folder=flac.parent,
        seconds=60 + seconds / 10,  # measured: 100 times faster than real time
        on_stdout=encoded.extend,
    )
    if output.returncode:
        raise PipelineError(ErrorCode.MEDIA_TOOL_CRASH, f"ffmpeg ended with {output.returncode}")
    return bytes(encoded)
