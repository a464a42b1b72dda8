"""llama-server, the peer of the measurements: `python -m benchmarks.peer OPTIONS` is the process that it runs in.

It comes in the xllamacpp package. Its settings are the best that were found for these measurements:
see benchmarks/README.md.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from lorebook_daemon.engine.protocol import Prompt

REUSE = 32
"""Tokens from which on a run that stands elsewhere in the new prompt is moved there instead of read again."""


@dataclass(frozen=True)
class Options:
    """How llama-server is run."""

    path: str
    n_ctx: int
    threads: int
    slots: int = 1
    """One slot for one user: with several, a prompt in a new order goes to an empty one, and nothing is reused."""


@dataclass(frozen=True)
class Heard:
    """The first token's time, and what the server says of the prompt."""

    first_ms: float
    read: int
    """Tokens of the prompt that it computed."""
    cached: int


class Peer:
    """A running llama-server."""

    def __init__(self, url: str, system: str) -> None:
        """Talk to the server at `url`; `system` is what it says of the processor's instructions that it uses."""
        self.system = system
        self._http = httpx.Client(base_url=url, timeout=600)

    def first_token(self, prompt: Prompt) -> Heard:
        """Ask as any client would, and wait for the first token."""
        body = {"messages": _messages(prompt), "max_tokens": 1, "temperature": 0, "stream": True, "cache_prompt": True}
        start = time.perf_counter()
        first_ms = 0.0
        timings: dict[str, Any] = {}
        with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
            response.raise_for_status()
            for event in _events(response):
                if event["choices"] and event["choices"][0]["delta"].get("content"):
                    first_ms = first_ms or (time.perf_counter() - start) * 1000
                timings = event.get("timings", timings)
        return Heard(first_ms, timings["prompt_n"], timings["cache_n"])

    def all_at_once(self, prompts: Sequence[Prompt], tokens: int) -> float:
        """Return tokens a second of all answers together, each of `tokens`, greedy, whatever the model would end."""
        bodies = [
            {"messages": _messages(prompt), "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
            for prompt in prompts
        ]
        start = time.perf_counter()
        with ThreadPoolExecutor(len(bodies)) as pool:
            written = sum(pool.map(self._written, bodies))
        return written / (time.perf_counter() - start)

    def _written(self, body: dict[str, Any]) -> int:
        response = self._http.post("/v1/chat/completions", json=body)
        response.raise_for_status()
        return int(response.json()["usage"]["completion_tokens"])

    def close(self) -> None:
        """Close the connections; the process is its owner's to end."""
        self._http.close()


@contextmanager
def running_peer(options: Options) -> Iterator[Peer]:
    """Run a llama-server on the loopback interface."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peer", json.dumps(asdict(options))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        told = next((line for line in process.stdout if line.startswith('{"url"')), None)
        if told is None:
            raise RuntimeError(f"llama-server ended with {process.wait()} before it listened")
        peer = Peer(**json.loads(told))
        yield peer
        peer.close()
    finally:
        process.stdin.close()  # which ends it
        process.wait()


def has_peer() -> bool:
    """Return whether the peer is installed; say what to type where it is not."""
    found = importlib.util.find_spec("xllamacpp") is not None
    if not found:
        print("llama-server is not here, so nothing is compared with it: make dev")
    return found


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    """Return the conversation with the passages before the question, as they stand in our own prompt."""
    *before, last = ({"role": message.role, "content": message.content} for message in prompt.messages)
    return [*before, {**last, "content": "".join(prompt.passages) + last["content"]}]


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


def serve(options: Options) -> None:
    """Be llama-server until standard input ends."""
    import xllamacpp  # for development only

    params = xllamacpp.CommonParams()
    params.model.path = options.path
    params.n_ctx = options.n_ctx
    params.n_parallel = options.slots
    params.kv_unified = True
    params.n_cache_reuse = REUSE
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.ui = False
    params.verbosity = 1
    server = xllamacpp.Server(params)
    print(json.dumps({"url": server.listening_address, "system": xllamacpp.get_system_info()}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(Options(**json.loads(sys.argv[1])))
