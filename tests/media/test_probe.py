"""What is let in, and as what."""

import socket

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.probe import probe

SINE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=2:sample_rate=48000")
PICTURE = ("-f", "lavfi", "-i", "testsrc=duration=2:size=64x48:rate=10")


def test_a_video_with_everything(make, tmp_path):
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\ntitle=Tit\x01le\n"
        "[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=1\ntitle=Opening\n[CHAPTER]\nTIMEBASE=1/1\nSTART=1\nEND=2\ntitle=Rest\n"
    )
    extras = ("-i", str(chapters), "-map_metadata", "2", "-map_chapters", "2", "-map", "0", "-map", "1")
    media = probe(make(*PICTURE, *SINE, *extras, "-metadata:s:a:0", "language=deu", "-c:a", "aac", "-f", "matroska"))
    video, audio = media.streams
    assert media.mime_type == "video/x-matroska"
    assert media.duration_seconds == pytest.approx(2, abs=0.1)
    assert media.tags["title"] == "Title"
    assert media.chapters == ("Opening", "Rest")
    assert (video.kind, video.width, video.height, video.frame_rate) == ("video", 64, 48, 10)
    assert (audio.kind, audio.codec, audio.language, audio.channels, audio.sample_rate) == (
        *("audio", "aac", "deu"),
        *(1, 48_000),
    )
    assert audio.duration_seconds == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("output", "mime_type"),
    [
        (("-f", "wav"), "audio/wav"),
        (("-f", "flac"), "audio/flac"),
        (("-f", "mp3"), "audio/mpeg"),
        (("-c:a", "aac", "-f", "adts"), "audio/aac"),
        (("-c:a", "aac", "-f", "ipod"), "audio/mp4"),
        (("-c:a", "aac", "-f", "mov"), "video/quicktime"),
        (("-c:a", "libopus", "-f", "webm"), "audio/webm"),
        (("-c:a", "libopus", "-f", "ogg"), "audio/ogg"),
        (("-f", "aiff"), "audio/aiff"),
        (("-f", "asf"), "audio/x-ms-wma"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_type_comes_from_the_bytes(make, output, mime_type):
    assert probe(make(*SINE, *output)).mime_type == mime_type


def test_a_guessed_duration_is_not_a_declared_one(make):
    media = probe(make(*SINE, "-c:a", "aac", "-f", "adts"))
    assert media.duration_seconds is None
    assert media.streams[0].duration_seconds is None


def test_cover_art_is_not_a_video(make):
    cover = ("-map", "1", "-map", "0", "-frames:v", "1", "-c:v", "mjpeg", "-disposition:v", "attached_pic")
    media = probe(make(*PICTURE, *SINE, *cover, "-f", "mp3"))
    assert {stream.kind for stream in media.streams} == {"audio", "cover"}
    assert media.mime_type == "audio/mpeg"


def test_a_silent_video_is_media(make):
    assert [stream.kind for stream in probe(make(*PICTURE, "-f", "mp4")).streams] == ["video"]


@pytest.mark.parametrize("rate", [2_000, 3_999, 400_000])
def test_sample_rates_outside_the_limits(make, rate):
    with pytest.raises(PipelineError) as caught:
        probe(make(*SINE, "-ar", str(rate), "-f", "wav"))
    assert caught.value.code is ErrorCode.UNSUPPORTED_MEDIA
    assert str(rate) in caught.value.detail


def test_a_picture_is_not_a_recording(make):
    with pytest.raises(PipelineError) as caught:
        probe(make(*PICTURE, "-frames:v", "1", "-c:v", "png", "-f", "image2"))
    assert caught.value.code is ErrorCode.NOT_MEDIA


def test_random_bytes_are_not_media(tmp_path):
    path = tmp_path / "input.bin"
    path.write_bytes(bytes((i * i * 37 + i // 7) % 251 for i in range(200_000)))
    with pytest.raises(PipelineError) as caught:
        probe(path)
    assert caught.value.code is ErrorCode.NOT_MEDIA


@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile {neighbour}\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{neighbour}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{port}/a.wav\n#EXT-X-ENDLIST\n",
    ],
    ids=["concat", "hls file", "sdp", "hls http"],
)
def test_scripts_open_nothing_else(make, script):
    neighbour = make(*SINE, "-f", "wav")
    neighbour = neighbour.rename(neighbour.with_name("secret.wav"))
    path = neighbour.with_name("input.bin")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        path.write_text(script.format(neighbour=neighbour.name, port=server.getsockname()[1]))
        with pytest.raises(PipelineError) as caught:
            probe(path)
        assert caught.value.code is ErrorCode.NOT_MEDIA
        with pytest.raises(TimeoutError):
            server.accept()
