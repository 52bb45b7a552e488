"""One track as 16 kHz mono FLAC: the right track, the right times, nothing erased, everything bounded."""

import hashlib
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from transcribe_pipeline.artifacts import Audio, MediaProbe, Stream
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.decode import choose_track, decode_audio, decode_channels
from transcribe_pipeline.media.probe import probe
from transcribe_pipeline.media.samples import read_blocks, read_window

PICTURE = ("-f", "lavfi", "-i", "testsrc=duration=4:size=64x48:rate=10")


def sine(seconds: float, channels: str = "", frequency: int = 440) -> tuple[str, ...]:
    source = f"sine=frequency={frequency}:duration={seconds}:sample_rate=48000"
    return ("-f", "lavfi", "-i", f"{source},pan={channels}" if channels else source)


def decode(path, max_seconds=60.0, **options):
    return decode_audio(path, probe(path), path.with_name("audio.flac"), max_seconds=max_seconds, **options)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype="f8"))))


def test_describes_the_flac_it_wrote(make):
    path = make(*sine(3), "-f", "wav")
    audio = decode(path)
    flac = path.with_name("audio.flac")
    info = soundfile.info(flac)
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (16_000, 1, "PCM_16", 48_000)
    assert (audio.seconds, audio.declared_seconds, audio.start_offset_seconds) == (3, 3, 0)
    assert (audio.stream_index, audio.track_rule, audio.downmix, audio.warnings) == (0, "only track", "mono", ())
    assert audio.sha256 == hashlib.sha256(flac.read_bytes()).hexdigest()
    # ffmpeg's sine has amplitude 1/8: -18.06 dBFS; BS.1770 gives a mono sine of 0 dBFS about -3 LUFS near 1 kHz.
    assert audio.peak_dbfs == pytest.approx(-18.06, abs=0.1)
    assert audio.loudness_lufs == pytest.approx(-21.8, abs=0.5)
    Audio(object_key="audio", **vars(audio))


def test_the_same_recording_gives_the_same_bytes(make):
    path = make(*sine(2), "-f", "wav")
    assert decode(path).sha256 == decode(path).sha256


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_a_late_track_starts_late(make, container):
    late = ("-itsoffset", "2", *sine(2), "-map", "0", "-map", "1", "-c:a", "aac", "-f", container)
    path = make(*PICTURE, *late)
    audio = decode(path)
    assert audio.start_offset_seconds == pytest.approx(2, abs=0.1)
    assert audio.seconds == pytest.approx(4, abs=0.1)
    flac = path.with_name("audio.flac")
    assert rms(read_window(flac, 0, 1.9)) < 1e-4
    assert rms(read_window(flac, 2.2, 1)) > 0.05


@pytest.mark.parametrize(
    ("channels", "downmix"),
    [
        ("stereo|c0=c0|c1=c0", "mix"),
        ("stereo|c0=c0|c1=0*c0", "mix"),
        ("stereo|c0=c0|c1=-1*c0", "left"),
        ("stereo|c0=c0|c1=-0.9*c0", "left"),
        ("stereo|c0=-0.9*c0|c1=c0", "right"),
        ("5.1|FL=c0|FR=c0|FC=c0|BL=c0|BR=c0", "mix"),
        ("5.1|FC=c0", "mix"),
        ("5.1|FL=c0|FR=-1*c0", "left"),
    ],
)
def test_no_downmix_erases_the_sound(make, channels, downmix):
    path = make(*sine(2, channels), "-f", "flac")
    audio = decode(path)
    assert audio.downmix == downmix
    # ffmpeg's matrix gives the centre of 5.1 alone 10.7 dB less, so that all six together cannot clip.
    assert audio.peak_dbfs == pytest.approx(-18, abs=11)
    assert rms(read_window(path.with_name("audio.flac"), 0, 2)) > 0.02


def test_many_microphones_without_a_layout_are_averaged(make):
    path = make(*sine(2, "16c|c15=c0"), "-f", "wav")
    audio = decode(path)
    assert audio.downmix == "mix"
    assert audio.peak_dbfs == pytest.approx(-18.06 - 24.08, abs=0.2)


def test_silence_has_no_level(make):
    audio = decode(make("-f", "lavfi", "-i", "anullsrc=d=2", "-f", "wav"))
    assert (audio.loudness_lufs, audio.peak_dbfs, audio.downmix) == (None, None, "mix")


def test_progress_rises_to_one(make):
    heard = []
    decode(make(*sine(50), "-f", "wav"), on_progress=heard.append)
    assert len(heard) > 2
    assert heard == sorted(set(heard))
    assert heard[-1] == 1


def test_a_declared_length_over_the_limit_is_refused_before_decoding(make):
    path = make(*sine(3), "-f", "flac")
    with pytest.raises(PipelineError) as caught:
        decode(path, max_seconds=2)
    assert caught.value.code is ErrorCode.TOO_LONG
    assert caught.value.detail == "3.0 s; the limit is 2.0 s"
    assert not path.with_name("audio.flac").exists()


def test_a_decoded_length_over_the_limit_is_refused(make):
    path = make(*sine(3), "-c:a", "aac", "-f", "adts")  # declares none
    with pytest.raises(PipelineError) as caught:
        decode(path, max_seconds=2)
    assert caught.value.code is ErrorCode.TOO_LONG
    assert not path.with_name("audio.flac").exists()


@contextmanager
def largest_file(size_bytes: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_refused_write_is_a_full_disk(make):
    path = make("-f", "lavfi", "-i", "anoisesrc=d=20:r=16000", "-f", "wav")
    with largest_file(100_000), pytest.raises(PipelineError) as caught:
        decode(path)
    assert caught.value.code is ErrorCode.DISK_FULL
    assert not path.with_name("audio.flac").exists()


# --- each channel on its own ----------------------------------------------------------------------------------------


def channels(path, **options):
    found = decode_channels(path, probe(path), path.parent, max_seconds=60.0, **options)
    return {channel.label: channel for channel in found}


def two_sounds(layout: str) -> tuple[str, ...]:
    tones = "aevalsrc=sin(440*2*PI*t)/8|sin(1000*2*PI*t)/8:d=2:s=48000"
    return ("-f", "lavfi", "-i", f"{tones},pan={layout}")


def test_each_channel_is_a_file_of_the_track_s_length(make):
    path = make(*two_sounds("stereo|c0=c0|c1=c1"), "-f", "wav")
    found = channels(path)
    assert list(found) == ["left", "right"]
    for channel, hertz in zip(found.values(), (440, 1000), strict=True):
        assert channel.sha256 == hashlib.sha256(channel.path.read_bytes()).hexdigest()
        assert channel.size_bytes == channel.path.stat().st_size
        info = soundfile.info(channel.path)
        assert (info.samplerate, info.channels, info.frames) == (16_000, 1, 32_000)
        assert int(np.abs(np.fft.rfft(read_window(channel.path, 0.5, 1))).argmax()) == hertz
    assert decode(path).seconds == 2


@pytest.mark.parametrize(
    ("layout", "labels"),
    [
        ("mono|c0=c0", ["channel 1"]),
        ("stereo|c0=c0|c1=0.5*c0", ["left"]),
        ("stereo|c0=c0|c1=-1*c0", ["left"]),
        ("stereo|c0=c0|c1=0*c0", ["left", "right"]),
        ("stereo|c0=0*c0|c1=0*c0", ["left"]),
        ("4c|c0=c0|c1=c1|c2=c0|c3=0.5*c0+0.5*c1", ["channel 1", "channel 2", "channel 4"]),
        ("5.1|FL=c0|FC=c1|BR=0.5*c0+0.5*c1", ["channel 1", "channel 2", "channel 3", "channel 6"]),
    ],
)
def test_the_same_sound_twice_is_one_channel(make, layout, labels):
    path = make(*two_sounds(layout), "-f", "wav")
    found = channels(path)
    assert list(found) == labels
    assert sorted(path.parent.glob("*.flac")) == sorted(channel.path for channel in found.values())


def test_channels_start_as_late_as_their_track(make):
    late = ("-itsoffset", "2", *two_sounds("stereo|c0=c0|c1=c1"), "-map", "0", "-map", "1", "-c:a", "aac", "-f", "mp4")
    path = make(*PICTURE, *late)
    mono = decode(path)
    for channel in channels(path).values():
        assert soundfile.info(channel.path).frames == round(mono.seconds * 16_000)
        assert rms(read_window(channel.path, 0, 1.9)) < 1e-4
        assert rms(read_window(channel.path, 2.2, 1)) > 0.05


def test_too_many_channels_are_not_speakers(make):
    path = make(*sine(1, "16c|c15=c0"), "-f", "wav")
    with pytest.raises(PipelineError) as caught:
        channels(path)
    assert caught.value.code is ErrorCode.BAD_OPTIONS
    assert caught.value.detail == "16 channels; at most 8 can be speakers"


def test_channels_over_the_limit_leave_nothing_behind(make):
    path = make(*two_sounds("stereo|c0=c0|c1=c1"), "-c:a", "aac", "-f", "adts")  # declares no length
    with pytest.raises(PipelineError) as caught:
        decode_channels(path, probe(path), path.parent, max_seconds=1)
    assert caught.value.code is ErrorCode.TOO_LONG
    assert not list(path.parent.glob("*.flac"))


def test_video_without_audio_has_no_track(make):
    with pytest.raises(PipelineError) as caught:
        decode(make(*PICTURE, "-f", "mp4"))
    assert caught.value.code is ErrorCode.NO_AUDIO


def test_the_chosen_track_is_the_one_decoded(make):
    tracks = (*sine(2), *sine(2, frequency=2000), "-map", "0", "-map", "1")
    languages = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fre", "-disposition:a", "0")
    path = make(*tracks, *languages, "-c:a", "flac", "-f", "matroska")
    audio = decode(path, preferred_language="fr")
    assert (audio.stream_index, audio.track_rule) == (1, "preferred language")
    spectrum = np.abs(np.fft.rfft(read_window(path.with_name("audio.flac"), 0.5, 1)))
    assert int(spectrum.argmax()) == 2000


def media(*tracks: Stream) -> MediaProbe:
    return MediaProbe(container="matroska,webm", mime_type="video/x-matroska", streams=tracks)


def track(index: int, language: str | None = None, *, default: bool = False, codec: str | None = "aac") -> Stream:
    return Stream(index=index, kind="audio", codec=codec, language=language, is_default=default, channels=2)


@pytest.mark.parametrize(
    ("tracks", "preferred", "chosen"),
    [
        ((track(0),), "es", (0, "only track")),
        ((track(0, "eng"), track(1, "spa", default=True)), "en", (1, "default track")),
        ((track(0, "eng"), track(1, "spa")), "es", (1, "preferred language")),
        ((track(0, "eng", default=True), track(1, "ger", default=True)), "de", (1, "preferred language")),
        ((track(0, "eng"), track(1, "pt-BR")), "pt", (1, "preferred language")),
        ((track(0, "eng"), track(1, "spa")), "fr", (0, "first track")),
        ((track(0, "eng"), track(1, "spa")), None, (0, "first track")),
        ((track(0, codec=None, default=True), track(1)), None, (1, "only track")),
    ],
)
def test_track_rule(tracks, preferred, chosen):
    stream, rule = choose_track(media(*tracks), preferred)
    assert (stream.index, rule) == chosen


def test_audio_of_unknown_codec_only():
    with pytest.raises(PipelineError) as caught:
        choose_track(media(track(0, codec=None)))
    assert caught.value.code is ErrorCode.UNSUPPORTED_MEDIA


def test_blocks_and_windows_agree(make):
    path = make(*sine(3.3), "-f", "wav")
    decode(path)
    flac = path.with_name("audio.flac")
    blocks = list(read_blocks(flac, 1))
    assert [len(block) for block in blocks] == [16_000, 16_000, 16_000, 4_800]
    assert blocks[1].dtype == np.float32
    np.testing.assert_array_equal(read_window(flac, 1, 1), blocks[1])
    assert len(read_window(flac, 3, 1)) == 4_800
    assert len(read_window(flac, 9, 1)) == 0


# --- real recordings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", ["aac", "aiff", "flac", "mp3", "mp4", "ogg", "webm"])
def test_all_formats_have_the_same_length_and_level(testdata, private, extension):
    audio = decode(private(testdata / f"formats_sonnet001/p001.{extension}"))
    assert audio.seconds == pytest.approx(9.0, abs=0.02)
    assert audio.loudness_lufs == pytest.approx(-19.7, abs=0.4)


@pytest.mark.parametrize(
    ("name", "seconds", "offset", "downmix"),
    [
        ("sonnet_audio_starts_at_5s.mp4", 58.27, 4.976, "mix"),
        ("sonnet_delayed.webm", 53.01, 0, "mix"),
        ("sonnet_two_audio_tracks.mkv", 53.03, 0, "mix"),
        ("sonnet_subs.mkv", 53.03, 0, "mix"),
        ("stereo_antiphase_p001_20s.flac", 20, 0, "left"),
        ("quiet_minus40dB_p001.flac", 53.27, 0, "mono"),
    ],
)
def test_videos(testdata, private, name, seconds, offset, downmix):
    audio = decode(private(testdata / "video_made" / name))
    assert audio.seconds == pytest.approx(seconds, abs=0.02)
    assert audio.start_offset_seconds == pytest.approx(offset, abs=0.001)
    assert audio.downmix == downmix
    assert audio.warnings == ()


def test_the_late_recording_is_the_early_one_shifted(testdata, private, tmp_path):
    late = private(testdata / "video_made/sonnet_audio_starts_at_5s.mp4")
    decode(late)
    early = tmp_path / "early.bin"
    early.write_bytes((testdata / "video_made/sonnet_gps.mp4").read_bytes())
    decode_audio(early, probe(early), tmp_path / "early.flac", max_seconds=60)
    shifted = read_window(late.with_name("audio.flac"), 15, 2)
    original = read_window(tmp_path / "early.flac", 9.95, 2.1)
    # The sound itself starts at 5.0 s: the stream's 4.976 s are the encoder's priming of 1,024 samples before it.
    likeness = np.correlate(original, shifted, "valid") / np.vdot(shifted, shifted)
    assert likeness.max() > 0.95
    assert abs(int(likeness.argmax()) / 16_000 - 0.05) < 0.005


def test_anti_phase_speech_is_as_loud_as_its_channels(testdata, private):
    audio = decode(private(testdata / "video_made/stereo_antiphase_p001_20s.flac"))
    assert audio.peak_dbfs == pytest.approx(-1.2, abs=0.1)


def test_quiet_speech_stays_measurable(testdata, private):
    audio = decode(private(testdata / "video_made/quiet_minus40dB_p001.flac"))
    assert audio.peak_dbfs == pytest.approx(-40.3, abs=0.2)
    assert audio.loudness_lufs < -55
