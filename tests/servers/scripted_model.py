"""A language model's server that answers as it is told to, rightly or not: what no real one does when a test asks."""

import json
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


@dataclass(frozen=True)
class Scripted:
    """One answer."""

    body: Any = ""
    """JSON; text is sent as it is."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_seconds: float = 0.0


@dataclass
class ScriptedModel:
    url: str
    """Without a path."""
    script: deque[Scripted] = field(default_factory=deque)
    """Spent one for each POST, in order."""
    pages: dict[str, Scripted] = field(default_factory=dict)
    """Path -> what a GET of it, or a POST to `/api/show`, is answered."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Body of each POST that the script answered."""
    headers: list[Mapping[str, str]] = field(default_factory=list)
    """Of every request."""
    visits: list[str] = field(default_factory=list)
    """Path of every request."""

    def forget(self) -> None:
        for each in (self.script, self.pages, self.asked, self.headers, self.visits):
            each.clear()

    def says(self, *answers: Scripted) -> None:
        self.script.extend(answers)


@contextmanager
def scripted_model() -> Iterator[ScriptedModel]:
    with HTTPServer("127.0.0.1", threaded=True) as server:
        model = ScriptedModel(server.url_for("").rstrip("/"))

        def answer(request: Request) -> Response:
            model.visits.append(request.path)
            model.headers.append(dict(request.headers))
            if request.path in model.pages:
                return _response(model.pages[request.path])
            if request.method != "POST" or not model.script:
                return Response(status=404)
            model.asked.append(json.loads(request.get_data()))
            return _response(model.script.popleft())

        server.expect_request(re.compile("")).respond_with_handler(answer)
        yield model


def _response(scripted: Scripted) -> Response:
    time.sleep(scripted.after_seconds)
    body = scripted.body if isinstance(scripted.body, str) else json.dumps(scripted.body)
    return Response(body, scripted.status, dict(scripted.headers), content_type="application/json")
