"""The engine's child process: `python -m lorebook_daemon.engine.child OPTIONS`, one JSON document a line on both pipes.

llama.cpp can crash the process it runs in, so it runs in one that may be lost. Commands come on standard input:
`{"id", "op": "count" | "generate" | "judge", …}` one after another, and `{"op": "cancel", "id"}` at any time. Answers:
`{"id", "event": "token" | "result" | "error", …}`. The end of standard input ends the process.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from lorebook_api.errors import BadRequest, LorebookError
from lorebook_api.schema import Sampling, Usage
from lorebook_daemon.engine.chat import ChatTemplate, PromptTokens
from lorebook_daemon.engine.llama import Llama, Piece
from lorebook_daemon.engine.protocol import Message, Prompt
from lorebook_daemon.engine.reader import Reader
from lorebook_daemon.engine.sampler import sampler_chain
from lorebook_daemon.engine.textstream import TextStream
from lorebook_daemon.engine.threads import FreeCores

_YES, _NO = ("Yes", "yes", " Yes", "YES"), ("No", "no", " No", "NO")
_WARM_UP = 48
"""Tokens of the batch that shows at the start that this build runs on this CPU: both of its kernels are used."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the parent wants of this child."""

    path: str
    n_ctx: int
    threads: int
    kv_reuse: str
    kv_memory_mb: int
    extra_bufts: bool


class Child:
    """One loaded model that carries out one command after another."""

    def __init__(self, options: Options, out: TextIO) -> None:
        """Load the model and decode a few tokens with it, which is the probe: a build that cannot run dies here."""
        self._out = out
        self._cores = FreeCores(options.threads)
        self._llama = Llama(
            Path(options.path),
            options.n_ctx,
            self._cores.count(),
            extra_bufts=options.extra_bufts,
            report=lambda done: self._say(event="loading", done=done),
        )
        self._template = ChatTemplate(
            self._llama.chat_template,
            self._llama.special_text(self._llama.bos),
            self._llama.special_text(self._llama.eos),
        )
        self._reader = Reader(self._llama, options.kv_reuse, options.kv_memory_mb << 20)  # type: ignore[arg-type]
        self._yes, self._no = self._first_tokens(_YES), self._first_tokens(_NO)
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._cancelled: set[int] = set()
        self._current = 0
        self._lock = threading.Lock()
        self._say(event="ready", n_ctx=self._llama.n_ctx, speed=self._warm_up())

    def _warm_up(self) -> float:
        """Decode a batch and then single tokens; return tokens a second of the latter."""
        token = self._llama.tokenize("the", special=False)[0]
        self._llama.decode([Piece(0, 0, [token] * _WARM_UP)])
        self._llama.decode([Piece(0, _WARM_UP, [token])])
        start = time.perf_counter()
        for i in range(1, 9):
            self._llama.decode([Piece(0, _WARM_UP + i, [token], logits=True)])
        speed = 8 / (time.perf_counter() - start)
        self._llama.clear()
        return speed

    def _first_tokens(self, words: Sequence[str]) -> list[int]:
        return sorted({self._llama.tokenize(word, special=False)[0] for word in words})

    def _say(self, **message: Any) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    # -- the two threads

    def listen(self, lines: TextIO) -> None:
        """Take commands until the parent closes the pipe; a cancel stops the decode that is under way."""
        for line in lines:
            command = json.loads(line)
            if command["op"] != "cancel":
                self._commands.put(command)
                continue
            with self._lock:
                self._cancelled.add(command["id"])
                if command["id"] == self._current:
                    self._llama.stop()
        os._exit(0)  # the parent is gone, and nobody waits for what is being decoded

    def work(self) -> None:
        """Carry out commands, one at a time, for ever."""
        operations = {"count": self._count, "generate": self._generate, "judge": self._judge}
        while True:
            command = self._commands.get()
            with self._lock:
                self._current = command["id"]
                if self._current in self._cancelled:
                    self._llama.stop()
            try:
                value = operations[command["op"]](command)
                self._say(id=command["id"], event="result", value=value)
            except LorebookError as error:
                self._say(id=command["id"], event="error", status=error.status, **error.body())
            finally:
                with self._lock:
                    self._cancelled.discard(self._current)
                    self._current = 0
                    self._llama.resume()

    # -- the operations

    def _tokens(self, prompt: dict[str, Any]) -> PromptTokens:
        messages = tuple(Message(**message) for message in prompt["messages"])
        parsed = Prompt(messages, tuple(prompt["passages"]))
        return self._template.tokens(parsed, lambda text, special: self._llama.tokenize(text, special=special))

    def _count(self, command: dict[str, Any]) -> list[dict[str, Any]]:
        counted = [self._tokens(prompt) for prompt in command["prompts"]]
        return [{"rest": len(p.head) + len(p.tail), "passages": [len(t) for t in p.passages]} for p in counted]

    def _prepare(self, command: dict[str, Any]) -> tuple[tuple[str, float], ...]:
        """Set threads and adapters for a command; return the adapters' key."""
        self._llama.set_threads(self._cores.count())
        adapters = [(Path(path), float(scale)) for path, scale in command["adapters"]]
        self._llama.use_adapters(adapters)
        return tuple((f"{path}:{path.stat().st_mtime_ns}", scale) for path, scale in adapters)

    def _generate(self, command: dict[str, Any]) -> dict[str, Any]:
        sampling = Sampling(**{**command["sampling"], "stop": tuple(command["sampling"]["stop"])})
        start = time.perf_counter()
        adapters = self._prepare(command)
        tokens = self._tokens(command["prompt"])
        room = self._llama.n_ctx - len(tokens.flat)
        reading = self._reader.read(tokens, adapters)
        read = time.perf_counter()
        stream, row, count, reason = TextStream(sampling.stop), reading.row, 0, "length"
        with sampler_chain(sampling, self._llama.n_vocab) as chain:
            while count < min(command["max_tokens"], room):
                token = self._llama.sample(chain, row)
                if self._llama.ends(token):
                    reason = "stop"
                    break
                self._show(command["id"], stream.feed(self._llama.piece(token)))
                count += 1
                if stream.stopped:
                    reason = "stop"
                    break
                row = self._reader.extend(reading, token, count - 1)
        self._show(command["id"], stream.finish())
        return {
            "reason": reason,
            "usage": dataclasses.asdict(Usage(len(tokens.flat), reading.cached, count)),
            "prompt_ms": (read - start) * 1000,
            "generate_ms": (time.perf_counter() - read) * 1000,
        }

    def _show(self, request: int, text: str) -> None:
        if text:
            self._say(id=request, event="token", text=text)

    def _judge(self, command: dict[str, Any]) -> list[float]:
        adapters = self._prepare(command)
        prompts = [self._tokens(prompt) for prompt in command["prompts"]]
        scores: list[float] = []
        for start in range(0, len(prompts), self._reader.side_by_side):
            readings = self._reader.read_many(prompts[start : start + self._reader.side_by_side], adapters)
            scores += [self._leaning(self._llama.logits(reading.row)) for reading in readings]
        return scores

    def _leaning(self, logits: npt.NDArray[np.float32]) -> float:
        """Return logit(Yes) - logit(No), each summed over its spellings."""
        yes, no = (math.log(float(np.exp(logits[ids].astype(np.float64)).sum())) for ids in (self._yes, self._no))
        return yes - no


def main() -> None:
    """Run the child: answers go to the real standard output, everything else that is printed to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    options = Options(**json.loads(sys.argv[1]))
    try:
        if not Path(options.path).is_file():
            raise BadRequest(f"{options.path} is not a file.", "See what there is: lorebook models list")
        child = Child(options, out)
    except LorebookError as error:
        out.write(json.dumps({"event": "failed", "status": error.status, **error.body()}) + "\n")
        out.flush()
        return
    threading.Thread(target=child.listen, args=(sys.stdin,), daemon=True).start()
    child.work()


if __name__ == "__main__":
    main()
