"""What recordings say about themselves, against what is known of them."""

import json
import os
from datetime import UTC, datetime, timedelta, timezone

import pytest

from transcribe_pipeline.artifacts import MediaProbe
from transcribe_pipeline.media import metadata as module
from transcribe_pipeline.media.metadata import read_metadata
from transcribe_pipeline.media.probe import probe

SINE = ("-f", "lavfi", "-i", "sine=duration=1")


def read(path, name="recording.mp4"):
    return read_metadata(path, name, path.stat().st_size, probe(path))


def read_header(path, container):
    """Of ExifTool's own header-only samples, which no probe lets in."""
    return read_metadata(path, "sample", 1, MediaProbe(container=container, mime_type="video/x", streams=()))


def test_tags_are_cleaned_and_safe_to_store(make):
    tags = ("-metadata", "title=a\x01b\nc", "-metadata", f"comment={'x' * 5000}", "-metadata", "artist=1e999")
    found = read(make(*SINE, *tags, "-f", "flac"), "Ünï\ncode.FLAC")
    assert found.content.title == "ab\nc"
    assert found.content.comment is None
    assert found.content.author == "inf"
    assert found.file.name == "Ünï\ncode.FLAC"
    assert found.file.extension_matches is True
    json.dumps(found.raw, allow_nan=False)
    assert not any(key.startswith(("System:", "SourceFile")) for key in found.raw)
    assert all(len(str(value)) <= 2000 for value in found.raw.values())


@pytest.mark.parametrize(
    ("name", "matches"), [("a.wav", True), ("a.WAVE", True), ("a.mp3", False), ("a", None), ("-if\n.wav", True)]
)
def test_extension_against_bytes(make, name, matches):
    assert read(make(*SINE, "-f", "wav"), name).file.extension_matches is matches


def test_an_endless_exiftool_is_stopped_and_only_a_warning(make, monkeypatch):
    monkeypatch.setattr(module, "_EXIFTOOL_SECONDS", 0.01)
    found = read(make(*SINE, "-f", "wav"))
    assert found.warnings == ("tags could not be read (MEDIA_TOOL_TIMEOUT)",)
    assert found.audio.sample_rate == 44_100


def test_an_exiftool_that_dies_does_not_hang_us(make, monkeypatch, tmp_path):
    """pyexiftool itself would wait for ever; no file at hand makes the real ExifTool die, so a script does."""
    dying = tmp_path / "bin" / "exiftool"
    dying.parent.mkdir()
    dying.write_text("#!/bin/sh\nsleep 0.2\n")
    dying.chmod(0o755)
    path = make(*SINE, "-f", "wav")
    media = probe(path)
    monkeypatch.setenv("PATH", f"{dying.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "_EXIFTOOL_SECONDS", 2.0)
    found = read_metadata(path, "a.wav", 1, media)
    assert found.warnings[0].startswith("tags could not be read")


@pytest.mark.parametrize(
    ("text", "is_utc", "expected"),
    [
        ("2021:06:05 04:03:02", True, datetime(2021, 6, 5, 4, 3, 2, tzinfo=UTC)),
        ("2021:06:05 04:03:02", False, datetime(2021, 6, 5, 4, 3, 2)),
        ("2021:06:05 13:03:02+09:00", True, datetime(2021, 6, 5, 13, 3, 2, tzinfo=timezone(timedelta(hours=9)))),
        ("2021-06-05T04:03:02Z", False, datetime(2021, 6, 5, 4, 3, 2, tzinfo=UTC)),
        ("0000:00:00 00:00:00", True, None),
        ("1904:01:01 00:00:00", True, None),
        ("1903:12:31 16:00:00-08:00", False, None),
        ("1970:01:01 00:00:00", True, None),
        ("2021:13:45 99:00:00", True, None),
        (2010, False, None),
        (None, True, None),
    ],
)
def test_dates(text, is_utc, expected):
    assert module._date(text, is_utc=is_utc) == expected


@pytest.mark.parametrize("parts", [["0", "0"], ["91", "0"], ["10", "181"], ["10"], [], ["nan", "1"]])
def test_impossible_positions(parts):
    assert module._position(parts) is None


# --- real recordings ------------------------------------------------------------------------------------------------


def test_position_and_date_of_a_video(testdata, private):
    found = read(private(testdata / "video_made/sonnet_gps.mp4"))
    assert (found.gps.latitude, found.gps.longitude, found.gps.altitude_metres) == (48.8584, 2.2945, 35)
    assert found.creation.created_at == datetime(2021, 6, 5, 4, 3, 2, tzinfo=UTC)
    assert found.creation.created_at.utcoffset() == timedelta(0)
    assert found.creation.created_at_source == "QuickTime:CreateDate"
    assert found.content.title == "Sonnet 1"
    assert (found.file.file_type, found.file.mime_type) == ("MP4", "video/mp4")
    assert found.file.duration_seconds == pytest.approx(53.01, abs=0.01)
    assert (found.video.width, found.video.height, found.video.aspect_ratio, found.video.codec) == (
        *(320, 180),
        *("16:9", "h264"),
    )
    assert (found.audio.channels, found.audio.sample_rate, found.audio.codec, found.audio.tracks) == (
        *(2, 44_100),
        *("aac", 1),
    )
    assert found.warnings == ()


def test_apple_keys_win_over_copied_tags(testdata, private):
    found = read(private(testdata / "video_made/sonnet_apple_keys.mov"), "IMG_1.MOV")
    assert (found.gps.latitude, found.gps.longitude) == (35.6586, 139.7454)
    assert found.creation.created_at == datetime(2021, 6, 5, 4, 3, 2, tzinfo=UTC)
    assert found.creation.created_at.utcoffset() == timedelta(hours=9)
    assert (found.creation.make, found.creation.model) == ("Apple", "iPhone 12")
    assert (found.file.mime_type, found.file.extension_matches) == ("video/quicktime", True)


def test_two_tracks_are_counted(testdata, private):
    found = read(private(testdata / "video_made/sonnet_two_audio_tracks.mkv"))
    assert (found.audio.tracks, found.audio.language) == (2, "eng")


def test_action_camera(testdata, private):
    found = read(private(testdata / "video_metadata/gopro_max-heromode.mp4"))
    assert (found.creation.model, found.creation.serial_number) == ("GoPro Max", "C3353424500199")
    assert found.creation.created_at.date().isoformat() == "2019-11-18"
    assert (found.gps.latitude, found.gps.longitude) == (33.1268, -117.3273)


def test_position_from_the_embedded_track(testdata, private):
    """The same recording without its position tag: the GPMF track still has it."""
    path = private(testdata / "video_metadata/gopro_max-heromode.mp4")
    path.write_bytes(path.read_bytes().replace(b"\xa9xyz", b"free"))
    found = read(path)
    assert found.gps.latitude == pytest.approx(33.1268, abs=0.001)
    assert found.gps.longitude == pytest.approx(-117.3273, abs=0.001)


def test_a_clock_that_was_never_set(testdata, private):
    found = read(private(testdata / "video_metadata/mapillary_sample-5s.mp4"))
    assert (found.creation.created_at, found.creation.modified_at) == (None, None)


def test_exiftools_quicktime_sample(testdata, private):
    found = read_header(private(testdata / "video_metadata/exiftool_QuickTime.mov"), "mov,mp4,m4a,3gp,3g2,mj2")
    assert found.creation.created_at == datetime(2005, 8, 11, 14, 3, 54, tzinfo=UTC)
    assert found.creation.modified_at == datetime(2010, 7, 30, 15, 43, 59, tzinfo=UTC)
    assert found.creation.make == "PENTAX DIGITAL CAMERA"
    assert (found.content.author, found.content.album, found.content.genre, found.content.comment) == (
        *("årtist", "ålbum"),
        *("Genré", "çømménts"),
    )
    assert "ItemList:CoverArt" not in found.raw


def test_exiftools_matroska_sample(testdata, private):
    found = read_header(private(testdata / "video_metadata/exiftool_Matroska.mkv"), "matroska,webm")
    assert found.creation.created_at == datetime(2010, 2, 3, 21, 17, 48, tzinfo=UTC)
    assert found.creation.software.startswith("mkvmerge v2.4.0")


@pytest.mark.parametrize(
    ("sample", "truth"), [("QuickTime.mov", "QuickTime_2.out"), ("Matroska.mkv", "Matroska_2.out")]
)
def test_raw_tags_against_exiftools_own_listing(testdata, private, sample, truth):
    """Every text tag that ExifTool's authors list under a name of its own is kept, with its value."""
    found = read_header(private(testdata / f"video_metadata/exiftool_{sample}"), "mov")
    kept = {key.partition(":")[2]: value for key, value in found.raw.items()}
    listing = (testdata / "video_metadata/exiftool_truth" / truth).read_text()
    for name in ("Album", "Artist", "Genre", "Creator", "WritingApp", "DocType", "AlbumArtist"):
        lines = [line.partition(": ")[2] for line in listing.splitlines() if f" {name} - " in line]
        assert not lines or kept[name] in lines
