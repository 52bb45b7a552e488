"""Any service with OpenAI's `/v1/audio/transcriptions`: OpenAI, Groq, vLLM, Speaches, with the `openai` package.

Services differ in what they give. Word times and segments are asked for; one that refuses them is asked for less, and
what it lacks is filled in: words spread over their segment, segments over their group of speech. The same with the
size of uploads: a service that calls one too large gets smaller ones. Both are remembered for the next request.

Retries of what may pass (429, 5xx, connection) are the openai client's own, which honours `Retry-After` up to 120 s.
"""

import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import soundfile
from pydantic import BaseModel, ConfigDict, Field

from transcribe_pipeline.artifacts import RecognisedSegment, RecognisedWord
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.media.samples import SAMPLE_RATE
from transcribe_pipeline.speech.recogniser import Heard, Request, Samples
from transcribe_pipeline.speech.recognisers.language_names import language_code
from transcribe_pipeline.speech.recognisers.word_times import TimedWord, timed_words
from transcribe_pipeline.speech.spans import Span
from transcribe_pipeline.text.words import join_words

if TYPE_CHECKING:
    from openai import OpenAI, OpenAIError

OPENAI_URL = "https://api.openai.com/v1"
_REMEDY = "pip install openai, or choose another recogniser"

_UPLOAD_BYTES = 25_000_000
"""OpenAI's and Groq's limit. FLAC of speech is about half of the 16-bit samples, and never much more than them."""
_BYTES_PER_SECOND = 2 * SAMPLE_RATE
_PAUSE_SECONDS = 1.0
"""Longer pauses between groups of speech are cut to this: they cost money, and Whisper invents words in them."""

_RETRIES = 5
"""With the client's waiting times, from 0.5 s doubling up to 8 s, about 15 s without a `Retry-After`."""
_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
"""On top of the audio's length: a service slower than real time would hold up everything behind it."""
_LOOK_SECONDS = 4.0

_OTHER_TEMPERATURE = 0.4
"""At 0, the default, services fall back by themselves; this is the second of our own fallback's steps."""
_UNTOLD_PROBABILITY = 1.0
"""Of words whose probability the service does not tell: nothing is doubted on that account."""

# What is asked for, best first.
_FORMATS: tuple[dict[str, Any], ...] = (
    {"response_format": "verbose_json", "timestamp_granularities": ["word", "segment"]},
    {"response_format": "verbose_json"},
    {"response_format": "json"},
)
_TRANSLATION_FORMATS = _FORMATS[1:]

_NO_KEY = "none"
"""The client insists on sending one; services that want none ignore it."""
_CODE = re.compile(r"[a-z0-9_]{1,40}")

Time = Annotated[float, Field(allow_inf_nan=False)]


class _Word(BaseModel):
    word: str
    start: Time
    end: Time


class _Segment(BaseModel):
    text: str
    start: Time
    end: Time
    avg_logprob: Time | None = None
    no_speech_prob: Time | None = None
    compression_ratio: Time | None = None


class _Answer(BaseModel):
    """Of the service's JSON, what matters here; times are seconds from the start of the upload."""

    model_config = ConfigDict(extra="ignore")

    text: str
    language: str | None = None
    words: list[_Word] | None = None
    segments: list[_Segment] | None = None

    @property
    def tells_times(self) -> bool:
        return bool(self.words or self.segments or not self.text.strip())


class _TooLargeError(PipelineError):
    """413: may go with a smaller upload."""

    def __init__(self, seconds: float) -> None:
        super().__init__(ErrorCode.SERVICE_REFUSED, f"{seconds:.0f} s of audio are too large an upload")


@dataclass(frozen=True)
class _Upload:
    """Groups of speech with the pauses between them shortened, as one piece of audio."""

    groups: tuple[Span, ...]
    pieces: tuple[Span, ...]
    """The groups with what is kept of the pauses; seconds from the start of the samples."""

    @classmethod
    def of(cls, groups: Sequence[Span]) -> "_Upload":
        half = _PAUSE_SECONDS / 2
        pieces = []
        for position, (start, end) in enumerate(groups):
            before = groups[position - 1][1] if position else start
            after = groups[position + 1][0] if position + 1 < len(groups) else end
            pieces.append((max(start - half, (before + start) / 2), min(end + half, (end + after) / 2)))
        return cls(tuple(groups), tuple(pieces))

    @property
    def seconds(self) -> float:
        return sum(end - start for start, end in self.pieces)

    def flac(self, samples: Samples) -> bytes:
        cut = [samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] for start, end in self.pieces]
        file = io.BytesIO()
        soundfile.write(file, np.concatenate(cut), SAMPLE_RATE, format="FLAC")
        return file.getvalue()

    def place(self, seconds: float) -> tuple[int, float]:
        """(piece, seconds from the start of the samples) of a time in the upload."""
        left = max(seconds, 0.0)
        for position, (start, end) in enumerate(self.pieces):
            if left < end - start:
                return position, start + left
            left -= end - start
        return len(self.pieces) - 1, self.pieces[-1][1]


@dataclass
class OpenAIAudio:
    client: "OpenAI"
    model: str
    answer_seconds: float = _ANSWER_SECONDS
    engine: str = "openai"
    group_seconds: float = 30.0
    """An upload is cut between groups and never inside one: small ones leave the choice."""
    translates: bool = True
    _upload_seconds: float = field(default=_UPLOAD_BYTES / _BYTES_PER_SECOND, init=False)
    _formats: dict[bool, tuple[dict[str, Any], ...]] = field(
        default_factory=lambda: {False: _FORMATS, True: _TRANSLATION_FORMATS}, init=False
    )
    """By whether it is a translation: the formats not yet refused."""

    def detect_language(self, clips: Sequence[Samples]) -> list[dict[str, float]]:
        """What the service reports with a transcript of each clip: it tells no probability, so each is one vote."""
        votes = []
        for clip in clips:
            answer = self._ask(clip, _Upload.of([(0.0, clip.size / SAMPLE_RATE)]), Request(None))
            code = language_code(answer.language or "")
            if code is None:
                return []
            votes.append({code: 1.0})
        return votes

    def recognise(self, samples: Samples, groups: Sequence[Span], request: Request) -> Iterator[Heard]:
        waiting = list(groups)
        while waiting:
            upload = self._next_upload(waiting)
            try:
                answer = self._ask(samples, upload, request)
            except _TooLargeError:
                if len(upload.groups) == 1:
                    raise
                self._upload_seconds = upload.seconds / 2
                continue
            if len(upload.groups) > 1 and not answer.tells_times:
                self._upload_seconds = 0.0  # group by group, so that at least these are in their place
                continue
            del waiting[: len(upload.groups)]
            yield from zip(upload.groups, _by_group(answer, upload, request.language), strict=True)

    def reconsider(self, samples: Samples, stretch: Span, request: Request) -> list[RecognisedSegment]:
        upload = _Upload.of([stretch])
        answer = self._ask(samples, upload, request, temperature=_OTHER_TEMPERATURE)
        return _by_group(answer, upload, request.language)[0]

    def _next_upload(self, groups: Sequence[Span]) -> _Upload:
        """As many of the groups as fit, one at least."""
        upload = _Upload.of(groups[:1])
        for count in range(2, len(groups) + 1):
            larger = _Upload.of(groups[:count])
            if larger.seconds > self._upload_seconds:
                break
            upload = larger
        return upload

    def _ask(self, samples: Samples, upload: _Upload, request: Request, temperature: float = 0.0) -> _Answer:
        import openai

        audio, seconds = upload.flac(samples), upload.seconds
        while True:
            formats = self._formats[request.to_english]
            try:
                return self._send(audio, seconds, request, temperature, formats[0])
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if len(formats) == 1:
                    raise _failure(error) from None
                self._formats[request.to_english] = formats[1:]
            except openai.OpenAIError as error:
                if getattr(error, "status_code", None) == 413:
                    raise _TooLargeError(seconds) from None
                raise _failure(error) from None

    def _send(
        self, audio: bytes, seconds: float, request: Request, temperature: float, asked: dict[str, Any]
    ) -> _Answer:
        import openai

        arguments: dict[str, Any] = {
            # A constant name: what the user called the recording is nobody's business.
            "file": ("audio.flac", audio, "audio/flac"),
            "model": self.model,
            "temperature": temperature,
            "prompt": _prompt(request) or openai.omit,
            "timeout": openai.Timeout(self.answer_seconds + seconds, connect=_CONNECT_SECONDS),
            **asked,
        }
        if request.to_english:
            response = self.client.audio.translations.with_raw_response.create(**arguments)
        else:
            language = request.language or openai.omit
            response = self.client.audio.transcriptions.with_raw_response.create(**arguments, language=language)
        try:
            return _Answer.model_validate_json(_encodable(response.content))
        except (ValueError, RecursionError):
            raise _refused("its answer is not a transcription") from None


# --- answers --------------------------------------------------------------------------------------------------------


def _encodable(answer: bytes) -> bytes:
    """JSON whose text can be encoded: models that spell bytes emit halves of characters, which must not cost a
    transcript. Raises ValueError, RecursionError."""
    return json.dumps(json.loads(answer.decode("utf-8", "replace")), ensure_ascii=False).encode("utf-8", "replace")


def _by_group(answer: _Answer, upload: _Upload, language: str | None) -> list[list[RecognisedSegment]]:
    """What was heard in each group of the upload, with times from the start of the samples."""
    language = language or language_code(answer.language or "") or ""
    found: list[list[RecognisedSegment]] = [[] for _ in upload.groups]
    for segment, words in _segments(answer, upload.seconds, language):
        placed: dict[int, list[RecognisedWord]] = {}
        for text, start, end in words:
            group, _ = upload.place((start + end) / 2)
            placed.setdefault(group, []).append(_word(text, start, end, upload, group, segment.avg_logprob))
        for group, inside in placed.items():
            found[group].append(
                RecognisedSegment(
                    start=inside[0].start,
                    end=inside[-1].end,
                    text=segment.text.strip() if len(placed) == 1 else join_words((w.text for w in inside), language),
                    words=tuple(inside),
                    avg_logprob=segment.avg_logprob,
                    no_speech_prob=_probability(segment.no_speech_prob),
                    compression_ratio=segment.compression_ratio,
                    times_are_estimates=not answer.words,
                )
            )
    return found


def _segments(answer: _Answer, seconds: float, language: str) -> Iterator[tuple[_Segment, list[TimedWord]]]:
    """Each segment with its words in time; text without segments is one, as long as the upload."""
    words = ((w.word, max(w.start, 0.0), min(max(w.start, w.end), seconds)) for w in answer.words or ())
    heard = sorted(words, key=itemgetter(1, 2))
    segments = sorted(answer.segments or (), key=attrgetter("start"))
    for position, segment in enumerate(segments or [_Segment(text=answer.text, start=0.0, end=seconds)]):
        is_last = position + 1 >= len(segments)
        own = [w for w in heard if is_last or (w[1] + w[2]) / 2 < segment.end]
        heard = heard[len(own) :]
        start, end = max(segment.start, 0.0), min(segment.end, seconds)
        yield segment, timed_words(segment.text, start, max(start, end), own, language)


def _word(text: str, start: float, end: float, upload: _Upload, group: int, logprob: float | None) -> RecognisedWord:
    first, last = upload.pieces[group]
    times = (min(max(upload.place(seconds)[1], first), last) for seconds in (start, end))
    probability = _UNTOLD_PROBABILITY if logprob is None else _probability(math.exp(min(logprob, 0.0)))
    begin, finish = (round(seconds, 3) for seconds in times)
    return RecognisedWord(text=text, start=begin, end=finish, probability=probability)


def _probability(value: float | None) -> Any:
    return None if value is None else min(max(value, 0.0), 1.0)


def _prompt(request: Request) -> str:
    """Whisper keeps the end of a prompt that is too long: the vocabulary."""
    glossary = f"Glossary: {', '.join(request.vocabulary)}." if request.vocabulary else ""
    return f"{request.prompt} {glossary}".strip()


# --- failures -------------------------------------------------------------------------------------------------------


def _failure(error: "OpenAIError") -> PipelineError:
    """Told by status and the service's short code alone: its sentence may quote the key."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return PipelineError(ErrorCode.SERVICE_UNAVAILABLE, "no answer in time")
    if not isinstance(error, openai.APIStatusError):
        return PipelineError(ErrorCode.SERVICE_UNAVAILABLE, "no connection")
    code = error.code if error.code and _CODE.fullmatch(error.code) else ""
    facts = f"HTTP {error.status_code}{f', {code}' if code else ''}"
    may_pass = error.status_code in (408, 409, 429) or error.status_code >= 500
    if may_pass and code != "insufficient_quota":  # OpenAI's 429 for an account without money
        return PipelineError(ErrorCode.SERVICE_UNAVAILABLE, facts)
    return _refused(facts)


def _refused(facts: str) -> PipelineError:
    return PipelineError(ErrorCode.SERVICE_REFUSED, facts)


# --- loading --------------------------------------------------------------------------------------------------------


def load(model: str, base_url: str, api_key: str) -> OpenAIAudio:
    """A client; nothing is sent yet.

    :param base_url: up to and with `/v1`; empty: OpenAI itself.
    :param api_key: empty for private services that want none.
    :raises PipelineError: ENGINE_MISSING; CONFIGURATION if OpenAI itself is to be used without a key.
    """
    return OpenAIAudio(_client(base_url, api_key), model)


def _client(base_url: str, api_key: str) -> "OpenAI":
    try:
        from openai import OpenAI
    except ImportError as error:
        raise PipelineError(ErrorCode.ENGINE_MISSING, f"openai; {_REMEDY}") from error
    if not base_url and not api_key:
        raise PipelineError(ErrorCode.CONFIGURATION, "OpenAI wants a key: TRANSCRIBE_OPENAI_API_KEY")
    # Everything is said explicitly: the client would take URL and key from OPENAI_... variables, and send a key that
    # was meant for OpenAI to a private service.
    return OpenAI(base_url=base_url or OPENAI_URL, api_key=api_key or _NO_KEY, max_retries=_RETRIES)


def require_answer(base_url: str, api_key: str) -> None:
    """Ask the service once, for at most 4 s, whether it is there and takes the key.

    :raises PipelineError: as `load`, and SERVICE_UNAVAILABLE, SERVICE_REFUSED.
    """
    client = _client(base_url, api_key).with_options(max_retries=0, timeout=_LOOK_SECONDS)
    import openai

    try:
        client.models.list()
    except openai.NotFoundError:
        return  # it answers, and keeps no list
    except openai.OpenAIError as error:
        raise _failure(error) from None
