"""Both engines over one model: llama.cpp in a child process, and a server elsewhere, here a real llama-server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.home import Home
from lorebook_daemon.app.engines import LoadedEngine
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import AnyPrompt, Finished, Message, Plain, Prompt, Scored, Token
from lorebook_daemon.engine.remote.engine import RemoteEngine
from lorebook_daemon.settings import Settings

N_CTX = 2048
PASSAGES = tuple(
    f"<source file{i}.txt>\nThe {name} valve opens at {i + 3} bar.\n</source>\n" for i, name in enumerate("ABC")
)
PARIS = Plain("The capital of France is")


def prompt(question: str = "At how many bar does the B valve open?", passages: tuple[str, ...] = PASSAGES) -> Prompt:
    return Prompt((Message("system", "Answer from the sources."), Message("user", question)), passages)


PROMPTS: tuple[AnyPrompt, ...] = (prompt(), prompt("Say hello.", ()), prompt("What is a valve?", PASSAGES[:1]), PARIS)


@dataclass(frozen=True)
class Bench:
    """A model, adapters for it, and the server that has them all."""

    model: Path
    adapters: tuple[AdapterUse, ...]
    url: str


async def here(bench: Bench, home: Home) -> LoadedEngine:
    return await EngineProcess.start(bench.model, "tiny", Settings(n_ctx=N_CTX, kv_reuse="prefix", threads=1), home)


async def elsewhere(bench: Bench, home: Home) -> LoadedEngine:
    return await RemoteEngine.start("auto", Settings(engine="openai", engine_url=bench.url, offline=True))


ENGINES = {"process": here, "llama-server": elsewhere}


def with_both(bench: Bench, home: Home, work: Callable[[LoadedEngine, LoadedEngine], Awaitable[None]]) -> None:
    """Do some work with both engines."""

    async def run() -> None:
        engines = [await start(bench, home) for start in ENGINES.values()]
        try:
            await work(*engines)
        finally:
            for engine in engines:
                await engine.close()

    asyncio.run(run())


async def say(
    engine: LoadedEngine,
    asked: AnyPrompt,
    max_tokens: int = 12,
    adapters: tuple[AdapterUse, ...] = (),
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
) -> tuple[str, Finished]:
    told = [piece async for piece in engine.generate(asked, sampling, max_tokens, adapters)]
    assert isinstance(told[-1], Finished)
    return "".join(piece.text for piece in told if isinstance(piece, Token)), told[-1]


async def scored(engine: LoadedEngine, asked: AnyPrompt, top: int) -> list[Scored]:
    told = [piece async for piece in engine.generate(asked, Sampling(top_logprobs=top), 4)]
    return [one for piece in told if isinstance(piece, Token) for one in piece.scored]
