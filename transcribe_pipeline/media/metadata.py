"""What a recording says about itself: ExifTool's tags and ffprobe's streams, normalised to one vocabulary with units.

Tags are claims by whoever wrote the file. Odd ones become warnings, never failures: by now the file is proven media.
"""

import json
import math
import re
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transcribe_pipeline.artifacts import (
    AudioFacts,
    ContentFacts,
    CreationFacts,
    FileFacts,
    GpsFacts,
    MediaMetadata,
    MediaProbe,
    Stream,
    VideoFacts,
)
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media import exiftool_job
from transcribe_pipeline.media.tools import constant_name, run_tool
from transcribe_pipeline.media.values import clean_text, number

# A phone video takes 0.3 s; embedded GPS tracks of an hour-long action camera file some tens.
_EXIFTOOL_SECONDS = 60.0

# Other extensions of the same bytes, by ffmpeg's name of the container.
_EXTENSIONS = {
    **dict.fromkeys(("mkv", "mka"), "matroska"),
    **dict.fromkeys(("oga", "opus"), "ogg"),
    **dict.fromkeys(("wma", "wmv"), "asf"),
    **dict.fromkeys(("ts", "m2ts", "mts"), "mpegts"),
    **dict.fromkeys(("mpg", "vob"), "mpeg"),
    **{"aif": "aiff", "m4v": "mp4", "qt": "mov", "wave": "wav"},
}

_MOST_TAGS = 1000
_LONGEST_VALUE = 2000
_MOST_ITEMS = 100

Tags = dict[str, Any]
"""'Group:Tag' -> ExifTool's value, cleaned."""

# First match wins. Apple's Keys carry the local time and zone of the recording; QuickTime's own dates are UTC by the
# specification (cameras that write local time there cannot be told from those that obey).
_CREATED = (
    "Keys:CreationDate",
    "UserData:DateTimeOriginal",
    "ItemList:ContentCreateDate",
    "Matroska:DateTimeOriginal",
    "Composite:DateTimeOriginal",
    "XMP-xmp:CreateDate",
    "ASF:CreationDate",
    "QuickTime:CreateDate",
    "Track1:MediaCreateDate",
    "Keys:CreationTime",
    "Matroska:CreationTime",
)
_MODIFIED = ("QuickTime:ModifyDate", "XMP-xmp:ModifyDate", "Track1:MediaModifyDate")
_UTC_DATES = re.compile(r"(QuickTime|Track\d+):")

# Positions of the recording itself before those that ExifTool combines from any source.
_POSITIONS = (
    "Keys:GPSCoordinates",
    "ItemList:GPSCoordinates",
    "UserData:GPSCoordinates",
    "Keys:Location",
    "Matroska:Location",
    "Composite:GPSPosition",
)
_POSITION_PARTS = re.compile(r"[-+]?\d+(?:\.\d+)?")
_EMBEDDED_POSITION = ("GPSLatitude", "GPSLongitude", "GPSAltitude")


def read_metadata(path: Path, upload_name: str, size_bytes: int, media: MediaProbe) -> MediaMetadata:
    """Everything known about the proven recording at `path` (a constant name in a folder of its own).

    `upload_name` is data alone: it names the file in the result and its extension is compared with the bytes; no tool
    sees it. Units: seconds, bit/s, Hz, pixels, degrees, metres. Of ExifTool's failures only a missing installation is
    raised (PipelineError MEDIA_TOOL_MISSING); all others leave a warning and what ffprobe knows.
    """
    tags, warnings = _exiftool_tags(path)
    position = _gps(tags)
    if position is None and any(stream.kind == "data" for stream in media.streams):
        embedded, embedded_warnings = _exiftool_tags(path, "-ee", *(f"-{tag}" for tag in _EMBEDDED_POSITION))
        position = _embedded_gps(embedded)
        warnings = tuple(dict.fromkeys((*warnings, *embedded_warnings)))
    return MediaMetadata(
        file=_file(upload_name, size_bytes, media, tags),
        video=_video(media),
        audio=_audio(media),
        creation=_creation(tags),
        content=_content(media, tags),
        gps=position,
        raw=tags,
        warnings=warnings,
    )


def _exiftool_tags(path: Path, *options: str) -> tuple[Tags, tuple[str, ...]]:
    """Cleaned tags and ExifTool's own complaints."""
    executable = shutil.which("exiftool")
    if executable is None:
        raise PipelineError(ErrorCode.MEDIA_TOOL_MISSING, "exiftool")
    asked = ["-json", "-G1", "-a", "-api", "largefilesupport=1", *options, constant_name(path)]
    try:
        # -I -B: nothing of the private folder or the user's settings is imported, nothing is written.
        output = run_tool(
            [sys.executable, "-I", "-B", exiftool_job.__file__, executable, *asked],
            folder=path.parent,
            seconds=_EXIFTOOL_SECONDS,
        )
        found = json.loads(output.stdout.decode("utf-8", "replace"))[0]
    except PipelineError as error:
        if error.code is ErrorCode.MEDIA_TOOL_MISSING:
            raise
        return {}, (f"tags could not be read ({error.code})",)
    except (ValueError, LookupError, RecursionError):
        return {}, ("tags could not be read",)
    complaints = (clean_text(found.pop(key, None) or "", 200) for key in ("ExifTool:Error", "ExifTool:Warning"))
    return _clean_tags(found), tuple(complaint for complaint in complaints if complaint)


def _clean_tags(found: dict[str, Any]) -> Tags:
    """Without binary and oversized values and without facts about our own copy of the file (System)."""
    tags = {}
    for name, value in found.items():
        key = clean_text(name, 200)
        cleaned = _clean_value(value)
        if key and ":" in key and not key.startswith("System:") and cleaned is not None:
            tags[key] = cleaned
        if len(tags) == _MOST_TAGS:
            break
    return tags


def _clean_value(value: Any) -> Any:
    """JSON-safe, or None for what is left out."""
    if isinstance(value, list):
        items = [_clean_value(item) for item in value[:_MOST_ITEMS]]
        return [item for item in items if item is not None]
    if isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    text = str(value)
    if len(text) > _LONGEST_VALUE or text.startswith(("(Binary data", "base64:")):
        return None
    return clean_text(text)


def _file(upload_name: str, size_bytes: int, media: MediaProbe, tags: Tags) -> FileFacts:
    return FileFacts(
        name=upload_name,
        size_bytes=size_bytes,
        file_type=_text(tags, "File:FileType"),
        mime_type=media.mime_type,
        extension_matches=_extension_matches(upload_name, media, tags),
        container=media.container,
        duration_seconds=media.duration_seconds,
        bit_rate=media.bit_rate,
    )


def _extension_matches(upload_name: str, media: MediaProbe, tags: Tags) -> bool | None:
    """Against ExifTool's extension for the bytes and ffmpeg's names for the container; None without an extension."""
    extension = Path(upload_name).suffix.lower().removeprefix(".")
    if not extension:
        return None
    known = {str(tags.get("File:FileTypeExtension", "")).lower(), *media.container.split(",")}
    return extension in known or _EXTENSIONS.get(extension) in known


def _video(media: MediaProbe) -> VideoFacts | None:
    for stream in media.streams:
        if stream.kind == "video" and stream.width and stream.height:
            return VideoFacts(
                width=stream.width,
                height=stream.height,
                frame_rate=stream.frame_rate,
                codec=stream.codec,
                aspect_ratio=_aspect_ratio(stream, stream.width, stream.height),
                rotation_degrees=stream.rotation_degrees,
                bit_rate=stream.bit_rate,
                duration_seconds=stream.duration_seconds or media.duration_seconds,
            )
    return None


def _aspect_ratio(stream: Stream, width: int, height: int) -> str:
    if stream.display_aspect_ratio not in (None, "0:1", "N/A"):
        return str(stream.display_aspect_ratio)
    divisor = math.gcd(width, height)
    return f"{width // divisor}:{height // divisor}"


def _audio(media: MediaProbe) -> AudioFacts | None:
    """Of the first track; `tracks` says how many there are."""
    tracks = [stream for stream in media.streams if stream.kind == "audio" and stream.channels]
    if not tracks:
        return None
    first = tracks[0]
    return AudioFacts(
        channels=first.channels or 0,
        channel_layout=first.channel_layout,
        sample_rate=first.sample_rate,
        bits_per_sample=first.bits_per_sample,
        codec=first.codec,
        bit_rate=first.bit_rate,
        language=first.language,
        tracks=len(tracks),
    )


def _creation(tags: Tags) -> CreationFacts:
    created_at, source = _first_date(tags, _CREATED)
    return CreationFacts(
        created_at=created_at,
        created_at_source=source,
        modified_at=_first_date(tags, _MODIFIED)[0],
        make=_text(tags, "Make", "AndroidMake"),
        model=_text(tags, "Model", "AndroidModel"),
        serial_number=_text(tags, "CameraSerialNumber", "SerialNumber"),
        software=_text(tags, "Software", "WritingApp", "Encoder", "EncodedBy", "FirmwareVersion", "Vendor"),
    )


def _first_date(tags: Tags, names: Iterable[str]) -> tuple[datetime | None, str | None]:
    for name in names:
        date = _date(tags.get(name), is_utc=_UTC_DATES.match(name) is not None)
        if date is not None:
            return date, name
    return None, None


def _date(value: Any, *, is_utc: bool) -> datetime | None:
    """'2021:06:05 13:03:02+09:00' or ISO 8601; None for years alone, impossible dates and the epochs of 1904 and 1970.

    Without a zone in the text the result has none, unless the tag is UTC by its specification.
    """
    text = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", str(value).strip())
    if not re.match(r"\d{4}-\d\d-\d\d[ T]\d", text):
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    # Clocks that were never set: the zero of QuickTime (with any time zone shift) and of Unix.
    if date.year <= 1904 or date.replace(tzinfo=None) == datetime(1970, 1, 1):
        return None
    return date.replace(tzinfo=UTC) if is_utc and date.tzinfo is None else date


def _content(media: MediaProbe, tags: Tags) -> ContentFacts:
    genre = _text(tags, "Genre")
    return ContentFacts(
        title=_text(tags, "Title", "DisplayName") or media.tags.get("title"),
        author=_text(tags, "Artist", "Author", "AlbumArtist", "Creator", "Composer") or media.tags.get("artist"),
        album=_text(tags, "Album"),
        genre=None if genre is None or genre.isdigit() else genre,  # ID3v1 keeps a number
        description=_text(tags, "Description", "LongDescription"),
        comment=_text(tags, "Comment", "UserComment"),
        copyright=_text(tags, "Copyright"),
        keywords=_keywords(tags),
        language=_text(tags, "Language") or next((s.language for s in media.streams if s.kind == "audio"), None),
        chapters=media.chapters,
    )


def _keywords(tags: Tags) -> tuple[str, ...]:
    for name, value in tags.items():
        if name.partition(":")[2] in ("Keywords", "Subject", "Keyword"):
            words = value if isinstance(value, list) else re.split(r"[,;]", str(value))
            return tuple(word for word in (clean_text(word) for word in words) if word)
    return ()


def _text(tags: Tags, *names: str) -> str | None:
    """The first of these tags that has text, in the order of the names; a full 'Group:Tag' or a tag of any group."""
    for name in names:
        for key, value in tags.items():
            if name in (key, key.partition(":")[2]) and not isinstance(value, list):
                return str(value)
    return None


def _gps(tags: Tags) -> GpsFacts | None:
    for name in _POSITIONS:
        position = _position(_POSITION_PARTS.findall(str(tags.get(name, ""))))
        if position is not None:
            return position
    return None


def _embedded_gps(tags: Tags) -> GpsFacts | None:
    """The first fix of a position track (GoPro's GPMF and its like)."""
    by_tag = {name.partition(":")[2]: value for name, value in reversed(tags.items())}
    return _position([by_tag.get(tag) for tag in _EMBEDDED_POSITION])


def _position(parts: Iterable[Any]) -> GpsFacts | None:
    """Latitude, longitude and perhaps altitude (metres); None outside the globe and at 0, 0: a device without a fix."""
    values = [number(part) for part in parts]
    latitude, longitude, altitude = (*values, None, None, None)[:3]
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    if latitude == 0 and longitude == 0:
        return None
    return GpsFacts(latitude=latitude, longitude=longitude, altitude_metres=altitude)
