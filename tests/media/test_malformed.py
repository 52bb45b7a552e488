"""Every file of the hostile collection ends with the code stated here."""

import pytest

from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.decode import decode_audio
from transcribe_pipeline.media.probe import probe

REFUSED = {
    "aeneas_mono.empty.wav": ErrorCode.EMPTY_FILE,
    "made_zero_bytes.mp4": ErrorCode.EMPTY_FILE,
    "aeneas_text_named_as_mp3.mp3": ErrorCode.NOT_MEDIA,
    "made_concat_script.mp3": ErrorCode.NOT_MEDIA,
    "made_hls_local_file.mp4": ErrorCode.NOT_MEDIA,
    "made_hls_loopback_request.mp4": ErrorCode.NOT_MEDIA,
    "made_html_error_page.mp3": ErrorCode.NOT_MEDIA,
    "made_one_byte.wav": ErrorCode.NOT_MEDIA,
    "made_sdp_as.wav": ErrorCode.NOT_MEDIA,
    "made_text_named.mp4": ErrorCode.NOT_MEDIA,
    "aeneas_mono.invalid.wav": ErrorCode.CORRUPT_MEDIA,
    "aeneas_mono.zero.wav": ErrorCode.CORRUPT_MEDIA,
    "made_bitflips_subsai.webm": ErrorCode.CORRUPT_MEDIA,
    "made_trunc_half_with-gps.mov": ErrorCode.CORRUPT_MEDIA,
    "ps_bad.wav": ErrorCode.CORRUPT_MEDIA,
    "ps_evil.wav": ErrorCode.CORRUPT_MEDIA,
    "ps_null.wav": ErrorCode.CORRUPT_MEDIA,
    "made_wav_0_channels.wav": ErrorCode.UNSUPPORTED_MEDIA,
    "made_wav_rate_1.wav": ErrorCode.UNSUPPORTED_MEDIA,
    "made_wav_rate_4e9.wav": ErrorCode.UNSUPPORTED_MEDIA,
    "ps_awful.wav": ErrorCode.UNSUPPORTED_MEDIA,
    "made_12h_silence.flac": ErrorCode.TOO_LONG,
    "made_video_no_audio.mp4": ErrorCode.NO_AUDIO,
}

# Decoded seconds, and how the first warning begins.
DECODED = {
    "made_bitflips_p001.mp3": (51.4, "51.4 of 53.3 s readable"),
    "made_trunc_half_jfk.flac": (5.43, "5.4 of 11.0 s readable"),
    "made_trunc_half_p001.mp3": (26.6, "26.6 of 53.3 s readable"),
    "made_trunc_half_subsai.webm": (9.88, "9.9 of 16.7 s readable"),
    "made_wav_claims_4GB.wav": (1.0, None),
}


def decode(path):
    return decode_audio(path, probe(path), path.with_name("audio.flac"), max_seconds=36_000)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(testdata, private, name):
    path = private(testdata / "malformed" / name)
    with pytest.raises(PipelineError) as caught:
        decode(path)
    assert caught.value.code is REFUSED[name]
    assert [file.name for file in path.parent.iterdir()] == ["input.bin"]


@pytest.mark.parametrize("name", DECODED)
def test_decoded_with_a_warning(testdata, private, name):
    seconds, warning = DECODED[name]
    audio = decode(private(testdata / "malformed" / name))
    assert audio.seconds == pytest.approx(seconds, abs=0.1)
    assert next(iter(audio.warnings), None) == warning


def test_no_file_is_forgotten(testdata):
    assert {path.name for path in (testdata / "malformed").iterdir()} == {*REFUSED, *DECODED}
