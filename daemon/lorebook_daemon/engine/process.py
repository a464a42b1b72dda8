"""The engine as the daemon sees it: a child process that may die, and is started again for the next request."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import BadRequest, EngineDied, LorebookError, from_body
from lorebook_api.home import Home
from lorebook_api.indexing import Progress
from lorebook_daemon.engine.kvplace import kv_bounds, kv_folder
from lorebook_daemon.engine.probe import Probe
from lorebook_daemon.engine.protocol import (
    ASKING,
    WARMING,
    AnyPrompt,
    Continued,
    Finished,
    Prompt,
    PromptSize,
    Scored,
    Token,
    Turn,
)
from lorebook_daemon.engine.threads import BRIEF_SPIN
from lorebook_daemon.engine.wire import finished_in, prompt_out, scored_in, token_in, turn_out
from lorebook_daemon.models.adapter_file import check_fits
from lorebook_daemon.models.adapters import find_adapter
from lorebook_daemon.models.classes import TASK
from lorebook_daemon.settings import Settings

log = logging.getLogger(__name__)

_KILLED = (-9, -15)
"""Ends that somebody else brought about; every other one is the engine's own crash."""

Report = Callable[[Progress], None]


class EngineProcess:
    """A loaded model in a child process; the Engine protocol over a pipe. Use `start`, and `close` at the end."""

    def __init__(self, path: Path, name: str, settings: Settings, home: Home) -> None:
        """Describe the engine; `start` runs it."""
        self._path, self._name, self._settings, self._home = path, name, settings, home
        self._process: Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._inboxes: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._last_id = 0
        self._starting = asyncio.Lock()
        self._n_ctx = 0
        self._closed = False
        self.speed = 0.0
        """Tokens a second that the start measured, with an empty context."""

    @classmethod
    async def start(
        cls, path: Path, name: str, settings: Settings, home: Home, report: Report = lambda progress: None
    ) -> EngineProcess:
        """Load the model in a new child. Raises Unusable for a broken file, EngineDied where it cannot run here."""
        engine = cls(path, name, settings, home)
        await engine._ensure(report)
        return engine

    @property
    def model(self) -> str:
        """The model's name."""
        return self._name

    @property
    def n_ctx(self) -> int:
        """Tokens that the context holds."""
        return self._n_ctx

    @property
    def pid(self) -> int | None:
        """The child's process id while it lives."""
        return self._process.pid if self._process else None

    async def close(self) -> None:
        """End the child; no other is started for a request that comes after this."""
        self._closed = True
        process, self._process = self._process, None
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._pump:
            await asyncio.gather(self._pump, return_exceptions=True)

    # -- the protocol

    async def count(self, prompts: Sequence[AnyPrompt]) -> list[PromptSize]:
        """Return how many tokens each prompt takes."""
        value = await self._result({"op": "count", "prompts": [prompt_out(prompt) for prompt in prompts]})
        return [PromptSize(size["rest"], tuple(size["passages"])) for size in value]

    async def generate(
        self,
        prompt: AnyPrompt,
        sampling: Sampling,
        max_tokens: int,
        adapters: tuple[AdapterUse, ...] = (),
        turn: Turn = ASKING,
    ) -> AsyncGenerator[Token | Finished, None]:
        """Yield the answer piece by piece, then Finished; closing the iterator stops the engine within a second."""
        command = {
            "op": "generate",
            "prompt": prompt_out(prompt),
            "sampling": dataclasses.asdict(sampling),
            "max_tokens": max_tokens,
            **await self._taken("generate", adapters, turn),
        }
        async with contextlib.aclosing(self._request(command)) as events:
            async for event in events:
                yield token_in(event) if event["event"] == "token" else finished_in(event["value"])

    async def judge(
        self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return logit(Yes) - logit(No) of the first token of the answer to each prompt."""
        if not prompts:
            return []
        return [float(score) for score in await self._result(await self._reading("judge", prompts, adapters, turn))]

    async def likelihood(
        self, prompts: Sequence[Prompt], text: str, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return the mean log-probability of the tokens of `text` as the beginning of the answer to each prompt."""
        if not prompts:
            return []
        command = {**await self._reading("likelihood", prompts, adapters, turn), "text": text}
        return [float(mean) for mean in await self._result(command)]

    async def continuations(
        self, prompt: AnyPrompt, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[Continued]:
        """Return how likely each text is right after the prompt, which is read once for all of them."""
        if not texts:
            return []
        command = {**await self._reading("continuations", [prompt], adapters, turn), "texts": list(texts)}
        return [Continued(*values) for values in await self._result(command)]

    async def score(
        self, prompt: AnyPrompt, top: int = 0, adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> tuple[Scored, ...]:
        """Return each token of the prompt with its log-probability after those before it, and the `top` likeliest."""
        command = await self._reading("score", [prompt], adapters, turn)
        command["top"] = top
        return tuple(map(scored_in, await self._result(command)))

    async def hidden(
        self, texts: Sequence[str], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[list[float]]:
        """Return what the model makes of each text at its end: the hidden state of the token that ends a turn."""
        if not texts:
            return []
        states = await self._result({**await self._reading("hidden", [], adapters, turn), "texts": list(texts)})
        return [[float(number) for number in state] for state in states]

    async def warm(self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = WARMING) -> int:
        """Read the prompts' passages ahead of a question; return how many tokens that took."""
        return int(await self._result(await self._reading("warm", prompts, adapters, turn))) if prompts else 0

    async def forget(self, passages: Sequence[str]) -> int:
        """Drop what is kept of these passages, in memory and on disk; return how many readings of them there were."""
        return int(await self._result({"op": "forget", "passages": list(passages)}))

    async def load(self, adapter: str) -> None:
        """Have an adapter in memory; raises Unusable, with the reason, where it does not fit the model."""
        await self._result({"op": "load", "path": await self._adapter_file(adapter)})

    async def unload(self, adapter: str) -> None:
        """Drop an adapter from memory; one that is in use is dropped after that."""
        await self._result({"op": "unload", "path": str(Path(find_adapter(adapter, self._home).path).resolve())})

    async def loaded(self) -> tuple[str, ...]:
        """Return the names of the adapters in memory."""
        return tuple(Path(path).stem for path in await self._result({"op": "loaded"}))

    async def _reading(
        self, op: str, prompts: Sequence[AnyPrompt], adapters: tuple[AdapterUse, ...], turn: Turn
    ) -> dict[str, Any]:
        taken = await self._taken(op, adapters, turn)
        return {"op": op, "prompts": [prompt_out(prompt) for prompt in prompts], **taken}

    async def _taken(self, op: str, adapters: tuple[AdapterUse, ...], turn: Turn) -> dict[str, Any]:
        files = [(await self._adapter_file(one.name, op), one.scale) for one in adapters if one.scale]
        return {"adapters": files, "turn": turn_out(turn)}

    async def _adapter_file(self, name: str, op: str = "load") -> str:
        """Return an adapter's file; raises Unusable where it does not fit: llama.cpp could not say why.

        Raises BadRequest for a classifier in anything but what classifiers are for.
        """

        def checked() -> str:
            adapter = find_adapter(name, self._home)
            if adapter.task == TASK and op not in ("hidden", "load"):
                told = f"{adapter.name} is a classifier: it answers no questions."
                raise BadRequest(told, f'Tell texts apart with it: lorebook classify "…" --with {adapter.name}')
            check_fits(adapter, self._path)
            return str(Path(adapter.path).resolve())

        return await asyncio.to_thread(checked)

    # -- requests over the pipe

    async def _result(self, command: dict[str, Any]) -> Any:
        async with contextlib.aclosing(self._request(command)) as events:
            async for event in events:
                return event["value"]
        raise EngineDied("the engine gave no answer.", "Ask again.")

    async def _request(self, command: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Send a command and yield its events up to the result; left early, it is cancelled in the child."""
        await self._ensure(lambda progress: None)
        self._last_id += 1
        request, inbox = self._last_id, asyncio.Queue[dict[str, Any]]()
        self._inboxes[request] = inbox
        over = False
        try:
            await self._send({"id": request, **command})
            while not over:
                event = await inbox.get()
                over = event["event"] != "token"
                if event["event"] == "error":
                    raise from_body(event, event["status"])
                yield event
        finally:
            del self._inboxes[request]
            if not over and self._process:
                with contextlib.suppress(EngineDied):
                    await self._send({"op": "cancel", "id": request})

    async def _send(self, message: dict[str, Any]) -> None:
        process = self._process
        if not process or not process.stdin:
            raise self._death(None)
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._death(process.returncode) from error

    # -- the child's life

    async def _ensure(self, report: Report) -> None:
        """Have a living child: start one with the fast settings, or, where those crash on this CPU, the safe ones."""
        async with self._starting:
            if self._closed:
                raise EngineDied("the engine was ended.", "Ask again: it starts anew.")
            if self._process and self._process.returncode is None:
                return
            probe = Probe(self._home)
            if not probe.fast_settings_crash:
                code = await self._spawn(report, extra_bufts=True)
                if code is None:
                    return
                if code in _KILLED:
                    raise self._death(code)
                log.warning("the engine died (%s) with the fast settings; trying the safe ones", code)
            code = await self._spawn(report, extra_bufts=False)
            if code is not None:
                raise self._death(code)
            if not probe.fast_settings_crash:
                probe.remember_crash()

    async def _spawn(self, report: Report, *, extra_bufts: bool) -> int | None:
        """Start a child and wait until it is ready; return None then, and its exit code where it died."""
        settings = self._settings
        bounds = kv_bounds(settings, self._home)
        options = {
            "path": str(self._path),
            "n_ctx": settings.n_ctx,
            "threads": settings.threads,
            "kv_reuse": settings.kv_reuse,
            "kv_memory_mb": bounds.memory_mb,
            "kv_disk_mb": bounds.disk_mb,
            "kv_folder": await self._kv_folder() if bounds.disk_mb else "",
            "speculation": settings.speculation,
            "extra_bufts": extra_bufts,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # -P: `lorebook serve` may stand in a folder whose queue.py is not the standard library's.
            *("-P", "-m", "lorebook_daemon.engine.child", json.dumps(options)),
            stdin=PIPE,
            stdout=PIPE,
            limit=1 << 26,
            env={**os.environ, **BRIEF_SPIN, "PYTHONUTF8": "1"},
        )
        try:
            ready = await self._wait_until_ready(process, report)
            if self._closed:
                raise EngineDied("the engine was ended.", "Ask again: it starts anew.")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if ready is None:
            return await process.wait()
        self._n_ctx, self.speed = ready["n_ctx"], ready["speed"]
        self._process = process
        self._pump = asyncio.create_task(self._deliver(process))
        return None

    async def _kv_folder(self) -> str:
        return str(await asyncio.to_thread(kv_folder, self._path, self._home, self._settings.n_ctx))

    async def _wait_until_ready(self, process: Process, report: Report) -> dict[str, Any] | None:
        assert process.stdout  # noqa: S101 - asked for above
        async for line in process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "failed":
                raise from_body(event, event["status"])
            if event["event"] == "ready":
                return event
            report(Progress(f"loading {self._name}", int(event["done"] * 100), 100))
        return None

    async def _deliver(self, process: Process) -> None:
        """Hand the child's events to those who wait; at its end, tell them all."""
        assert process.stdout  # noqa: S101 - asked for at the start
        try:
            async for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "spent":
                    if not self._inboxes:
                        await self._retire(process)
                        return
                    continue  # something is on its way: it is carried out, and the child says so again
                inbox = self._inboxes.get(event["id"])
                if inbox:
                    inbox.put_nowait(event)
        except ValueError:  # a line beyond the limit, or no JSON: what follows cannot be trusted, and all would wait
            log.exception("the engine sent what cannot be read, and is ended")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        code = await process.wait()
        if self._process is process:
            self._process = None
        death = self._death(code)
        for inbox in self._inboxes.values():
            inbox.put_nowait({"event": "error", "status": death.status, **death.body()})

    async def _retire(self, process: Process) -> None:
        """End a child that has nothing to do; the next request starts another."""
        log.info("the engine gave up a call that did not end, and is replaced")
        if self._process is process:
            self._process = None
        if process.stdin:
            process.stdin.close()
        await process.wait()

    def _death(self, code: int | None) -> LorebookError:
        how = f" (exit code {code})" if code is not None else ""
        return EngineDied(
            f"the engine's process ended{how} while it worked for this request.", "Ask again: it starts anew."
        )
