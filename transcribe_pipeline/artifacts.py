"""The typed values that flow between assets, and nothing else: no I/O, no computation beyond derived properties.

Each is an immutable pydantic model, stored as compressed JSON beside the audio (`resources/artifact_store.py`).
Databases and search are projections that can be rebuilt from these. Times are seconds from the start of the media
file as it plays (a late audio stream's offset is already in them); sizes are bytes; probabilities are 0..1.

Changing a model so that old JSON no longer loads is a breaking change: add optional fields instead.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

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
    sidecars: "tuple[Sidecar, ...] | None" = ()
    """Those in force. None: the listing did not see enough of the folder to tell."""
    sidecars_modified_at: datetime | None = None
    """When the youngest of them changed."""


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


class Sidecar(Artifact):
    """A small file that lies beside a recording and belongs to it: its options, or a transcript that people made."""

    object_key: str
    etag: str


InsightStage = Literal[
    "analytics", "semantic_chunks", "chapters", "knowledge_graph", "questions", "speaker_names", "summary"
]
"""In flow order. What each makes is in `insights.py`."""


class Options(Artifact):
    """What is asked for one recording: every option, resolved, and who decided it.

    Each has a default in the settings; a YAML file of defaults per owner or prefix, the sidecar `<file>.options.yaml`,
    `transcribe reprocess` and the run config in the UI override it, in that order.
    """

    recogniser: Literal["faster-whisper", "whisperx", "openai", "parakeet"] = "faster-whisper"
    model: str = "base"
    """As the recogniser names its models: size, hub name or local folder."""
    compute_type: str = "default"
    beam_size: Annotated[int, Field(ge=1, le=20)] = 5
    language: str = ""
    """ISO 639-1; empty: detected."""
    translate: bool = False
    """Keep an English translation beside the transcript."""
    vocabulary: tuple[str, ...] = ()
    """Names and terms that the recogniser should expect."""
    prompt: str = ""
    """Text in the style of the transcript, given to the recogniser as if it came before."""
    aligner: Literal["auto", "whisperx", "pocketsphinx", "none"] = "auto"
    diarizer: Literal["senko", "pyannote", "none"] = "senko"
    """'none' skips diarization."""
    speakers: Annotated[int, Field(ge=1, le=100)] | None = None
    """How many speak, if that is known."""
    min_speakers: Annotated[int, Field(ge=1, le=100)] | None = None
    max_speakers: Annotated[int, Field(ge=1, le=100)] | None = None
    channels_are_speakers: bool = False
    """Every channel of the recording is one speaker, as in recorded calls: no diarization is needed."""
    insights: tuple[InsightStage, ...] = get_args(InsightStage)
    """Stages of insight that run; the others are skipped."""
    summary_language: str = ""
    """ISO 639-1; empty: the recording's."""
    summary_template: str = ""
    """Name of a template; empty: by the type of content."""
    given_transcript: Sidecar | None = None
    """The .srt or .vtt beside the recording, whose text is kept."""
    sources: dict[str, str] = {}
    """Option -> who decided it ('setting TRANSCRIBE_LANGUAGE', 'sidecar', ...); all others have their default."""

    def source_of(self, option: str) -> str:
        return self.sources.get(option, "default")


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


class AudioChannel(Artifact):
    """One channel of the chosen track, as `Audio` is: same length, same zero."""

    object_key: str
    size_bytes: int
    sha256: str
    label: str
    """'left', 'right' or 'channel 3'."""


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
    channels: tuple[AudioChannel, ...] = ()
    """Each channel on its own, where the options say that channels are speakers."""
    warnings: tuple[str, ...] = ()


# --- speech ---------------------------------------------------------------------------------------------------------


class Doubt(StrEnum):
    """Why a stretch of a transcript should not be trusted without listening."""

    LOW_CONFIDENCE = "low_confidence"
    """The recogniser itself gives its words little probability."""
    REPETITION = "repetition"
    """The same words over and over, more than people say them."""
    NO_SPEECH = "no_speech"
    """Words where the voice activity detector, or the recogniser, finds nobody speaking."""
    HALLUCINATION = "hallucination"
    """A phrase that recognisers invent for silence and music ('Thanks for watching!'), with little to support it."""
    SPEED = "speed"
    """More words a second, or fewer, than people speak."""
    GIVEN_TEXT = "given_text"
    """A cue of the given transcript that the audio does not bear out."""


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
    avg_logprob: float | None = None
    """None from engines that do not tell, as the two below."""
    no_speech_prob: Probability | None = None
    compression_ratio: float | None = None
    channel: str | None = None
    """Label of the audio channel it was heard on, where channels are speakers."""
    times_are_estimates: bool = False
    """The engine gave no times for words: they are spread over the segment."""
    doubts: tuple[Doubt, ...] = ()


class Translation(Artifact):
    """A stretch of speech in another language."""

    start: Seconds
    end: Seconds
    text: str


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
    translation: tuple[Translation, ...] = ()
    """In English, where the options ask for it."""
    reconsidered_seconds: Seconds = 0.0
    """Audio that was decoded again because the first result was suspicious."""


class RecognisedWindow(Artifact):
    """One finished window of a long recording: what a resumed run need not recognise again."""

    start: Seconds
    end: Seconds
    """Where the next window begins."""
    language: str
    language_probability: Probability
    speech: tuple[tuple[Seconds, Seconds], ...]
    segments: tuple[RecognisedSegment, ...]
    translation: tuple[Translation, ...] = ()
    reconsidered_seconds: Seconds = 0.0


class Cue(Artifact):
    """One subtitle of a given transcript."""

    number: int
    """1-based position in its file."""
    start: Seconds
    end: Seconds
    text: str


class GivenTranscript(Artifact):
    """The transcript that lies beside the recording, fitted to the audio; `cues` is empty where none was given."""

    object_key: str | None = None
    cues: tuple[Cue, ...] = ()
    """Text as given, times corrected."""
    offset_seconds: float = 0.0
    """Added to the given times, after `drift`."""
    drift: float = 1.0
    """What given times were multiplied by: 1.001 = the subtitles were 3.6 s too early after an hour."""
    match: Probability | None = None
    """Share of the given words that the recogniser heard in the same order."""
    doubtful_cues: tuple[int, ...] = ()
    """Numbers of cues whose words were hardly heard at their place."""
    segments: tuple[RecognisedSegment, ...] = ()
    """The cues with their words, in time: ready for the aligner. Replaces what the recogniser heard."""


class Alignment(Artifact):
    """Words with the best times that could be had, in the segments of the transcription or of the given transcript."""

    aligner: str
    """'pocketsphinx', 'whisperx/<model>', or 'recogniser' where its own times were kept."""
    reason: str = ""
    """Why no aligner was used, or why this one."""
    segments: tuple[RecognisedSegment, ...]
    aligned_words: int = 0
    """Words placed by the aligner itself; the others lie between their neighbours or keep the recogniser's times."""


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
    failure: str | None = None
    """Why there are no speakers although they were asked for: code and sentence of the error."""


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
    doubts: tuple[Doubt, ...] = ()
    """Why this should be listened to before it is trusted; empty for most."""


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
    doubtful_segments: int = 0
    doubtful_seconds: Seconds = 0.0
    repeated_words: int = 0
    """Words in loops: the same few words three times or more in a row."""
    words_per_second: float | None = None
    """Over the detected speech; people speak 1 to 5."""
    reconsidered_seconds: Seconds = 0.0
    """Audio that was decoded twice because the first result was suspicious."""
    overlap_seconds: Seconds = 0.0
    """More than one speaker at a time, by the diarization turns."""
    unattributed_words: int = 0
    """Words far from every speaker's turn, given to the nearest."""
    given_match: Probability | None = None
    """Share of a given transcript's words that were heard; None where none was given."""


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
    text_source: Literal["recogniser", "given"] = "recogniser"
    translation: tuple[Translation, ...] = ()
    """In English, where the options ask for it."""

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
    held_back: str | None = None
    """Why it did not become the current version: it would have replaced a much fuller one."""


class IdentifiedSpeaker(Artifact):
    """What the owner's voice profiles say about one speaker of one transcript."""

    label: str
    """The transcript's: SPEAKER_00, ..."""
    band: Literal["confirmed", "auto", "suggested", "none"]
    """'confirmed' by a person; 'auto': similar enough, and clearly more than to anybody else; 'suggested': ask."""
    profile_id: str | None = None
    name: str | None = None
    similarity: float | None = None
    """Cosine, -1..1, to the profile's centroid."""
    margin: float | None = None
    """How much more similar than the second-best profile; None where there is only one."""


class SpeakerIdentities(Artifact):
    """Names for a transcript's speakers, from the profiles of its owner as they were at that moment."""

    transcript_id: str
    embedding_model: str | None = None
    speakers: tuple[IdentifiedSpeaker, ...] = ()

    @property
    def names(self) -> dict[str, str]:
        """Label -> name, for confirmed and automatically matched speakers."""
        return {s.label: s.name for s in self.speakers if s.name and s.band in ("confirmed", "auto")}


class ExportFile(Artifact):
    format: str
    object_key: str
    size_bytes: int
    words: int


class Subtitles(Artifact):
    """The files people download, in the results prefix."""

    transcript_id: str
    files: tuple[ExportFile, ...]


class TranscriptPage(Artifact):
    """The page on which people read, hear and search a transcript."""

    transcript_id: str
    object_key: str
    size_bytes: int


class SearchDocument(Artifact):
    """What the search index was given of a transcript."""

    transcript_id: str
    passages: int | None
    """Segments that can be found; None if the index could not be reached."""
