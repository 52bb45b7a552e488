"""One audio track of a recording as 16 kHz mono FLAC, or each of its channels, in a streaming pass of bounded memory.

ffmpeg decodes and resamples the chosen track alone; its samples pass through here, where the channels become one (or
files of their own), levels are measured and the length is bounded, into libsndfile's encoder. All times then count from
the media's zero.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from transcribe_pipeline.artifacts import MediaProbe, Stream
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.probe import OPEN_SAFELY, decodable
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.media.tools import ToolOutput, constant_name, run_tool

# The mix of two unrelated voices is 3 dB below each, of one channel with silence 6 dB below it. 9 dB below the louder
# one takes channels that are each other's inverse (correlation under -0.75), so either of them carries everything.
_CANCELLED_POWER = 10 ** (-9 / 10)

# Two channels of the same sound differ by rounding; then the left one is taken.
_LOUDER = 1.01

MAX_CHANNELS = 8
"""More channels than this are microphones in a room or a music production, not a speaker each."""

# Squared correlation from which two channels are one sound (20 dB above what differs): a call recorded as "stereo" is
# often the same mono signal twice, through lossy codecs and at other levels.
_SAME_SOUND = 0.99

# Decoded and declared length differ by a codec's padding (0.1 s) even in sound files.
_LENGTH_TOLERANCE_SECONDS = 0.5

# Containers that time every packet: gaps and late starts in them are real and become silence. The others have no times
# of their own; ffmpeg makes them up from the bit rate, which turned a damaged MP3 of 53 s into 437 s.
_TIMED_CONTAINERS = {"asf", "avi", "flv", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mpeg", "mpegts", "mxf", "ogg"}

# EBU Tech 3341's absolute gate: nothing quieter counts, and ffmpeg reports exactly this for silence.
_SILENCE_LUFS = -70.0

# Languages as containers name them (ISO 639-2, both forms), by ISO 639-1: the ones most spoken in recordings.
_LANGUAGE_CODES = {
    "ar": "ara",
    "cs": "ces cze",
    "da": "dan",
    "de": "deu ger",
    "el": "ell gre",
    "en": "eng",
    "es": "spa",
    "fi": "fin",
    "fr": "fra fre",
    "he": "heb",
    "hi": "hin",
    "hu": "hun",
    "id": "ind",
    "it": "ita",
    "ja": "jpn",
    "ko": "kor",
    "nl": "nld dut",
    "no": "nor nob nno",
    "pl": "pol",
    "pt": "por",
    "ro": "ron rum",
    "ru": "rus",
    "sv": "swe",
    "th": "tha",
    "tr": "tur",
    "uk": "ukr",
    "vi": "vie",
    "zh": "zho chi",
}

Downmix = Literal["mono", "mix", "left", "right"]


@dataclass(frozen=True)
class DecodedAudio:
    """The fields of `artifacts.Audio` except its place in the object store."""

    size_bytes: int
    sha256: str
    sample_rate: int
    seconds: float
    declared_seconds: float | None
    start_offset_seconds: float
    stream_index: int
    track_rule: str
    downmix: Downmix
    loudness_lufs: float | None
    """Of the track as it plays, before its channels became one."""
    peak_dbfs: float | None
    """Highest sample of the mono result, at most 0; None for digital silence."""
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class DecodedChannel:
    """The fields of `artifacts.AudioChannel` except its place in the object store, and where it lies now."""

    label: str
    path: Path
    size_bytes: int
    sha256: str


def ignore_progress(fraction: float) -> None:
    """The default listener."""


def decode_audio(
    source: Path,
    media: MediaProbe,
    destination: Path,
    *,
    max_seconds: float,
    preferred_language: str | None = None,
    on_progress: Callable[[float], None] = ignore_progress,
) -> DecodedAudio:
    """Write the chosen track of `source` (as `probe` described it) to `destination` as 16 kHz mono 16-bit FLAC.

    `on_progress` hears the fraction done (0..1, rising) where the recording declares its length. A damaged or truncated
    recording gives what can be decoded, with warnings. Whatever fails, `destination` does not stay behind.

    Raises PipelineError: NO_AUDIO, UNSUPPORTED_MEDIA (audio of an unknown codec only), TOO_LONG (declared or decoded
    seconds), CORRUPT_MEDIA (not a single sample), DISK_FULL, and what `run_tool` raises.
    """
    track, rule = choose_track(media, preferred_language)
    offset = max(track.start_seconds - media.start_seconds, 0.0)
    declared = _declared_seconds(media, track, offset)
    _refuse_too_long(declared, max_seconds)
    job = _Job(source, media, track, max_seconds, declared, on_progress)
    try:
        downmix: Downmix = "mono" if _channels(track) == 1 else "mix"
        levels, output = _write_mono(job, destination, downmix)
        if levels.cancelled:
            downmix = "right" if levels.right > _LOUDER * levels.left else "left"
            levels, output = _write_mono(job, destination, downmix)
        _refuse_nothing(levels.samples)
        on_progress(1.0)
        return DecodedAudio(
            size_bytes=destination.stat().st_size,
            sha256=_sha256(destination),
            sample_rate=SAMPLE_RATE,
            seconds=levels.samples / SAMPLE_RATE,
            declared_seconds=declared,
            start_offset_seconds=offset,
            stream_index=track.index,
            track_rule=rule,
            downmix=downmix,
            loudness_lufs=_loudness(output.stderr),
            peak_dbfs=20 * math.log10(levels.peak) if levels.peak > 0 else None,
            warnings=_warnings(levels.samples / SAMPLE_RATE, declared, output),
        )
    except BaseException:
        destination.unlink(missing_ok=True)
        raise


def decode_channels(
    source: Path,
    media: MediaProbe,
    folder: Path,
    *,
    max_seconds: float,
    preferred_language: str | None = None,
    on_progress: Callable[[float], None] = ignore_progress,
) -> list[DecodedChannel]:
    """Write each channel of the track that `decode_audio` chooses to `folder`: same zero and length as that writes it.

    Channels that carry the same sound are one: the first of them stays. Labels are 'left' and 'right' for stereo, else
    'channel 1' and so on. Whatever fails, no file stays behind.

    Raises PipelineError: BAD_OPTIONS (more than `MAX_CHANNELS`), and what `decode_audio` raises.
    """
    track, _ = choose_track(media, preferred_language)
    count = _channels(track)
    if count > MAX_CHANNELS:
        raise PipelineError(ErrorCode.BAD_OPTIONS, f"{count} channels; at most {MAX_CHANNELS} can be speakers")
    declared = _declared_seconds(media, track, max(track.start_seconds - media.start_seconds, 0.0))
    _refuse_too_long(declared, max_seconds)
    paths = [folder / f"channel_{number}.flac" for number in range(1, count + 1)]
    try:
        likeness = _write_channels(_Job(source, media, track, max_seconds, declared, on_progress), paths)
        _refuse_nothing(likeness.samples)
        kept = likeness.distinct()
        for number in set(range(count)) - set(kept):
            paths[number].unlink()
        on_progress(1.0)
        labels = ["left", "right"] if count == 2 else [f"channel {number}" for number in range(1, count + 1)]
        return [DecodedChannel(labels[n], paths[n], paths[n].stat().st_size, _sha256(paths[n])) for n in kept]
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def choose_track(media: MediaProbe, preferred_language: str | None = None) -> tuple[Stream, str]:
    """The audio track to transcribe, and the rule that chose it.

    The track that the container flags as default; where it flags none or several, the first of those in the preferred
    language (ISO 639-1), else the first. Raises PipelineError: NO_AUDIO, UNSUPPORTED_MEDIA.
    """
    audio = [stream for stream in media.streams if stream.kind == "audio"]
    if not audio:
        raise PipelineError(ErrorCode.NO_AUDIO)
    tracks = [stream for stream in audio if decodable(stream)]
    if not tracks:
        raise PipelineError(ErrorCode.UNSUPPORTED_MEDIA, "its audio codec is unknown or encrypted")
    if len(tracks) == 1:
        return tracks[0], "only track"
    flagged = [stream for stream in tracks if stream.is_default]
    if len(flagged) == 1:
        return flagged[0], "default track"
    for stream in flagged or tracks:
        if preferred_language and _same_language(stream.language, preferred_language):
            return stream, "preferred language"
    return (flagged or tracks)[0], "first track"


def _same_language(tag: str | None, language: str) -> bool:
    """Is the container's tag ('eng', 'en', 'en-GB') this ISO 639-1 language?"""
    if tag is None:
        return False
    primary = tag.partition("-")[0]
    return primary == language or primary in _LANGUAGE_CODES.get(language, "").split()


@dataclass
class _Levels:
    """Running sums over the whole track; powers are sums of squares."""

    samples: int = 0
    left: float = 0.0
    right: float = 0.0
    mixed: float = 0.0
    peak: float = 0.0

    def add(self, channels: NDArray[np.float32], mono: NDArray[np.float32]) -> None:
        self.samples += len(mono)
        self.left += float(np.vdot(channels[:, 0], channels[:, 0]))
        self.right += float(np.vdot(channels[:, -1], channels[:, -1]))
        self.mixed += float(np.vdot(mono, mono))
        self.peak = max(self.peak, float(np.abs(mono).max()))

    @property
    def cancelled(self) -> bool:
        """Did the channels erase each other? False for silence, where there was nothing to erase."""
        return self.mixed < _CANCELLED_POWER * max(self.left, self.right)


@dataclass
class _Likeness:
    """Which channels are the same sound: running products of all pairs, in bounded memory."""

    samples: int
    products: NDArray[np.float64]
    """Shape (channels, channels)."""

    def add(self, channels: NDArray[np.float32]) -> None:
        self.samples += len(channels)
        self.products += channels.T @ channels

    def distinct(self) -> list[int]:
        """The first channel of each sound; silence is a sound of its own."""
        power = self.products.diagonal()
        kept: list[int] = []
        for channel in range(len(power)):
            if not any(
                self.products[channel, other] ** 2 >= _SAME_SOUND * power[channel] * power[other]
                and (power[channel] > 0) == (power[other] > 0)
                for other in kept
            ):
                kept.append(channel)
        return kept


def _write_mono(job: "_Job", destination: Path, downmix: Downmix) -> tuple[_Levels, ToolOutput]:
    """The whole track as one channel; returns what was measured, and what ffmpeg said."""
    levels = _Levels()

    def take(channels: NDArray[np.float32]) -> None:
        mono = _to_mono(channels, downmix)
        levels.add(channels, mono)
        flac.write(mono)

    with _disk_errors(), _open_flac(destination) as flac:
        # ebur128 logs every 100 ms unless told to log only when verbose.
        filters = (_channel_filter(job.track), "ebur128=framelog=verbose")
        output = job.run(filters, _streamed_channels(job.track), take)
    return levels, output


def _write_channels(job: "_Job", paths: list[Path]) -> _Likeness:
    """The whole track, a file for each channel."""
    count = len(paths)
    likeness = _Likeness(0, np.zeros((count, count)))
    with ExitStack() as stack:
        stack.enter_context(_disk_errors())
        flacs = [stack.enter_context(_open_flac(path)) for path in paths]

        def take(channels: NDArray[np.float32]) -> None:
            likeness.add(channels)
            for number, flac in enumerate(flacs):
                flac.write(channels[:, number])

        # pan: the count stays what it was announced to be, even where a damaged stream changes it.
        same = "|".join(f"c{channel}=c{channel}" for channel in range(count))
        job.run((f"pan={count}c|{same}", "aformat=sample_fmts=flt"), count, take)
    return likeness


def _open_flac(path: Path) -> soundfile.SoundFile:
    return soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16", format="FLAC")


@contextmanager
def _disk_errors() -> Iterator[None]:
    """The file was open and samples cannot be wrong, so the system refused the bytes; libsndfile hides errno."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise PipelineError(ErrorCode.DISK_FULL) from error


@dataclass
class _Job:
    """One track on its way through ffmpeg; run again only where mixing turned out to cancel it."""

    source: Path
    media: MediaProbe
    track: Stream
    max_seconds: float
    declared: float | None
    on_progress: Callable[[float], None]
    done: float = 0.0

    def run(self, filters: Sequence[str], channels: int, take: Callable[[NDArray[np.float32]], None]) -> ToolOutput:
        """Decode the whole track; `take` gets its samples as (frames, channels). Returns what ffmpeg said."""
        samples = 0

        def count(frames: NDArray[np.float32]) -> None:
            nonlocal samples
            take(frames)
            samples += len(frames)
            self._advance(samples / SAMPLE_RATE)

        return run_tool(
            self._command(filters),
            folder=self.source.parent,
            seconds=self._patience_seconds(),
            on_stdout=_Frames(channels, count).feed,
        )

    def _command(self, filters: Sequence[str]) -> list[str]:
        # first_pts: a late start becomes silence; async: so do gaps, and overlaps are cut.
        # rematrix_maxval: six channels of full scale must not clip as one.
        resample = f"aresample={SAMPLE_RATE}:rematrix_maxval=1" + (":async=1:first_pts=0" if self._is_timed() else "")
        opened = ["-hide_banner", "-nostdin", "-nostats", "-v", "level+info", "-threads", "1", *OPEN_SAFELY]
        # A shift of a microsecond: without any, ffmpeg moves the zero of MPEG streams to the chosen track's start.
        opened += ["-itsoffset", "0.000001"]
        chosen = ["-i", f"file:{constant_name(self.source)}", "-map", f"0:{self.track.index}", "-vn", "-sn", "-dn"]
        written = ["-f", "f32le", "-c:a", "pcm_f32le", "pipe:1"]
        return ["ffmpeg", *opened, *chosen, "-af", ",".join([resample, *filters]), *written]

    def _is_timed(self) -> bool:
        return self.media.container in _TIMED_CONTAINERS

    def _patience_seconds(self) -> float:
        """Wall clock: ten times real time (measured: 440 times) and 5 MB/s of reading, after a minute."""
        length = self.max_seconds if self.declared is None else self.declared
        return 60 + length / 10 + self.source.stat().st_size / 5e6

    def _advance(self, seconds: float) -> None:
        if seconds > self.max_seconds:
            raise _too_long(f"more than {_hours(self.max_seconds)}", self.max_seconds)
        if not self.declared:
            return
        fraction = min(seconds / self.declared, 0.99)
        if fraction - self.done >= 0.01:
            self.done = fraction
            self.on_progress(fraction)


@dataclass
class _Frames:
    """Cuts ffmpeg's byte stream into whole float32 frames of shape (frames, channels)."""

    channels: int
    take: Callable[[NDArray[np.float32]], None]
    rest: bytes = b""

    def feed(self, chunk: bytes) -> None:
        data = self.rest + chunk
        whole = len(data) - len(data) % (4 * self.channels)
        self.rest = data[whole:]
        if whole:
            samples = np.frombuffer(data[:whole], dtype="<f4")
            # Damaged streams of float codecs hold NaN, infinity and bursts of +90 dBFS, which would spoil every sum.
            self.take(np.clip(np.nan_to_num(samples), -1.0, 1.0).reshape(-1, self.channels))


def _to_mono(channels: NDArray[np.float32], downmix: Downmix) -> NDArray[np.float32]:
    if downmix == "mix":
        return (channels[:, 0] + channels[:, -1]) * np.float32(0.5)
    return channels[:, -1] if downmix == "right" else channels[:, 0]


def _channels(track: Stream) -> int:
    return track.channels or 1


def _streamed_channels(track: Stream) -> int:
    """How many channels ffmpeg hands over: two where it knows which is which, so that cancelling can be measured."""
    return 2 if _channels(track) == 2 or (_channels(track) > 2 and _has_layout(track)) else 1


def _has_layout(track: Stream) -> bool:
    """Several microphones on one recorder have no layout ('16 channels'), and then ffmpeg refuses to mix them."""
    return track.channel_layout is not None and not track.channel_layout.endswith("channels")


def _channel_filter(track: Stream) -> str:
    channels = _channels(track)
    if channels <= 2 or _has_layout(track):
        return f"aformat=sample_fmts=flt:channel_layouts={'stereo' if channels > 1 else 'mono'}"
    return "pan=mono|c0=" + "+".join(f"{1 / channels:.6f}*c{channel}" for channel in range(channels))


def _declared_seconds(media: MediaProbe, track: Stream, offset: float) -> float | None:
    """Length of the track from the media's zero as the container declares it; None if it declares nothing."""
    if track.duration_seconds is not None:
        return offset + track.duration_seconds
    return media.duration_seconds


def _refuse_too_long(declared: float | None, max_seconds: float) -> None:
    if declared is not None and declared > max_seconds:
        raise _too_long(_hours(declared), max_seconds)


def _refuse_nothing(samples: int) -> None:
    if samples == 0:
        raise PipelineError(ErrorCode.CORRUPT_MEDIA, "not a single second can be decoded")


def _too_long(length: str, max_seconds: float) -> PipelineError:
    return PipelineError(ErrorCode.TOO_LONG, f"{length}; the limit is {_hours(max_seconds)}")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds:.1f} s"


def _loudness(log: str) -> float | None:
    """Integrated loudness in LUFS from the summary that ffmpeg's ebur128 prints; None for silence."""
    # Names and tags that the recording brings are indented in the log, so they cannot pass for the filter's line.
    summaries = re.findall(r"^\[Parsed_ebur128[^\n]*Summary:\s+Integrated loudness:\s+I: +(-?[\d.]+) LUFS", log, re.M)
    if not summaries or float(summaries[-1]) <= _SILENCE_LUFS:
        return None
    return float(summaries[-1])


def _warnings(seconds: float, declared: float | None, output: ToolOutput) -> tuple[str, ...]:
    warnings = []
    if declared is not None and seconds < declared - _LENGTH_TOLERANCE_SECONDS:
        warnings.append(f"{seconds:.1f} of {declared:.1f} s readable")
    if declared is not None and seconds > declared + _LENGTH_TOLERANCE_SECONDS:
        warnings.append(f"{seconds:.1f} s decoded, but only {declared:.1f} s declared")
    errors = len(re.findall(r"^(?:\[[^\]\n]* @ 0x[0-9a-f]+\] )?\[(?:error|fatal)\] ", output.stderr, re.M))
    if errors:
        warnings.append(f"damaged; decoding errors: {errors}")
    if output.returncode != 0:
        warnings.append("the decoder gave up before the end")
    return tuple(warnings)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
