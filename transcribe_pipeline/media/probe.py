"""What a file is, from its bytes: container, streams, tags. Decides what is let in; decodes no more than a second.

ffprobe may only use the demuxers listed here and may only open the one file: playlists, scripts and session
descriptions would make it open others (an `ffconcat` text named .mp3 reads its neighbour, an HLS list any path).
"""

import json
from pathlib import Path
from typing import Any, Literal, NoReturn

from transcribe_pipeline.artifacts import MediaProbe, Stream
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.tools import constant_name, run_tool
from transcribe_pipeline.media.values import clean_text, length, number, ratio, whole

# Demuxer name -> (MIME type with video, MIME type of audio alone). Nothing else is let in.
_CONTAINERS = {
    "aac": ("audio/aac", "audio/aac"),
    "ac3": ("audio/ac3", "audio/ac3"),
    "aiff": ("audio/aiff", "audio/aiff"),
    "amr": ("audio/amr", "audio/amr"),
    "ape": ("audio/x-ape", "audio/x-ape"),
    "asf": ("video/x-ms-wmv", "audio/x-ms-wma"),
    "au": ("audio/basic", "audio/basic"),
    "avi": ("video/x-msvideo", "video/x-msvideo"),
    "caf": ("audio/x-caf", "audio/x-caf"),
    "dts": ("audio/vnd.dts", "audio/vnd.dts"),
    "eac3": ("audio/eac3", "audio/eac3"),
    "flac": ("audio/flac", "audio/flac"),
    "flv": ("video/x-flv", "video/x-flv"),
    "matroska,webm": ("video/x-matroska", "audio/x-matroska"),
    "mov,mp4,m4a,3gp,3g2,mj2": ("video/mp4", "audio/mp4"),
    "mp3": ("audio/mpeg", "audio/mpeg"),
    "mpeg": ("video/mpeg", "video/mpeg"),
    "mpegts": ("video/mp2t", "video/mp2t"),
    "mxf": ("application/mxf", "application/mxf"),
    "ogg": ("video/ogg", "audio/ogg"),
    "tta": ("audio/x-tta", "audio/x-tta"),
    "w64": ("audio/x-w64", "audio/x-w64"),
    "wav": ("audio/wav", "audio/wav"),
    "wv": ("audio/x-wavpack", "audio/x-wavpack"),
}

_KINDS: dict[str, Literal["audio", "video", "subtitle", "attachment"]] = {
    "audio": "audio",
    "video": "video",
    "subtitle": "subtitle",
    "attachment": "attachment",
}

# Brands of the MP4 family that are types of their own.
_BRANDS = {
    b"qt  ": "video/quicktime",
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6"), "{kind}/3gpp"),
    b"3g2a": "{kind}/3gpp2",
}

OPEN_SAFELY = ("-protocol_whitelist", "file", "-format_whitelist", ",".join(_CONTAINERS))
"""Options for ffmpeg and ffprobe, before `-i file:NAME`."""

# ffprobe calls any text an MP3 with score 1 and a file with four good MPEG frames 25.
_LOWEST_SCORE = 25

# Below 4 kHz no speech codec samples; a 1 MB WAV declaring 1 Hz would become 16 GB at 16 kHz.
_SAMPLE_RATES = range(4_000, 384_001)
_CHANNELS = range(1, 65)

# What ffprobe refuses itself, before it describes any stream.
_FFPROBE_REFUSES = {
    "Invalid sample rate": "its sample rate is outside 4 to 384 kHz",
    "channels not set": "it has 0 audio channels",
}

_PROBE_SECONDS = 60.0

# Where a refused file begins like a recording, it is a damaged one. (offset, bytes)
_SIGNATURES = (
    *((8, form) for form in (b"WAVE", b"AVI ", b"AIFF", b"AIFC")),
    *((4, box) for box in (b"ftyp", b"moov", b"mdat", b"wide")),
    *((0, magic) for magic in (b"fLaC", b"OggS", b"ID3", b"caff", b"FLV\x01", b"wvPk", b"#!AMR", b"MAC ", b"TTA1")),
    (0, b"\x1a\x45\xdf\xa3"),  # EBML: Matroska, WebM
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),  # ASF
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
)


def probe(path: Path) -> MediaProbe:
    """Prove that the file is media and describe it. `path` has a constant name, in a folder of its own.

    A recording without audio passes: its metadata is still wanted, and choosing the track refuses it.

    Raises PipelineError: EMPTY_FILE, NOT_MEDIA, CORRUPT_MEDIA (it begins like a recording but cannot be opened, or
    nothing decodes), UNSUPPORTED_MEDIA (sample rate outside 4-384 kHz, not 1-64 channels, codecs unknown to ffmpeg).
    """
    if path.stat().st_size == 0:
        raise PipelineError(ErrorCode.EMPTY_FILE)
    media = _describe(path)
    audio = [stream for stream in media.streams if stream.kind == "audio"]
    video = [stream for stream in media.streams if stream.kind == "video"]
    if not audio and not video:
        _refuse(path, "no audio or video in it")
    _refuse_unsupported([*audio, *video])
    if not any(_decodes(path, stream) for stream in audio or video):
        _refuse(path, "nothing in it can be decoded")
    return media


def decodable(stream: Stream) -> bool:
    """Does this ffmpeg know the codec? Phones add tracks it does not know beside one that it does."""
    return stream.codec is not None


def _describe(path: Path) -> MediaProbe:
    arguments = ["-hide_banner", "-v", "warning", *OPEN_SAFELY, "-show_format", "-show_streams", "-show_chapters"]
    output = run_tool(
        ["ffprobe", *arguments, "-of", "json", "-i", f"file:{constant_name(path)}"],
        folder=path.parent,
        seconds=_PROBE_SECONDS,
    )
    for complaint, detail in _FFPROBE_REFUSES.items():
        if complaint in output.stderr:
            raise PipelineError(ErrorCode.UNSUPPORTED_MEDIA, detail)
    if output.returncode != 0:
        _refuse(path, "it cannot be opened")
    found = json.loads(output.stdout)
    container = found.get("format", {})
    if container.get("format_name") not in _CONTAINERS or container.get("probe_score", 0) < _LOWEST_SCORE:
        _refuse(path, "no known container")
    return _media(path, container, found, estimated="Estimating duration from bitrate" in output.stderr)


def _media(path: Path, container: dict[str, Any], found: dict[str, Any], *, estimated: bool) -> MediaProbe:
    streams = tuple(_stream(entry, estimated=estimated) for entry in found.get("streams", []))
    titles = (_tags(chapter).get("title") for chapter in found.get("chapters", []))
    return MediaProbe(
        container=container["format_name"],
        mime_type=_mime_type(path, container["format_name"], streams),
        # Without a header ffprobe guesses from the bit rate, 5 % off for AAC: that is not a declaration.
        duration_seconds=None if estimated else length(container.get("duration")),
        start_seconds=number(container.get("start_time")) or 0.0,
        bit_rate=whole(container.get("bit_rate")),
        streams=streams,
        tags=_tags(container),
        chapters=tuple(title for title in titles if title),
    )


def _stream(entry: dict[str, Any], *, estimated: bool) -> Stream:
    tags = _tags(entry)
    disposition = entry.get("disposition", {})
    kind = "cover" if disposition.get("attached_pic") else _KINDS.get(entry.get("codec_type", ""), "data")
    language = tags.get("language", "und").lower()
    codec = entry.get("codec_name", "unknown")
    common = Stream(
        index=entry["index"],
        kind=kind,
        codec=None if codec in ("unknown", "none") else codec,
        language=None if language == "und" else language,
        title=tags.get("title"),
        is_default=bool(disposition.get("default")),
        start_seconds=number(entry.get("start_time")) or 0.0,
        duration_seconds=None if estimated else _duration(entry, tags),
        bit_rate=whole(entry.get("bit_rate")),
    )
    if kind == "audio":
        return common.model_copy(update=_audio_fields(entry))
    if kind in ("video", "cover"):
        return common.model_copy(update=_video_fields(entry))
    return common


def _audio_fields(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "channels": whole(entry.get("channels")),
        "channel_layout": entry.get("channel_layout"),
        "sample_rate": whole(entry.get("sample_rate")),
        "bits_per_sample": whole(entry.get("bits_per_raw_sample")) or whole(entry.get("bits_per_sample")) or None,
    }


def _video_fields(entry: dict[str, Any]) -> dict[str, Any]:
    rotations = [side["rotation"] for side in entry.get("side_data_list", []) if "rotation" in side]
    return {
        "width": whole(entry.get("width")),
        "height": whole(entry.get("height")),
        "frame_rate": ratio(entry.get("avg_frame_rate")),
        "display_aspect_ratio": entry.get("display_aspect_ratio"),
        "rotation_degrees": number(rotations[0]) if rotations else None,
    }


def _duration(entry: dict[str, Any], tags: dict[str, str]) -> float | None:
    """Seconds; Matroska keeps a stream's length in a tag: '00:00:16.652000000'."""
    declared = length(entry.get("duration"))
    if declared is not None:
        return declared
    hours, _, rest = tags.get("duration", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    parts = [length(part) for part in (hours, minutes, seconds)]
    if any(part is None for part in parts):
        return None
    return sum(scale * part for scale, part in zip((3600, 60, 1), parts, strict=True) if part is not None)


def _tags(entry: dict[str, Any]) -> dict[str, str]:
    cleaned = ((clean_text(name, 100), clean_text(value)) for name, value in entry.get("tags", {}).items())
    return {name.lower(): value for name, value in cleaned if name and value}


def _mime_type(path: Path, container: str, streams: tuple[Stream, ...]) -> str:
    has_video = any(stream.kind == "video" for stream in streams)
    kind = "video" if has_video else "audio"
    with_video, audio_alone = _CONTAINERS[container]
    head = _head(path)
    # Matroska and WebM differ in the DocType of the EBML header, within the first bytes.
    if container == "matroska,webm" and b"webm" in head:
        return f"{kind}/webm"
    if container == "mov,mp4,m4a,3gp,3g2,mj2":
        # The tag 'major_brand' may be a copy from another file; a file without 'ftyp' is older than MP4.
        brand = head[8:12] if head[4:8] == b"ftyp" else b"qt  "
        return _BRANDS[brand].format(kind=kind) if brand in _BRANDS else f"{kind}/mp4"
    return with_video if has_video else audio_alone


def _refuse_unsupported(streams: list[Stream]) -> None:
    if not any(decodable(stream) for stream in streams):
        raise PipelineError(ErrorCode.UNSUPPORTED_MEDIA, "its codecs are unknown or encrypted")
    for stream in streams:
        if stream.kind != "audio" or not decodable(stream):
            continue
        if stream.sample_rate not in _SAMPLE_RATES:
            raise PipelineError(ErrorCode.UNSUPPORTED_MEDIA, f"its sample rate is {stream.sample_rate or 0} Hz")
        if stream.channels not in _CHANNELS:
            raise PipelineError(ErrorCode.UNSUPPORTED_MEDIA, f"it has {stream.channels or 0} audio channels")


def _decodes(path: Path, stream: Stream) -> bool:
    """Does the first second (or picture) of this stream yield anything? Counted in frames: a stream may start late."""
    if stream.kind == "audio":
        # 50 AAC frames are 1.1 s at 48 kHz; other codecs' are as long or shorter.
        wanted = ["-frames:a", "50", "-f", "s16le"]
    else:
        wanted = ["-frames:v", "1", "-vf", "scale=16:16", "-f", "rawvideo"]
    opened = ["-hide_banner", "-nostdin", "-v", "quiet", "-threads", "1", *OPEN_SAFELY]
    output = run_tool(
        ["ffmpeg", *opened, "-i", f"file:{constant_name(path)}", "-map", f"0:{stream.index}", *wanted, "pipe:1"],
        folder=path.parent,
        seconds=_PROBE_SECONDS,
    )
    return bool(output.stdout)


def _refuse(path: Path, detail: str) -> NoReturn:
    head = _head(path)
    damaged = any(head[offset:].startswith(magic) for offset, magic in _SIGNATURES)
    raise PipelineError(ErrorCode.CORRUPT_MEDIA if damaged else ErrorCode.NOT_MEDIA, detail)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)
