"""Asking what the pipeline depends on whether it is there: all at once, and none for longer than a second.

Nothing is written and no text is sent. What an installation needs beyond that (tools, drivers) is `doctor`'s concern:
it takes its time, and nothing of it changes by the hour.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from transcribe_pipeline import doctor
from transcribe_pipeline.errors import PipelineError
from transcribe_pipeline.operations.health.report import Service
from transcribe_pipeline.settings import Settings

Look = Callable[[], Service]

LOOK_SECONDS = 1.0


class Looks:
    """Looks under way. Threads, and daemonic ones: a service that hangs must not keep the process."""

    def __init__(self, looks: Mapping[str, Look]) -> None:
        self._found: dict[str, Service] = {}
        self._started = monotonic()
        self._threads = {
            name: threading.Thread(target=self._run, args=(name, look), name=f"look-{name}", daemon=True)
            for name, look in looks.items()
        }
        for thread in self._threads.values():
            thread.start()

    def findings(self, seconds: float = LOOK_SECONDS) -> list[Service]:
        """What has answered within `seconds` from now, in all; the others as silent."""
        deadline = monotonic() + seconds
        for thread in self._threads.values():
            thread.join(max(deadline - monotonic(), 0.0))
        waited = monotonic() - self._started
        return [self._found.get(name) or _silent(name, waited) for name in self._threads]

    def _run(self, name: str, look: Look) -> None:
        started = monotonic()
        try:
            found = look()
        except PipelineError as error:
            found = Service(name=name, status="failed", facts=error.sentence, remedy=error.remedy)
        except Exception as error:  # a client's own failure must not hide the other findings
            found = Service(name=name, status="failed", facts=f"It cannot be asked ({type(error).__name__}).")
        self._found[name] = found.model_copy(update={"name": name, "seconds": round(monotonic() - started, 4)})


def _silent(name: str, waited: float) -> Service:
    return Service(
        name=name,
        status="silent",
        facts=f"It does not answer within {waited:.1f} s.",
        remedy="See whether it is up and reachable; 'transcribe doctor' waits longer.",
    )


def looks(configured: Settings) -> dict[str, Look]:
    """Name -> look, for what this installation has chosen."""
    found = {
        "store": lambda: _store(configured),
        "search": lambda: _search(configured),
        "speech recognition": lambda: _from_doctor(doctor.recogniser(configured)),
        "diarization": lambda: _from_doctor(doctor.diarizer(configured)),
    }
    return found | _language_models(configured)


def _store(configured: Settings) -> Service:
    """One page of the uploads: what the sensor asks for."""
    from transcribe_pipeline.resources.object_store import open_store

    next(open_store(configured.resolved_store_url).list_uploads(configured.uploads_prefix), None)
    return Service(name="store", status="ok", facts="lists the uploads")


def _search(configured: Settings) -> Service:
    from transcribe_pipeline.resources.search_index import Search

    status = Search(configured).index.status()
    return Service(name="search", status="ok", facts=f"{status.backend}, {status.passages:,} passages")


def _language_models(configured: Settings) -> dict[str, Look]:
    from transcribe_pipeline.resources.language_models import LanguageModels

    models = LanguageModels(configured)
    try:
        names: Sequence[object] = models.names()
    except PipelineError as error:
        wrong = Service(name="language models", status="failed", facts=error.sentence, remedy=error.remedy)
        return {"language models": lambda: wrong}

    def look(name: object) -> Look:
        def ask() -> Service:
            models.endpoint(name).look()  # type: ignore[arg-type]
            return Service(name=str(name), status="ok", facts="answers")

        return ask

    return {f"language model {name}": look(name) for name in names}


def _from_doctor(finding: doctor.Finding) -> Service:
    return Service(name=finding.name, status=finding.status, facts=finding.facts, remedy=finding.remedy)
