"""The typed values that flow between assets, and nothing else: no I/O, no computation beyond derived properties.

Each is an immutable pydantic model, stored as compressed JSON beside the audio (`resources/artifact_store.py`).
Databases and search are projections that can be rebuilt from these. Times are seconds from the start of the media
file as it plays (a late audio stream's offset is already in them); sizes are bytes; probabilities are 0..1.

Changing a model so that old JSON no longer loads is a breaking change: add optional fields instead.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Artifact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- ingest ---------------------------------------------------------------------------------------------------------


class ListedUpload(Artifact):
    """An object under the uploads prefix as a listing shows it: claimed, not yet proven to be anything."""

    object_key: str
    owner: str
    """First folder under the uploads prefix."""
    file_name: str
    partition_key: str
    etag: str
    version: str | None = None
    size_bytes: int
    modified_at: datetime


class Stream(Artifact):
    """One stream of the container, as ffprobe sees it."""

    index: int
    kind: Literal["audio", "video", "subtitle", "data", "attachment", "cover"]
    """'cover' is a still picture that containers carry as a video stream."""
    codec: str | None = None
    language: str | None = None
    title: str | None = None
    is_default: bool = False
    start_seconds: float = 0.0
    duration_seconds: Seconds | None = None
    bit_rate: int | None = None
    # audio
    channels: int | None = None
    channel_layout: str | None = None
    sample_rate: int | None = None
    bits_per_sample: int | None = None
    # video
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    display_aspect_ratio: str | None = None
    rotation_degrees: float | None = None


class MediaProbe(Artifact):
    """What the container is, from its bytes."""

    container: str
    """ffmpeg's demuxer name, e.g. 'mov,mp4,m4a,3gp,3g2,mj2'."""
    mime_type: str
    duration_seconds: Seconds | None = None
    """As declared by the header; None if it declares none."""
    start_seconds: float = 0.0
    bit_rate: int | None = None
    streams: tuple[Stream, ...]
    tags: dict[str, str] = {}
    chapters: tuple[str, ...] = ()
    """Titles of the container's chapters, in order."""


class Upload(Artifact):
    """A proven recording: these bytes, in this container, with these streams."""

    object_key: str
    owner: str
    file_name: str
    etag: str
    version: str | None = None
    size_bytes: int
    modified_at: datetime
    sha256: str
    media: MediaProbe


class FileFacts(Artifact):
    name: str
    size_bytes: int
    file_type: str | None = None
    """ExifTool's name of the format, e.g. 'MP4'."""
    mime_type: str | None = None
    extension_matches: bool | None = None
    """Does the file name's extension fit the bytes?"""
    container: str | None = None
    duration_seconds: Seconds | None = None
    bit_rate: int | None = None


class VideoFacts(Artifact):
    width: int
    height: int
    frame_rate: float | None = None
    codec: str | None = None
    aspect_ratio: str | None = None
    """Display aspect ratio as 'w:h'."""
    rotation_degrees: float | None = None
    bit_rate: int | None = None
    duration_seconds: Seconds | None = None


class AudioFacts(Artifact):
    channels: int
    channel_layout: str | None = None
    sample_rate: int | None = None
    bits_per_sample: int | None = None
    codec: str | None = None
    bit_rate: int | None = None
    language: str | None = None
    tracks: int = 1


class CreationFacts(Artifact):
    created_at: datetime | None = None
    """With its time zone where the file says one; None for missing or impossible dates (such as the 1904 epoch)."""
    created_at_source: str | None = None
    """ExifTool tag that `created_at` came from."""
    modified_at: datetime | None = None
    make: str | None = None
    model: str | None = None
    serial_number: str | None = None
    software: str | None = None


class ContentFacts(Artifact):
    title: str | None = None
    author: str | None = None
    album: str | None = None
    genre: str | None = None
    description: str | None = None
    comment: str | None = None
    copyright: str | None = None
    keywords: tuple[str, ...] = ()
    language: str | None = None
    chapters: tuple[str, ...] = ()


class GpsFacts(Artifact):
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    altitude_metres: float | None = None


class MediaMetadata(Artifact):
    """What the file says about itself, normalised; `raw` keeps ExifTool's values as it gave them."""

    file: FileFacts
    video: VideoFacts | None = None
    audio: AudioFacts | None = None
    creation: CreationFacts = CreationFacts()
    content: ContentFacts = ContentFacts()
    gps: GpsFacts | None = None
    raw: dict[str, Any] = {}
    """ExifTool tag ('Group:Tag') -> value, binary and oversized values left out."""
    warnings: tuple[str, ...] = ()


class Audio(Artifact):
    """The chosen track as 16 kHz mono FLAC in the artifact store, silence inserted where the stream starts late."""

    object_key: str
    size_bytes: int
    sha256: str
    sample_rate: int = 16_000
    seconds: Seconds
    """Decoded length, from the media's zero."""
    declared_seconds: Seconds | None = None
    """What the container claimed; a large difference is a warning."""
    start_offset_seconds: Seconds = 0.0
    """How much later than the media's zero the audio stream begins."""
    stream_index: int
    track_rule: str
    """Why this track: 'only track', 'default track', ..."""
    downmix: str
    """How the channels became one: 'mono', 'mix', or 'left' / 'right' where mixing would have cancelled them."""
    loudness_lufs: float | None = None
    """Integrated loudness (EBU R 128); None for digital silence."""
    peak_dbfs: float | None = None
    warnings: tuple[str, ...] = ()


# --- speech ---------------------------------------------------------------------------------------------------------


class RecognisedWord(Artifact):
    text: str
    """As spoken and written, punctuation attached, no surrounding spaces."""
    start: Seconds
    end: Seconds
    probability: Probability


class RecognisedSegment(Artifact):
    start: Seconds
    end: Seconds
    text: str
    words: tuple[RecognisedWord, ...]
    avg_logprob: float
    no_speech_prob: Probability
    compression_ratio: float


class Transcription(Artifact):
    """What the recogniser heard. No segments = no speech."""

    engine: str
    model: str
    language: str
    """ISO 639-1 as the recogniser names it; 'und' if there was no speech to tell it from."""
    language_probability: Probability
    segments: tuple[RecognisedSegment, ...]
    audio_seconds: Seconds
    speech: tuple[tuple[Seconds, Seconds], ...]
    """Where the voice activity detector found speech: (start, end), ordered, disjoint."""


class SpeakerTurn(Artifact):
    start: Seconds
    end: Seconds
    speaker: str


class SpeakerVoice(Artifact):
    speaker: str
    embedding: tuple[float, ...] = ()


class Diarization(Artifact):
    """Who spoke when. Labels are the engine's; the transcript renames them in order of appearance."""

    engine: str
    model: str
    turns: tuple[SpeakerTurn, ...]
    """Ordered by start; overlapping speech is kept where the engine gives it."""
    exclusive_turns: tuple[SpeakerTurn, ...]
    """At most one speaker at a time: for giving words to speakers."""
    voices: tuple[SpeakerVoice, ...] = ()
    embedding_model: str | None = None
    """Embeddings of different models must never be compared."""


class TranscriptWord(Artifact):
    text: str
    start: Seconds
    end: Seconds
    probability: Probability
    speaker: str | None = None


class TranscriptSegment(Artifact):
    """One sentence (or part of a long one) by one speaker."""

    id: int
    """0-based position; what citations, search hits and subtitles refer to."""
    start: Seconds
    end: Seconds
    speaker: str | None
    text: str
    confidence: Probability
    """Mean word probability."""
    words: tuple[TranscriptWord, ...]


class Paragraph(Artifact):
    """Consecutive segments of one speaker."""

    start: Seconds
    end: Seconds
    speaker: str | None
    first_segment: int
    last_segment: int
    """Inclusive."""


class TranscriptSpeaker(Artifact):
    label: str
    """SPEAKER_00, SPEAKER_01, ... in order of appearance."""
    seconds: Seconds
    """Talk time by diarization turns."""
    words: int
    embedding: tuple[float, ...] = ()


class TranscriptQuality(Artifact):
    """Honest figures about a transcript, for people and checks."""

    mean_confidence: Probability | None
    """Mean word probability; None without words."""
    low_confidence_words: int
    """Words below 0.5."""
    speech_seconds: Seconds
    """Found by voice activity detection."""
    covered_speech_seconds: Seconds
    """Of those, inside a segment."""


class Transcript(Artifact):
    """Speaker-labelled words in time: what everything downstream reads."""

    language: str
    language_probability: Probability
    audio_seconds: Seconds
    no_speech: bool
    segments: tuple[TranscriptSegment, ...]
    paragraphs: tuple[Paragraph, ...]
    speakers: tuple[TranscriptSpeaker, ...]
    turns: tuple[SpeakerTurn, ...]
    """Diarization turns under the transcript's labels, overlap kept."""
    quality: TranscriptQuality
    recogniser: str
    diarizer: str
    word_times: str
    """Where word times come from: 'recogniser', or the aligner's name."""
    embedding_model: str | None = None

    @property
    def words(self) -> list[TranscriptWord]:
        """All words in order."""
        return [word for segment in self.segments for word in segment.words]


# --- delivery -------------------------------------------------------------------------------------------------------


class TranscriptRecord(Artifact):
    """A transcript version as the ledger keeps it."""

    transcript_id: str
    version: int
    generation: int
    digest: str
    """SHA-256 of the transcript's canonical JSON: the same transcript is never stored twice."""
    segments: int
    words: int
    speakers: int
    is_current: bool


class ExportFile(Artifact):
    format: str
    object_key: str
    size_bytes: int
    words: int


class Subtitles(Artifact):
    """The files people download, in the results prefix."""

    transcript_id: str
    files: tuple[ExportFile, ...]
