"""The closed list of failures: every error a person can meet has a code, a class, a sentence and a remedy.

What belongs here: the catalogue, what is tried again after which failure, and the exception that carries an entry. What
does not: handling.
Code that knows what went wrong raises `PipelineError(ErrorCode.X, "detail")`; `stage.py` translates everything
else by exception type (never by matching words in a message) and decides on retries from the class alone.

`detail` is shown to people, so it holds facts ("9.7 of 20.0 s readable"), never a path, a secret or a traceback.
"""

from dataclasses import dataclass
from enum import StrEnum


class ErrorClass(StrEnum):
    PERMANENT = "permanent"
    """The same input will always fail: never retried."""
    TRANSIENT = "transient"
    """The world may be better in a moment: retried inside the call, then by a run retry."""
    RESOURCE = "resource"
    """This machine lacks something (memory, disk, a model): retried by a run retry only."""


class ErrorCode(StrEnum):
    # the upload
    EMPTY_FILE = "EMPTY_FILE"
    NOT_MEDIA = "NOT_MEDIA"
    UNSUPPORTED_MEDIA = "UNSUPPORTED_MEDIA"
    CORRUPT_MEDIA = "CORRUPT_MEDIA"
    NO_AUDIO = "NO_AUDIO"
    TOO_LARGE = "TOO_LARGE"
    TOO_LONG = "TOO_LONG"
    SOURCE_GONE = "SOURCE_GONE"
    SOURCE_CHANGED = "SOURCE_CHANGED"
    BAD_OPTIONS = "BAD_OPTIONS"
    BAD_GIVEN_TRANSCRIPT = "BAD_GIVEN_TRANSCRIPT"
    GIVEN_TRANSCRIPT_MISMATCH = "GIVEN_TRANSCRIPT_MISMATCH"
    # the tools
    MEDIA_TOOL_TIMEOUT = "MEDIA_TOOL_TIMEOUT"
    MEDIA_TOOL_CRASH = "MEDIA_TOOL_CRASH"
    MEDIA_TOOL_MISSING = "MEDIA_TOOL_MISSING"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    ENGINE_MISSING = "ENGINE_MISSING"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    SERVICE_REFUSED = "SERVICE_REFUSED"
    # the world
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    STORE_DENIED = "STORE_DENIED"
    SEARCH_UNAVAILABLE = "SEARCH_UNAVAILABLE"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    DATABASE_NOT_MIGRATED = "DATABASE_NOT_MIGRATED"
    DATABASE_NEWER = "DATABASE_NEWER"
    DISK_FULL = "DISK_FULL"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    ARTIFACT_MISSING = "ARTIFACT_MISSING"
    PROMOTION_REFUSED = "PROMOTION_REFUSED"
    REINDEX_REFUSED = "REINDEX_REFUSED"
    # what people ask for
    BAD_QUERY = "BAD_QUERY"
    BAD_EXPORT = "BAD_EXPORT"
    # language models
    LANGUAGE_MODEL_UNAVAILABLE = "LANGUAGE_MODEL_UNAVAILABLE"
    LANGUAGE_MODEL_REFUSED = "LANGUAGE_MODEL_REFUSED"
    LANGUAGE_MODEL_BAD_ANSWER = "LANGUAGE_MODEL_BAD_ANSWER"
    # decisions about voices
    VOICE_UNKNOWN = "VOICE_UNKNOWN"
    VOICE_REFUSED = "VOICE_REFUSED"
    # the run
    FILE_UNKNOWN = "FILE_UNKNOWN"
    LEASE_LOST = "LEASE_LOST"
    LEASE_HELD = "LEASE_HELD"
    WORKER_LOST = "WORKER_LOST"
    INTERRUPTED = "INTERRUPTED"
    TRIES_EXHAUSTED = "TRIES_EXHAUSTED"
    CANCELLED = "CANCELLED"
    # what admins ask for
    BAD_REQUEST = "BAD_REQUEST"
    PLAN_UNKNOWN = "PLAN_UNKNOWN"
    PLAN_REFUSED = "PLAN_REFUSED"
    CONFIGURATION = "CONFIGURATION"
    BAD_GOLDEN_SET = "BAD_GOLDEN_SET"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True)
class ErrorEntry:
    error_class: ErrorClass
    sentence: str
    remedy: str


_P, _T, _R = ErrorClass.PERMANENT, ErrorClass.TRANSIENT, ErrorClass.RESOURCE

CATALOGUE: dict[ErrorCode, ErrorEntry] = {
    ErrorCode.EMPTY_FILE: ErrorEntry(_P, "The file is empty.", "Upload the recording again."),
    ErrorCode.NOT_MEDIA: ErrorEntry(
        _P, "The file is not audio or video, whatever its name says.", "Upload the recording itself."
    ),
    ErrorCode.UNSUPPORTED_MEDIA: ErrorEntry(
        _P,
        "The recording has a form that this pipeline does not accept.",
        "Convert it to a common form such as MP3, FLAC, WAV, MP4 or WebM and upload that.",
    ),
    ErrorCode.CORRUPT_MEDIA: ErrorEntry(
        _P, "The recording is damaged and cannot be decoded.", "Export or copy the recording again and upload that."
    ),
    ErrorCode.NO_AUDIO: ErrorEntry(
        _P, "The recording has no audio track.", "Check the recording device's sound settings, or upload the audio."
    ),
    ErrorCode.TOO_LARGE: ErrorEntry(
        _P,
        "The file is larger than this installation accepts.",
        "Upload the audio track alone, or ask an admin to raise TRANSCRIBE_MAX_FILE_BYTES.",
    ),
    ErrorCode.TOO_LONG: ErrorEntry(
        _P,
        "The recording is longer than this installation accepts.",
        "Split the recording, or ask an admin to raise TRANSCRIBE_MAX_AUDIO_SECONDS.",
    ),
    ErrorCode.SOURCE_GONE: ErrorEntry(
        _P, "The uploaded object was deleted before it could be read.", "Upload the recording again."
    ),
    ErrorCode.SOURCE_CHANGED: ErrorEntry(
        _P,
        "The uploaded object was replaced while it was being read.",
        "Nothing to do: the new content is processed on its own.",
    ),
    ErrorCode.BAD_OPTIONS: ErrorEntry(
        _P,
        "The options for this file are not usable.",
        "Correct the options; 'transcribe options' lists them all with their meaning.",
    ),
    ErrorCode.BAD_GIVEN_TRANSCRIPT: ErrorEntry(
        _P, "The subtitle file beside the recording cannot be read.", "Save it as SRT or WebVTT in UTF-8, or remove it."
    ),
    ErrorCode.GIVEN_TRANSCRIPT_MISMATCH: ErrorEntry(
        _P,
        "The subtitle file beside the recording belongs to another recording.",
        "Put the right file beside it, or remove it to have the recording transcribed.",
    ),
    ErrorCode.MEDIA_TOOL_TIMEOUT: ErrorEntry(
        _P,
        "Reading the recording took far longer than its length allows.",
        "Convert the recording to FLAC or MP3 and upload that.",
    ),
    ErrorCode.MEDIA_TOOL_CRASH: ErrorEntry(
        _T,
        "The media decoder crashed on this recording.",
        "If it happens again, convert the recording to FLAC or MP3 and upload that.",
    ),
    ErrorCode.MEDIA_TOOL_MISSING: ErrorEntry(
        _R, "A media tool is not installed.", "Run 'transcribe doctor'; it names the package to install."
    ),
    ErrorCode.MODEL_UNAVAILABLE: ErrorEntry(
        _R, "A speech model could not be loaded.", "Run 'transcribe doctor'; it names the model and how to get it."
    ),
    ErrorCode.ENGINE_MISSING: ErrorEntry(
        _R,
        "The chosen engine is not installed.",
        "Run 'transcribe doctor'; it names the package. Or choose another engine.",
    ),
    ErrorCode.SERVICE_UNAVAILABLE: ErrorEntry(
        _T, "The transcription service does not answer.", "Check TRANSCRIBE_OPENAI_BASE_URL and the service's status."
    ),
    ErrorCode.SERVICE_REFUSED: ErrorEntry(
        _P,
        "The transcription service refused the request.",
        "Check TRANSCRIBE_OPENAI_API_KEY, the model's name and the service's limits.",
    ),
    ErrorCode.STORE_UNAVAILABLE: ErrorEntry(
        _T, "The object store does not answer.", "Check TRANSCRIBE_STORE_URL and the store's health."
    ),
    ErrorCode.STORE_DENIED: ErrorEntry(
        _R, "The object store refused access.", "Check the store's credentials and the policy of its prefixes."
    ),
    ErrorCode.SEARCH_UNAVAILABLE: ErrorEntry(
        _T,
        "The search index does not answer.",
        "Check TRANSCRIBE_SEARCH_URL and that OpenSearch is up; files are indexed by themselves when it is back.",
    ),
    ErrorCode.LANGUAGE_MODEL_UNAVAILABLE: ErrorEntry(
        _T,
        "The language model does not answer.",
        "Check TRANSCRIBE_LLM, the provider's address and its status; 'transcribe doctor' asks it.",
    ),
    ErrorCode.LANGUAGE_MODEL_REFUSED: ErrorEntry(
        _P,
        "The language model will not do this.",
        "Check the model's name, its key and limits, and TRANSCRIBE_ALLOW_REMOTE_LLM; or choose another model.",
    ),
    ErrorCode.LANGUAGE_MODEL_BAD_ANSWER: ErrorEntry(
        _P,
        "The language model gave no usable answer.",
        "Choose a larger model, or one whose server constrains answers to a JSON schema.",
    ),
    ErrorCode.DATABASE_UNAVAILABLE: ErrorEntry(
        _T, "The ledger database does not answer.", "Check TRANSCRIBE_DATABASE_URL and the database's health."
    ),
    ErrorCode.DATABASE_NOT_MIGRATED: ErrorEntry(
        _R, "The ledger database is older than this program.", "Run 'transcribe migrate'."
    ),
    ErrorCode.DATABASE_NEWER: ErrorEntry(
        _R,
        "The ledger database was migrated by a newer program.",
        "Install that newer version, or restore a backup and run 'transcribe migrate'.",
    ),
    ErrorCode.DISK_FULL: ErrorEntry(
        _R, "The disk is full.", "Free space under TRANSCRIBE_HOME; the file is then retried."
    ),
    ErrorCode.OUT_OF_MEMORY: ErrorEntry(
        _R, "The machine ran out of memory.", "Use a smaller model, or lower the number of concurrent runs."
    ),
    ErrorCode.ARTIFACT_MISSING: ErrorEntry(
        _P, "A result of an earlier stage is missing from the store.", "Materialise that stage for this file first."
    ),
    ErrorCode.PROMOTION_REFUSED: ErrorEntry(
        _P,
        "This version should not take the current one's place.",
        "Compare them with 'transcribe diff'; add --force if it is the right one all the same.",
    ),
    ErrorCode.REINDEX_REFUSED: ErrorEntry(
        _P,
        "The search index was not replaced.",
        "Search goes on with the index as it is; remove the cause and build the index again.",
    ),
    ErrorCode.BAD_QUERY: ErrorEntry(
        _P,
        "This cannot be searched for.",
        'Use words, "phrases", beginnings*, roughly~ and -excluded; at least one that is not excluded.',
    ),
    ErrorCode.BAD_EXPORT: ErrorEntry(
        _P,
        "This cannot be exported in that way.",
        "Choose another format or other options; 'transcribe export --help'.",
    ),
    ErrorCode.VOICE_UNKNOWN: ErrorEntry(
        _P,
        "There is no such voice among the owner's recordings, profiles and decisions.",
        "Run 'transcribe voices ls' or 'transcribe voices log' to see what there is.",
    ),
    ErrorCode.VOICE_REFUSED: ErrorEntry(
        _P, "This cannot be decided about a voice.", "Run 'transcribe voices ls' to see how things stand."
    ),
    ErrorCode.FILE_UNKNOWN: ErrorEntry(
        _P,
        "This partition has no file in the ledger.",
        "Put the recording under the uploads prefix, or run 'transcribe add FILE'.",
    ),
    ErrorCode.LEASE_LOST: ErrorEntry(
        _P, "Another run has taken over this file.", "Nothing to do: the other run finishes the work."
    ),
    ErrorCode.LEASE_HELD: ErrorEntry(
        _P, "Another run is working on this file.", "Wait for that run, or cancel it first."
    ),
    ErrorCode.WORKER_LOST: ErrorEntry(
        _T,
        "The process that worked on this file was killed.",
        "Look for memory limits or restarts, then re-execute the run from failure.",
    ),
    ErrorCode.INTERRUPTED: ErrorEntry(
        _T,
        "The process that worked on this file was asked to stop, as when a machine is shut down.",
        "Nothing to do: another run goes on where this one ended, and this one does not count as a try.",
    ),
    ErrorCode.TRIES_EXHAUSTED: ErrorEntry(
        _P,
        "This file has failed every time it was tried.",
        "See 'transcribe show FILE' for what happened; remove the cause, then 'transcribe redrive FILE'.",
    ),
    ErrorCode.CANCELLED: ErrorEntry(
        _P, "The work was cancelled.", "When you want the result: 'transcribe redrive FILE'."
    ),
    ErrorCode.BAD_REQUEST: ErrorEntry(
        _P, "This cannot be asked for.", "Correct what is named; '--help' of the command lists what there is."
    ),
    ErrorCode.PLAN_UNKNOWN: ErrorEntry(
        _P,
        "There is no such cleanup plan.",
        "See the plans that there are with 'transcribe cleanup plans', or make one with 'transcribe cleanup plan'.",
    ),
    ErrorCode.PLAN_REFUSED: ErrorEntry(
        _P,
        "This cleanup plan cannot be carried out.",
        "Nothing was deleted. Make a new plan with 'transcribe cleanup plan' and look at it again.",
    ),
    ErrorCode.CONFIGURATION: ErrorEntry(
        _R, "A setting is missing or wrong.", "Run 'transcribe config'; it lists every setting and what is wrong."
    ),
    ErrorCode.BAD_GOLDEN_SET: ErrorEntry(
        _P,
        "The recordings to measure on, or their references, are not usable.",
        "Correct what is named; 'transcribe evaluate --help' tells what lies where.",
    ),
    ErrorCode.INTERNAL: ErrorEntry(
        _T, "Something unexpected went wrong in the pipeline.", "See the run's log; if it stays, report it."
    ),
}


# --- trying again ---------------------------------------------------------------------------------------------------

AREAS: dict[ErrorCode, str] = {
    ErrorCode.EMPTY_FILE: "The upload",
    ErrorCode.MEDIA_TOOL_TIMEOUT: "The tools",
    ErrorCode.STORE_UNAVAILABLE: "The world",
    ErrorCode.BAD_QUERY: "What people ask for",
    ErrorCode.LANGUAGE_MODEL_UNAVAILABLE: "Language models",
    ErrorCode.VOICE_UNKNOWN: "Decisions about voices",
    ErrorCode.FILE_UNKNOWN: "The run",
    ErrorCode.BAD_REQUEST: "What admins ask for",
}
"""First code of each area, in the order of `ErrorCode` -> what its codes have in common."""

RETRIED_AT_ONCE: dict[ErrorCode, str] = {
    ErrorCode.SERVICE_UNAVAILABLE: "5 times, after 0.5 s doubling to 8 s, or when the service says (`Retry-After`).",
    ErrorCode.STORE_UNAVAILABLE: "6 times, after 0.2 s doubling to 5 s.",
    ErrorCode.SEARCH_UNAVAILABLE: "For 5 s while the server says that it is busy.",
    ErrorCode.DATABASE_UNAVAILABLE: "The whole transaction, for 60 s, after 0.1 s growing to 5 s.",
    ErrorCode.OUT_OF_MEMORY: "With smaller batches, and from the GPU on the CPU, as far down as the engine goes.",
    ErrorCode.LANGUAGE_MODEL_UNAVAILABLE: "4 times, after 0.5 s doubling to 20 s, or when the provider says, if that is"
    " within 60 s; then the next model. After 5 failures in a row a provider is left alone for 60 s.",
    ErrorCode.LANGUAGE_MODEL_REFUSED: "The next model is asked.",
    ErrorCode.LANGUAGE_MODEL_BAD_ANSWER: "The model is shown what is wrong, twice; then the next model is asked.",
}
"""Within the call that failed, before anything counts as a failure."""

_RUNS_AGAIN = (
    "Another run from the failed stage: twice at once, then by recovery after 5, 20, 80 ... minutes, until"
    " TRIES_EXHAUSTED."
)
_GOES_WITHOUT = "The insight is made without a model; `transcribe reprocess` makes it again."
_RUNS_LATER: dict[ErrorCode, str] = {
    ErrorCode.SOURCE_GONE: "None. The file is ORPHANED; uploaded again, it is processed by itself.",
    ErrorCode.SOURCE_CHANGED: "The new content has a run of its own.",
    ErrorCode.BAD_OPTIONS: "Corrected options are noticed by themselves.",
    ErrorCode.BAD_GIVEN_TRANSCRIPT: "A corrected subtitle file is noticed by itself.",
    ErrorCode.GIVEN_TRANSCRIPT_MISMATCH: "Another subtitle file is noticed by itself.",
    ErrorCode.SEARCH_UNAVAILABLE: "The file is completed; the index is compared with the ledger and repaired.",
    ErrorCode.LANGUAGE_MODEL_UNAVAILABLE: _GOES_WITHOUT,
    ErrorCode.LANGUAGE_MODEL_REFUSED: _GOES_WITHOUT,
    ErrorCode.LANGUAGE_MODEL_BAD_ANSWER: _GOES_WITHOUT,
    ErrorCode.LEASE_LOST: "None: the run that took over finishes the work.",
    ErrorCode.LEASE_HELD: "None: the run that holds the file finishes the work.",
    ErrorCode.INTERRUPTED: "Another run from the stage where this one ended; the run does not count as a try.",
    ErrorCode.TRIES_EXHAUSTED: "None. The file is QUARANTINED until `transcribe redrive`.",
    ErrorCode.CANCELLED: "None until `transcribe redrive`.",
}
_ANSWERS = frozenset(
    {
        *(ErrorCode.BAD_QUERY, ErrorCode.BAD_EXPORT, ErrorCode.VOICE_UNKNOWN, ErrorCode.VOICE_REFUSED),
        *(ErrorCode.PROMOTION_REFUSED, ErrorCode.REINDEX_REFUSED, ErrorCode.BAD_GOLDEN_SET, ErrorCode.FILE_UNKNOWN),
        *(ErrorCode.BAD_REQUEST, ErrorCode.PLAN_UNKNOWN, ErrorCode.PLAN_REFUSED),
    }
)
"""Told to whoever asked, who can ask for something else; no file fails with them."""


def retried_later(code: ErrorCode) -> str:
    """Which runs follow by themselves when a file has failed with this."""
    if code in _ANSWERS:
        return "None: it is the answer to a request."
    if code in _RUNS_LATER:
        return _RUNS_LATER[code]
    is_permanent = CATALOGUE[code].error_class is ErrorClass.PERMANENT
    return "None until `transcribe redrive` or another upload." if is_permanent else _RUNS_AGAIN


class PipelineError(Exception):
    """A failure from the catalogue. `str()` is fit for people: sentence, facts, remedy, code."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(code, detail)

    @property
    def error_class(self) -> ErrorClass:
        return CATALOGUE[self.code].error_class

    @property
    def sentence(self) -> str:
        """What happened, with its facts: 'The recording is longer than ... accepts (12 h; the limit is 10 h).'"""
        sentence = CATALOGUE[self.code].sentence
        return f"{sentence[:-1]} ({self.detail})." if self.detail else sentence

    @property
    def remedy(self) -> str:
        return CATALOGUE[self.code].remedy

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy} [{self.code}]"
