"""A real speech-to-text service with OpenAI's wire format: Whisper behind HTTP, with a service's habits and faults."""

import io
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import soundfile
from faster_whisper import WhisperModel

from transcribe_pipeline.speech.recognisers import language_names


@dataclass(frozen=True)
class Fault:
    """An answer instead of a transcription."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""


@dataclass(frozen=True)
class Asked:
    """One request, as it arrived."""

    path: str
    fields: dict[str, list[str]]
    headers: dict[str, str]
    seconds: float
    file_name: str


@dataclass
class AudioService:
    """What clients see of it; the switches may be changed between requests."""

    url: str
    whisper: WhisperModel | None
    key: str = ""
    """Wanted as bearer token, if not empty."""
    gives_words: bool = True
    """False: `timestamp_granularities` is refused."""
    gives_segments: bool = True
    """False: `verbose_json` is refused, as by gpt-4o-transcribe."""
    upload_limit: int = 25_000_000
    hangs_seconds: float = 0.0
    faults: deque[Fault] = field(default_factory=deque)
    """Spent one per request, in order."""
    requests: list[Asked] = field(default_factory=list)


_NAMES = {code: name for name, code in language_names._CODES.items()}


@contextmanager
def openai_audio_service(whisper: WhisperModel | None) -> Iterator[AudioService]:
    """The service on a free port; `url` ends in /v1."""
    service = AudioService(url="", whisper=whisper)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self._is_stranger():
                return
            if self.path != "/v1/models":
                self._fail(404, "Not Found", None)
                return
            self._answer(200, {"object": "list", "data": [{"id": "whisper-1", "object": "model"}]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if service.faults:
                fault = service.faults.popleft()
                self._send(fault.status, fault.body.encode(), "text/html", fault.headers)
                return
            if self._is_stranger():
                return
            fields, file = _multipart(self.headers["Content-Type"], body)
            content = file.get_payload(decode=True)
            assert isinstance(content, bytes)
            samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
            assert rate == 16_000
            service.requests.append(
                Asked(self.path, fields, dict(self.headers), len(samples) / rate, file.get_filename() or "")
            )
            time.sleep(service.hangs_seconds)
            if len(content) > service.upload_limit:
                self._fail(413, "Maximum content size limit exceeded", None)
            elif refused := _refused(service, fields):
                self._fail(400, f"{refused} is not compatible with this model", "unsupported_value")
            else:
                self._answer(200, _transcribed(service.whisper, samples, fields, self.path.endswith("translations")))

        def _is_stranger(self) -> bool:
            authorization = self.headers.get("Authorization", "")
            if not service.key or authorization == f"Bearer {service.key}":
                return False
            # OpenAI quotes the key.
            self._fail(401, f"Incorrect API key provided: {authorization.removeprefix('Bearer ')}.", "invalid_api_key")
            return True

        def _fail(self, status: int, message: str, code: str | None) -> None:
            self._answer(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            self._send(status, json.dumps(content).encode(), "application/json")

        def _send(self, status: int, body: bytes, kind: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Quiet about clients that lost patience."""

    server = Server(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


def _multipart(content_type: str, body: bytes) -> tuple[dict[str, list[str]], Message]:
    """Form fields by name, and the part that is the file."""
    form = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields: dict[str, list[str]] = {}
    file = Message()
    for part in form.iter_parts():
        name = part.get_param("name", header="Content-Disposition")
        if name == "file":
            file = part
        else:
            fields.setdefault(name, []).append(part.get_payload(decode=True).decode())
    return fields, file


def _refused(service: AudioService, fields: dict[str, list[str]]) -> str:
    if fields["response_format"] == ["verbose_json"] and not service.gives_segments:
        return "response_format"
    return "timestamp_granularities" if "timestamp_granularities[]" in fields and not service.gives_words else ""


def _transcribed(
    whisper: WhisperModel | None, samples: Any, fields: dict[str, list[str]], translate: bool
) -> dict[str, Any]:
    """As OpenAI answers: times from the start of the file, words without punctuation, the language by its name."""
    granularities = fields.get("timestamp_granularities[]", ["segment"])
    found, info = whisper.transcribe(
        samples,
        task="translate" if translate else "transcribe",
        language=fields.get("language", [None])[0],
        initial_prompt=fields.get("prompt", [None])[0],
        temperature=float(fields["temperature"][0]),
        word_timestamps="word" in granularities,
        beam_size=1,
    )
    segments = list(found)
    answer: dict[str, Any] = {"text": "".join(segment.text for segment in segments).strip()}
    if fields["response_format"] == ["json"]:
        return answer
    answer |= {"task": "transcribe", "language": _NAMES[info.language], "duration": info.duration}
    if "segment" in granularities:
        keys = ("id", "start", "end", "text", "avg_logprob", "no_speech_prob", "compression_ratio")
        answer["segments"] = [{key: getattr(segment, key) for key in keys} for segment in segments]
    if "word" in granularities:
        answer["words"] = [
            {"word": word.word.strip(" ,.!?;:"), "start": word.start, "end": word.end}
            for segment in segments
            for word in segment.words
        ]
    return answer
