"""A recogniser that makes do with less when memory runs out: smaller batches, int8, the CPU."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from transcribe_pipeline.artifacts import RecognisedSegment
from transcribe_pipeline.errors import ErrorCode, PipelineError
from transcribe_pipeline.speech.hardware import Rung, busy, is_out_of_memory
from transcribe_pipeline.speech.recogniser import Heard, Recogniser, Request, Samples
from transcribe_pipeline.speech.spans import Span

T = TypeVar("T")


@dataclass
class SteppingRecogniser:
    """Loads the engine for the best rung of the ladder that memory allows, and never goes up again."""

    rungs: Sequence[Rung]
    load: Callable[[Rung], Recogniser]
    on_step: Callable[[int], None] = lambda rung: None
    """Called with the position of the rung that is tried next."""
    position: int = 0
    _loaded: Recogniser | None = field(default=None, init=False)

    def load_now(self) -> None:
        """Load what will be used, so that a missing model is known before any work."""
        self._current()

    @property
    def engine(self) -> str:
        return self._current().engine

    @property
    def model(self) -> str:
        return self._current().model

    @property
    def group_seconds(self) -> float:
        return self._current().group_seconds

    @property
    def translates(self) -> bool:
        return self._current().translates

    def detect_language(self, clips: Sequence[Samples]) -> list[dict[str, float]]:
        return self._try(lambda engine: engine.detect_language(clips))

    def recognise(self, samples: Samples, groups: Sequence[Span], request: Request) -> Iterator[Heard]:
        waiting = list(groups)
        while waiting:
            try:
                with busy(self._rung.device):
                    for heard in self._current().recognise(samples, waiting, request):
                        # Engines that hear a window as a whole may report other stretches than were asked for.
                        waiting = [group for group in waiting if group[0] >= heard[0][1]]
                        yield heard
                return
            except Exception as error:
                self._step_down(error)

    def reconsider(self, samples: Samples, stretch: Span, request: Request) -> list[RecognisedSegment] | None:
        return self._try(lambda engine: engine.reconsider(samples, stretch, request))

    def _try(self, work: Callable[[Recogniser], T]) -> T:
        while True:
            try:
                with busy(self._rung.device):
                    return work(self._current())
            except Exception as error:
                self._step_down(error)

    def _current(self) -> Recogniser:
        while self._loaded is None:
            try:
                self._loaded = self.load(self._rung)
            except Exception as error:
                self._step_down(error)
        return self._loaded

    @property
    def _rung(self) -> Rung:
        return self.rungs[self.position]

    def _step_down(self, error: Exception) -> None:
        """Prepare the next rung; raise what is no lack of memory, and OUT_OF_MEMORY below the last rung."""
        if not is_out_of_memory(error, self._rung):
            raise error
        if self.position + 1 == len(self.rungs):
            raise PipelineError(ErrorCode.OUT_OF_MEMORY, "even with the smallest batch") from error
        self._loaded = None
        self.position += 1
        self.on_step(self.position)
