"""What people upload is not what its name says: rows 29 to 37, each file through the whole pipeline."""

import io
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from numpy.typing import NDArray

from tests.faults import invariants
from tests.faults.harness import Site, Speech, row
from tests.faults.pipeline import Pipeline, assert_sound, call, ffmpeg, pipeline
from tests.media.test_malformed import DECODED, REFUSED
from tests.servers.scripted_model import scripted_model
from transcribe_pipeline.errors import ErrorCode
from transcribe_pipeline.ledger import timings, transcripts
from transcribe_pipeline.ledger.models import Status
from transcribe_pipeline.settings import settings

CPU_SECONDS = 1.0
"""What a file that is no recording may cost: probing, and nothing behind it."""


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Speech) -> Iterator[Pipeline]:
    with pipeline(tmp_path / "home", monkeypatch, speech) as made:
        yield made


def assert_refused(found: Pipeline, expected: dict[str, ErrorCode]) -> None:
    """Each file by its key, at the first stage, for next to nothing; and no recogniser has been asked."""
    assert {key: found.file(key).error_code for key in expected} == expected
    assert found.heard.service.requests == []
    for key in expected:
        (timing,) = timings.of_file(found.world.ledger, found.file(key).id)
        assert timing.stage == "upload"
        assert timing.cpu_seconds is not None
        assert timing.cpu_seconds < CPU_SECONDS
    assert_sound(found)


# --- no recording at all --------------------------------------------------------------------------------------------


def wav(*, rate: int = 16_000, channels: int = 1, data: bytes = b"", claims: int | None = None) -> bytes:
    """A WAV file whose header says what it is told to."""
    align = channels * 2 % 65_536
    claims = len(data) if claims is None else claims
    form = struct.pack("<HHIIHH", 1, channels, rate % 2**32, rate * align % 2**32, align, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", claims) + data
    return b"RIFF" + struct.pack("<I", (len(body) + claims - len(data)) % 2**32) + body


def archive(depth: int) -> bytes:
    """A ZIP of a ZIP of ... of 10 MB of zeros, in a few hundred bytes."""
    content = b"\0" * 10_000_000
    for level in range(depth):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(f"{level}.mp3", content)
        content = file.getvalue()
    return content


@row(29)
def test_nothing_in_it(found: Pipeline) -> None:
    expected = {
        found.put("ann/empty.mp4", b""): ErrorCode.EMPTY_FILE,
        found.put("ann/one.wav", b"R"): ErrorCode.NOT_MEDIA,
        found.put("ann/header.wav", wav()): ErrorCode.CORRUPT_MEDIA,
        found.put("ann/half a header.wav", wav()[:43]): ErrorCode.CORRUPT_MEDIA,
    }
    found.tick()
    assert_refused(found, expected)


@row(30)
def test_something_else_in_it(found: Pipeline) -> None:
    contents = {
        "text.mp3": b"Dear diary, today nothing happened. " * 100,
        "random.mp3": bytes(range(256)) * 40,
        "page.mp3": b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>",
        "archive.mp3": archive(1),
        "archives.mp4": archive(5),
        "playlist.mp3": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "script.mp3": b"ffconcat version 1.0\nfile secret.wav\n",
        "session.wav": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        "picture.mp3": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    }
    expected = {found.put(f"ann/{name}", data): ErrorCode.NOT_MEDIA for name, data in contents.items()}
    found.tick()
    assert_refused(found, expected)


# --- recordings that are damaged, or lie ----------------------------------------------------------------------------


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., bytes]:
    """Ten seconds of a call under a test picture, as MP4; with options for ffmpeg's muxer."""
    source = tmp_path / "call.wav"
    source.write_bytes(call(10))

    def make(*options: str, suffix: str = "mp4") -> bytes:
        picture = ("-f", "lavfi", "-i", "testsrc=d=10:s=64x48:r=10")
        return ffmpeg(tmp_path / f"film.{suffix}", "-i", str(source), *picture, "-shortest", *options)

    return make


@row(31)
def test_half_a_film(found: Pipeline, film: Callable[..., bytes]) -> None:
    """What there is of it is transcribed, and it is said how much that is; without its index there is nothing."""
    fast_start, index_at_the_end = film("-movflags", "+faststart"), film()
    half = found.put("ann/half.mp4", fast_start[: len(fast_start) // 2])
    lost = found.put("ann/lost.mp4", index_at_the_end[: len(index_at_the_end) // 2])
    found.tick()
    assert found.file(half).status is Status.COMPLETED
    figures = found.figures(half, "audio")
    assert 3 < figures["audio_seconds"] < 7
    assert figures["warnings"][0] == f"{figures['audio_seconds']:.1f} of 10.0 s readable"
    assert found.file(lost).error_code == ErrorCode.CORRUPT_MEDIA
    assert_sound(found)


@row(32)
def test_damage_in_the_middle(found: Pipeline, film: Callable[..., bytes]) -> None:
    """Decoded to the end, said to be damaged, and what comes after the damage stays where it was."""
    whole = found.put("ann/whole.mkv", film(suffix="mkv"))
    data = bytearray(film(suffix="mkv"))
    for place in range(len(data) // 3, len(data) // 2, 97):
        data[place] ^= 0x5A
    damaged = found.put("ann/damaged.mkv", bytes(data))
    found.tick()
    assert found.figures(whole, "audio")["warnings"] == []
    assert found.file(damaged).status is Status.COMPLETED
    assert any("decoding errors" in warning for warning in found.figures(damaged, "audio")["warnings"])
    assert found.figures(damaged, "audio")["audio_seconds"] == pytest.approx(10, abs=0.5)
    intact, mended = (second_half(found, key) for key in (whole, damaged))
    assert np.corrcoef(intact, mended)[0, 1] > 0.9
    assert_sound(found)


def second_half(found: Pipeline, key: str) -> NDArray[np.float64]:
    """What was said from the seventh to the ninth second, as the recogniser gets it."""
    (path,) = [each for each in found.world.store.list_keys(f"artifacts/{key}") if each.endswith("audio.flac")]
    samples, rate = soundfile.read(io.BytesIO(found.world.store.get_bytes(path)))
    half: NDArray[np.float64] = samples[7 * rate : 9 * rate]
    return half


@row(33)
def test_no_audio(found: Pipeline, tmp_path: Path) -> None:
    """Refused, but what the film says about itself is kept."""
    silent = found.put("ann/silent.mp4", ffmpeg(tmp_path / "a.mp4", "-f", "lavfi", "-i", "testsrc=d=2:s=64x48:r=10"))
    found.tick()
    assert found.file(silent).error_code == ErrorCode.NO_AUDIO
    assert found.stages(silent) == ["upload", "options", "media_metadata", "audio"]
    assert found.figures(silent, "media_metadata")["media_seconds"] == 2.0
    assert_sound(found)


@row(35)
def test_rates_channels_and_lengths_that_cannot_be(found: Pipeline) -> None:
    samples = b"\1\0" * 500_000
    expected = {
        found.put(f"ann/{name}", data): code
        for name, data, code in [
            # 1 MB that would be 16 GB at 16 kHz.
            ("500,000 s at 1 Hz.wav", wav(rate=1, data=samples), ErrorCode.UNSUPPORTED_MEDIA),
            ("768 kHz.wav", wav(rate=768_000, data=samples), ErrorCode.UNSUPPORTED_MEDIA),
            ("4 GHz.wav", wav(rate=4_000_000_000, data=samples), ErrorCode.UNSUPPORTED_MEDIA),
            ("no channel.wav", wav(channels=0, data=samples), ErrorCode.UNSUPPORTED_MEDIA),
            ("65 channels.wav", wav(channels=65, data=samples), ErrorCode.UNSUPPORTED_MEDIA),
            ("65,535 channels.wav", wav(channels=65_535, data=samples), ErrorCode.CORRUPT_MEDIA),
        ]
    }
    found.tick()
    assert_refused(found, expected)


@row(35)
def test_a_length_that_is_not_there(found: Pipeline) -> None:
    """A header that claims 4 GB for a second; the same as a stream, whose writer did not know."""
    claims = found.put("ann/claims.wav", wav(data=call(1)[44:], claims=2**32 - 1))
    found.tick()
    assert found.file(claims).status is Status.COMPLETED
    assert found.figures(claims, "audio")["audio_seconds"] == pytest.approx(1.0, abs=0.1)
    assert_sound(found)


@row(34)
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("filters", "downmix"),
    [
        ("[0]pan=stereo|c0=c0|c1=-1*c0", "left"),  # mixed, it would be silence
        ("[0]pan=stereo|c0=c0|c1=c0", "mix"),
        ("[0]pan=5.1|c2=c0", "mix"),
    ],
    ids=["antiphase", "dual mono", "5.1"],
)
def test_channels(found: Pipeline, tmp_path: Path, filters: str, downmix: str) -> None:
    """No way of recording a voice makes it silent."""
    (tmp_path / "call.wav").write_bytes(call())
    data = ffmpeg(tmp_path / "made.flac", "-i", str(tmp_path / "call.wav"), "-filter_complex", filters)
    key = found.put("ann/made.flac", data)
    found.tick()
    figures = found.figures(key, "audio")
    assert figures["downmix"] == downmix
    assert figures["loudness_lufs"] > -45
    assert [word.text for word in found.transcript(key).words]
    assert_sound(found)


@row(34)
@pytest.mark.nightly
def test_cover_art_and_two_languages(found: Pipeline, tmp_path: Path) -> None:
    """A picture in a song is no film, and of two tracks it is told which was taken, and why."""
    (tmp_path / "call.wav").write_bytes(call())
    source = ("-i", str(tmp_path / "call.wav"))
    picture = ("-f", "lavfi", "-i", "color=red:s=32x32:d=0.1", "-frames:v", "1", "-c:v", "png")
    cover = ffmpeg(tmp_path / "a.mp3", *source, *picture, "-map", "0", "-map", "1", "-disposition:v:0", "attached_pic")
    tracks = ("-map", "0:a", "-map", "0:a", "-metadata:s:a:0", "language=spa", "-metadata:s:a:1", "language=eng")
    both = ffmpeg(tmp_path / "b.mkv", *source, *tracks, "-disposition:a:0", "0", "-disposition:a:1", "0")
    song, film = found.put("ann/song.mp3", cover), found.put("ann/film.mkv", both)
    found.tick()
    assert found.figures(song, "audio")["track"] == "only track"
    assert found.figures(film, "audio")["track"] == "preferred language"
    assert_sound(found)


# --- nothing to hear ------------------------------------------------------------------------------------------------


@row(36)
def test_nobody_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speech: Speech) -> None:
    """A success without a word: neither the recogniser, which would hear a fox in anything, nor a language model is
    asked."""
    with (
        scripted_model() as model,
        pipeline(
            tmp_path / "home",
            monkeypatch,
            speech,
            insights="summary",
            llm="compatible/any",
            llm_compatible_url=f"{model.url}/v1",
        ) as found,
    ):
        sounds = {"silence": "anullsrc", "noise": "anoisesrc=a=0.1"}
        keys = {
            name: found.put(f"ann/{name}.flac", ffmpeg(tmp_path / "a.flac", "-f", "lavfi", "-i", source, "-t", "30"))
            for name, source in sounds.items()
        }
        found.tick()
        for name, key in keys.items():
            file = found.file(key)
            assert (file.status, file.degraded) == (Status.COMPLETED, []), name
            assert found.transcript(key).no_speech, name
            assert found.transcript(key).words == [], name
        assert speech.service.requests == []
        assert model.asked == []
        assert_sound(found)


# --- ten hours, and everything else that is hostile -----------------------------------------------------------------

TEN_HOURS = 36_000
MOST_MEMORY = 2 * 2**30


@row(36, 37)
@pytest.mark.nightly
@pytest.mark.timeout(3_000)
def test_ten_hours(site: Site, tmp_path: Path) -> None:
    """Three seconds of speech at the beginning of each hour, and silence: a small file, decoded to 1.15 GB of samples.

    Every word is where it was said, and the process never holds the whole of it as numbers.
    """
    (tmp_path / "call.wav").write_bytes(call())
    hour = tmp_path / "hour.flac"
    ffmpeg(hour, "-i", str(tmp_path / "call.wav"), "-af", "apad=whole_dur=3600", "-t", "3600")
    whole = tmp_path / "whole.flac"
    ffmpeg(whole, "-stream_loop", "9", "-i", str(hour), "-t", str(TEN_HOURS))
    key = site.drop(whole, "ann")
    with site.worker(key) as run:
        peak = highest_memory(run.pid)
        site.finish(run)
    print(f"{whole.stat().st_size / 1e6:.1f} MB, peak {peak / 2**20:.0f} MiB")
    file = site.file(key)
    assert file
    assert (file.status, file.error_text) == (Status.COMPLETED, None)
    assert file.current_transcript_id
    transcript = transcripts.load(site.ledger, file.current_transcript_id)
    assert transcript.audio_seconds == pytest.approx(TEN_HOURS, abs=1)
    assert [int(segment.start // 3600) for segment in transcript.segments if segment.start % 3600 < 4] == list(
        range(10)
    )
    assert peak < MOST_MEMORY
    invariants.assert_sound(site)


def highest_memory(pid: int) -> int:
    """Peak resident memory of a process, looked at until it ends (bytes)."""
    peak = 0
    with suppress(psutil.Error, FileNotFoundError, ProcessLookupError):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            peak = max(peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
            time.sleep(0.2)
    return peak


@row(29, 30, 31, 32, 33, 35)
@pytest.mark.nightly
def test_the_whole_collection(found: Pipeline, testdata: Path) -> None:
    """Every hostile file that there is, in one installation: each ends as it is documented to, none in the way of
    another."""
    keys = {path.name: found.put(f"ann/{path.name}", path.read_bytes()) for path in (testdata / "malformed").iterdir()}
    for _ in range(0, len(keys), settings().max_runs_queued):
        found.tick()
    assert keys.keys() == REFUSED.keys() | DECODED.keys()
    for name, key in keys.items():
        file = found.file(key)
        assert file.error_code == REFUSED.get(name), name
        assert file.status is (Status.ERROR if name in REFUSED else Status.COMPLETED), name
        if name in DECODED and DECODED[name][1]:
            assert DECODED[name][1] in found.figures(key, "audio")["warnings"]
    assert_sound(found)
