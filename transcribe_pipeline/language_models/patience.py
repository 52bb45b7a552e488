"""How long a provider is asked again, and when it is left alone: one retry budget, and a circuit breaker.

The SDKs' own retries are off. Requests to one address go one after another in a process: a local server has one GPU,
and a remote one counts requests.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pybreaker
import stamina

from transcribe_pipeline.language_models.wire import MayPassError

T = TypeVar("T")

_FAILURES = 5
"""In a row, after which an address is left alone."""
_REST_SECONDS = 60.0
"""Until one request may try it again."""
_LONGEST_WAIT = 60.0
"""A `Retry-After` beyond this is not waited for: the next model, or the offline form, is there sooner."""

_breakers: dict[str, pybreaker.CircuitBreaker] = {}
_lock = threading.Lock()


def breaker_of(provider: str, address: str) -> pybreaker.CircuitBreaker:
    """The one of this process."""
    with _lock:
        return _breakers.setdefault(f"{provider} {address}", new_breaker())


def new_breaker(failures: int = _FAILURES, rest_seconds: float = _REST_SECONDS) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(
        fail_max=failures,
        reset_timeout=rest_seconds,
        exclude=[lambda error: not isinstance(error, MayPassError)],
        throw_new_error_on_trip=False,
    )


@dataclass
class Budget:
    """What one question may cost in repeated requests, its repair turns included."""

    seconds: float
    """For all attempts of a turn together."""
    repeats: int = 4
    """Requests that may be repeated, over all turns."""
    first_wait: float = 0.5
    """Seconds, doubled each time, where the provider does not say how long."""
    _deadline: float = field(default=0.0, init=False)

    def spend(self, breaker: pybreaker.CircuitBreaker, attempt: Callable[[float], T]) -> T:
        """What `attempt` gives, asked again while its failures may pass.

        :param attempt: gets the seconds that it has.
        :raises MayPassError: the last one; at once while the breaker is open.
        """
        self._deadline = time.monotonic() + self.seconds
        for again in stamina.retry_context(
            on=self._wait,
            attempts=None,
            timeout=None,
            wait_initial=self.first_wait,
            wait_max=20.0,
            wait_jitter=self.first_wait,
        ):
            with again:
                try:
                    return breaker.call(attempt, max(self._deadline - time.monotonic(), 0.001))
                except pybreaker.CircuitBreakerError:
                    raise _LeftAloneError() from None
        raise AssertionError("stamina returns or raises")

    def _wait(self, error: Exception) -> bool | float:
        """Whether to ask again; or after how many seconds."""
        if not isinstance(error, MayPassError) or isinstance(error, _LeftAloneError) or self.repeats <= 0:
            return False
        wait = error.retry_after or 0.0
        if wait > _LONGEST_WAIT or time.monotonic() + wait >= self._deadline:
            return False
        self.repeats -= 1
        return True if error.retry_after is None else wait


class _LeftAloneError(MayPassError):
    def __init__(self) -> None:
        super().__init__("left alone for a minute, after several failures")
