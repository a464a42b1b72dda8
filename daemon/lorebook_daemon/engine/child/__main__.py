"""The engine's child process: `python -m lorebook_daemon.engine.child OPTIONS`, one JSON document a line on both pipes.

llama.cpp can crash the process it runs in, so it runs in one that may be lost. Commands come on standard input:
`{"id", "op", …}` at any time, as many at once as one likes, and `{"op": "cancel", "id"}`. Answers:
`{"id", "event": "token" | "result" | "error", …}`, and `{"event": "spent"}` from one that has nothing to do and should
be replaced. The end of standard input ends the process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from lorebook_api.errors import BadRequest, LorebookError
from lorebook_daemon.engine.child.adapters import AdapterSet, note_versions
from lorebook_daemon.engine.child.blocks import Blocks
from lorebook_daemon.engine.child.chat import ChatTemplate, PromptTokens
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.reader import Reader
from lorebook_daemon.engine.child.scheduler import Scheduler, Task
from lorebook_daemon.engine.child.softprompt import vectors
from lorebook_daemon.engine.child.tasks import Tasks
from lorebook_daemon.engine.child.work import Piece, Work
from lorebook_daemon.engine.diskblocks import DiskBlocks, passage_digest
from lorebook_daemon.engine.protocol import Plain, Priority
from lorebook_daemon.engine.threads import FreeCores
from lorebook_daemon.engine.wire import (
    JSON,
    finished_out,
    prompt_in,
    sampling_in,
    scored_out,
    token_out,
    turn_in,
)

_WARM_UP = 48
"""Tokens of the batch that shows at the start that this build runs on this CPU: both of its kernels are used."""

_ROOM_TO_WRITE = 256
"""Tokens of an answer for which there must be room before it is begun; a longer one may have to wait in between."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the parent wants of this child."""

    path: str
    n_ctx: int
    threads: int
    kv_reuse: str
    kv_memory_mb: int
    kv_disk_mb: int
    kv_folder: str
    speculation: bool
    extra_bufts: bool


@dataclasses.dataclass(eq=False)
class _Command:
    """A command in hand: its tasks, and what came of each."""

    id: int
    results: list[Any]
    tasks: list[Task] = dataclasses.field(default_factory=list)
    left: int = 0


class Child:
    """One loaded model that carries out commands, several at once."""

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
        vocabulary = self._llama.vocabulary
        self._template = ChatTemplate(vocabulary.chat_template, vocabulary.bos, vocabulary.eos)
        disk = DiskBlocks(Path(options.kv_folder), options.kv_disk_mb << 20) if options.kv_folder else None
        self._reader = Reader(self._llama, options.kv_reuse, Blocks(options.kv_memory_mb << 20, disk))  # type: ignore[arg-type]
        self._tasks = Tasks(self._llama, self._reader, speculation=options.speculation)
        self._scheduler = Scheduler(self._llama, self._reader)
        self._arrived: queue.SimpleQueue[JSON] = queue.SimpleQueue()
        self._commands: dict[int, _Command] = {}
        self._unwanted: set[str] = set()
        self._say(event="ready", n_ctx=self._llama.n_ctx, speed=self._warm_up())

    def _warm_up(self) -> float:
        """Decode a batch and then single tokens; return tokens a second of the latter."""
        token = self._llama.vocabulary.tokenize("the", special=False)[0]
        self._llama.decode([Piece(0, 0, [token] * _WARM_UP)])
        self._llama.decode([Piece(0, _WARM_UP, [token])])
        start = time.perf_counter()
        for i in range(1, 9):
            self._llama.decode([Piece(0, _WARM_UP + i, [token], logits=1)])
        speed = 8 / (time.perf_counter() - start)
        self._llama.clear()
        return speed

    def _say(self, **message: Any) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    # -- the two threads

    def listen(self, lines: TextIO) -> None:
        """Take commands until the parent closes the pipe; what is urgent or cancelled ends the batch under way."""
        for line in lines:
            message = json.loads(line)
            note_versions(_adapter_files(message))  # here, where no batch waits for it
            self._arrived.put(message)
            if message["op"] == "cancel":
                command = self._commands.get(message["id"])
                self._scheduler.urge(None, tuple(command.tasks) if command else ())
            elif "turn" in message:
                self._scheduler.urge(Priority(message["turn"]["priority"]))
        os._exit(0)  # the parent is gone, and nobody waits for what is being decoded

    def work(self) -> None:
        """Carry out commands for ever: take in what has arrived, decode a batch, and again."""
        while True:
            while not self._arrived.empty() or not self._scheduler.busy:
                self._begin(self._next())
            self._llama.resume()
            self._scheduler.step()

    def _next(self) -> JSON:
        """Wait for a command; with a call that was given up, say that another child would do better."""
        if self._llama.patience.lost and not self._scheduler.busy and self._arrived.empty():
            self._say(event="spent")
        return self._arrived.get()

    def _begin(self, message: JSON) -> None:
        begin: dict[str, Callable[[JSON], None]] = {
            "generate": self._generate,
            "judge": self._judge,
            "likelihood": self._likelihood,
            "continuations": self._continuations,
            "hidden": self._hidden,
            "score": self._score,
            "warm": self._warm,
        }
        at_once: dict[str, Callable[[JSON], Any]] = {
            "count": self._count,
            "forget": self._forget,
            "load": self._load,
            "unload": self._unload,
            "loaded": lambda message: list(self._llama.adapters.paths),
        }
        try:
            if message["op"] == "cancel":
                self._end(message["id"])
            elif message["op"] in at_once:
                self._say(id=message["id"], event="result", value=at_once[message["op"]](message))
            else:
                begin[message["op"]](message)
        except LorebookError as error:
            self._say(id=message["id"], event="error", status=error.status, **error.body())

    # -- commands that take their turn

    def _generate(self, message: JSON) -> None:
        adapters = self._adapters(message)
        prompt = self._after_soft(self._tokens(message["prompt"]), adapters)
        sampling, most, request = sampling_in(message["sampling"]), message["max_tokens"], message["id"]

        def show(token: Any) -> None:
            self._say(id=request, event="token", **token_out(token))

        self._tasks.check(prompt)
        marks = self._llama.vocabulary.call_marks if message["prompt"].get("tools") else frozenset()
        work = self._tasks.generate(prompt, adapters, sampling, most, show, marks)
        room = len(prompt.flat) + min(most, _ROOM_TO_WRITE)
        self._put(message, adapters, [(work, room)], lambda results: finished_out(results[0]))

    def _judge(self, message: JSON) -> None:
        adapters = self._adapters(message)
        self._put(message, adapters, self._each(message, adapters, self._tasks.judge), lambda results: results)

    def _likelihood(self, message: JSON) -> None:
        adapters = self._adapters(message)
        said = self._llama.vocabulary.tokenize(message["text"], special=False)
        works = self._each(message, adapters, lambda prompt, these: self._tasks.likelihood(prompt, these, said), said)
        self._put(message, adapters, works, lambda results: results)

    def _continuations(self, message: JSON) -> None:
        adapters, prompt = self._adapters(message), self._tokens(message["prompts"][0])
        texts = [self._after(message["prompts"][0], prompt, text) for text in message["texts"]]
        prompt = self._after_soft(prompt, adapters)
        longest = max(map(len, texts))
        self._tasks.check(prompt, longest)
        work = self._tasks.continuations(prompt, adapters, texts)
        room = len(prompt.flat) + longest
        self._put(message, adapters, [(work, room)], lambda results: [dataclasses.astuple(one) for one in results[0]])

    def _after(self, asked: JSON, prompt: PromptTokens, text: str) -> Sequence[int]:
        """Return the tokens of a text after a prompt: of one in tokens or of a conversation, its own alone."""
        if not asked.get("text"):
            return self._llama.vocabulary.tokenize(text, special=False)
        return self._tokens({"text": asked["text"] + text, "tokens": ()}).flat[len(prompt.flat) :]

    def _score(self, message: JSON) -> None:
        adapters, top = self._adapters(message), message["top"]
        works = self._each(message, adapters, lambda prompt, these: self._tasks.score(prompt, these, top))
        self._put(message, adapters, works, lambda results: [scored_out(one) for one in results[0]])

    def _hidden(self, message: JSON) -> None:
        adapters = self._adapters(message)
        works = []
        for text in message["texts"]:
            vocabulary = self._llama.vocabulary
            read = (*vocabulary.starts, *vocabulary.tokenize(text, False), vocabulary.end)
            prompt = self._after_soft(PromptTokens((), (), read), adapters)
            self._tasks.check(prompt)
            works.append((self._tasks.hidden(prompt, adapters), len(prompt.flat)))
        self._put(message, adapters, works, lambda results: results)

    def _warm(self, message: JSON) -> None:
        adapters = self._adapters(message)
        self._put(message, adapters, self._each(message, adapters, self._tasks.warm), sum)

    def _each(
        self,
        message: JSON,
        adapters: AdapterSet,
        work: Callable[[PromptTokens, AdapterSet], Work[Any]],
        said: Sequence[int] = (),
    ) -> list[tuple[Work[Any], int]]:
        """Return a work for each prompt, and the room that it takes with what is `said` after it."""
        prompts = [self._after_soft(self._tokens(prompt), adapters) for prompt in message["prompts"]]
        for prompt in prompts:
            self._tasks.check(prompt, len(said))
        return [(work(prompt, adapters), len(prompt.flat) + len(said)) for prompt in prompts]

    def _put(
        self,
        message: JSON,
        adapters: AdapterSet,
        works: Sequence[tuple[Work[Any], int]],
        told: Callable[[list[Any]], Any],
    ) -> None:
        """Put a command's works in the line; when the last has ended, `told` makes what the parent is told."""
        command = _Command(message["id"], [None] * len(works), left=len(works))
        self._commands[command.id] = command
        self._llama.set_threads(self._cores.count())

        def done(i: int, result: Any) -> None:
            command.results[i] = result
            command.left -= 1
            if not command.left:
                self._end(command.id)
                self._say(id=command.id, event="result", value=told(command.results))

        def failed(error: LorebookError) -> None:
            if command.id in self._commands:
                self._end(command.id)
                self._say(id=command.id, event="error", status=error.status, **error.body())

        for i, (work, room) in enumerate(works):
            task = Task(work, turn_in(message["turn"]), room, lambda result, i=i: done(i, result), failed)  # type: ignore[misc]
            task.adapters = adapters
            command.tasks.append(task)
            self._scheduler.add(task)

    def _end(self, request: int) -> None:
        """Forget a command, with what is left of its tasks."""
        command = self._commands.pop(request, None)
        for task in command.tasks if command else ():
            self._scheduler.cancel(task)
        self._drop_unwanted()
        self._llama.adapters.bound(self._scheduler.adapter_sets)

    # -- commands that are carried out at once

    def _tokens(self, data: JSON) -> PromptTokens:
        prompt = prompt_in(data)
        vocabulary = self._llama.vocabulary
        if isinstance(prompt, Plain):
            tokens = prompt.tokens or (*vocabulary.starts, *vocabulary.tokenize(prompt.text, special=True))
            if any(not 0 <= token < vocabulary.size for token in tokens):
                raise BadRequest("the prompt holds a number that is no token.", f"They go up to {vocabulary.size - 1}.")
            return PromptTokens((), (), tuple(tokens))
        return self._template.tokens(prompt, lambda text, special: vocabulary.tokenize(text, special=special))

    def _after_soft(self, prompt: PromptTokens, adapters: AdapterSet) -> PromptTokens:
        """Return the prompt after the vectors of the soft prompts among the adapters."""
        size = self._llama.vocabulary.size
        return dataclasses.replace(prompt, soft=tuple(range(size, size + len(vectors(adapters)))))

    def _count(self, message: JSON) -> list[JSON]:
        counted = [self._tokens(prompt) for prompt in message["prompts"]]
        return [{"rest": len(p.head) + len(p.tail), "passages": [len(t) for t in p.passages]} for p in counted]

    def _forget(self, message: JSON) -> int:
        return self._reader.forget([passage_digest(text) for text in message["passages"]])

    # -- adapters

    def _adapters(self, message: JSON) -> AdapterSet:
        """Return the adapters that a command names, all of them in memory."""
        paths = [path for path, _ in message["adapters"]]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice:  # llama.cpp would take the last scale
            raise BadRequest(f"the adapter {Path(twice).stem} is named twice.", "Name it once, with one scale.")
        adapters = tuple(self._llama.adapters.find(path, float(scale)) for path, scale in message["adapters"])
        self._unwanted -= {one.path for one in adapters}
        self._llama.adapters.bound((*self._scheduler.adapter_sets, adapters))
        return adapters

    def _load(self, message: JSON) -> None:
        one = self._llama.adapters.find(message["path"], 1.0)
        self._unwanted.discard(one.path)
        self._llama.adapters.bound((*self._scheduler.adapter_sets, (one,)))

    def _unload(self, message: JSON) -> None:
        self._unwanted.add(message["path"])
        self._drop_unwanted()

    def _drop_unwanted(self) -> None:
        """Free the adapters that were unloaded and are in use no more."""
        used = {one.path for adapters in self._scheduler.adapter_sets for one in adapters}
        for path in self._unwanted - used:
            self._llama.adapters.drop(path)
        self._unwanted &= used


def _adapter_files(message: JSON) -> list[str]:
    """Return the adapters' files that a command names."""
    loaded = [message["path"]] if message["op"] == "load" else []
    return loaded + [path for path, _ in message.get("adapters", ())]


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
