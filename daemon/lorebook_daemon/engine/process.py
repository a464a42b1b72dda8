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

from lorebook_api.errors import EngineDied, LorebookError, NotFound, from_body
from lorebook_api.home import Home
from lorebook_api.schema import AdapterUse, Progress, Sampling, Usage
from lorebook_daemon.engine.kvplace import kv_bounds
from lorebook_daemon.engine.probe import Probe
from lorebook_daemon.engine.protocol import Finished, Prompt, PromptSize, Token
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
        """End the child."""
        process, self._process = self._process, None
        if process and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._pump:
            await asyncio.gather(self._pump, return_exceptions=True)

    # -- the protocol

    async def count(self, prompts: Sequence[Prompt]) -> list[PromptSize]:
        """Return how many tokens each prompt takes."""
        value = await self._result({"op": "count", "prompts": [dataclasses.asdict(prompt) for prompt in prompts]})
        return [PromptSize(size["rest"], tuple(size["passages"])) for size in value]

    async def generate(
        self, prompt: Prompt, sampling: Sampling, max_tokens: int, adapters: tuple[AdapterUse, ...] = ()
    ) -> AsyncGenerator[Token | Finished, None]:
        """Yield the answer piece by piece, then Finished; closing the iterator stops the engine within a second."""
        command = {
            "op": "generate",
            "prompt": dataclasses.asdict(prompt),
            "sampling": dataclasses.asdict(sampling),
            "max_tokens": max_tokens,
            "adapters": self._adapter_files(adapters),
        }
        async with contextlib.aclosing(self._request(command)) as events:
            async for event in events:
                if event["event"] == "token":
                    yield Token(event["text"])
                else:
                    value = event["value"]
                    yield Finished(value["reason"], Usage(**value["usage"]), value["prompt_ms"], value["generate_ms"])

    async def judge(self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = ()) -> list[float]:
        """Return logit(Yes) - logit(No) of the first token of the answer to each prompt."""
        if not prompts:
            return []
        command = {
            "op": "judge",
            "prompts": [dataclasses.asdict(prompt) for prompt in prompts],
            "adapters": self._adapter_files(adapters),
        }
        return [float(score) for score in await self._result(command)]

    def _adapter_files(self, adapters: tuple[AdapterUse, ...]) -> list[tuple[str, float]]:
        files = []
        for adapter in adapters:
            path = Path(adapter.name).expanduser()
            if path.suffix != ".gguf":
                path = self._home.models / "adapters" / f"{adapter.name}.gguf"
            if not path.is_file():
                raise NotFound(
                    f"there is no adapter {adapter.name!r}.", f"Put its GGUF file at {path}, or give a path."
                )
            files.append((str(path.resolve()), adapter.scale))
        return files

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
        options = {
            "path": str(self._path),
            "n_ctx": settings.n_ctx,
            "threads": settings.threads,
            "kv_reuse": settings.kv_reuse,
            "kv_memory_mb": kv_bounds(settings, self._home).memory_mb,
            "extra_bufts": extra_bufts,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # -P: `lorebook serve` may stand in a folder whose queue.py is not the standard library's.
            *("-P", "-m", "lorebook_daemon.engine.child", json.dumps(options)),
            stdin=PIPE,
            stdout=PIPE,
            limit=1 << 26,
            # Threads that wait by spinning take the very core that the others need.
            env={**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONUTF8": "1"},
        )
        try:
            ready = await self._wait_until_ready(process, report)
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
        async for line in process.stdout:
            event = json.loads(line)
            inbox = self._inboxes.get(event["id"])
            if inbox:
                inbox.put_nowait(event)
        code = await process.wait()
        if self._process is process:
            self._process = None
        death = self._death(code)
        for inbox in self._inboxes.values():
            inbox.put_nowait({"event": "error", "status": death.status, **death.body()})

    def _death(self, code: int | None) -> LorebookError:
        how = f" (exit code {code})" if code is not None else ""
        return EngineDied(
            f"the engine's process ended{how} while it worked for this request.", "Ask again: it starts anew."
        )
