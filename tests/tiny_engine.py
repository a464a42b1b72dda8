"""Engines with tiny models for the tests: started, asked, and compared with each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.home import Home
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import ASKING, AnyPrompt, Engine, Finished, Message, Prompt, Scored, Token, Turn
from lorebook_daemon.settings import Settings

T = TypeVar("T")

SETTINGS = Settings(n_ctx=2048, threads=1)
SYSTEM = "Answer from the sources below and from nothing else."
PASSAGES = (
    "<source valves.txt>\nThe first valve opens at 3 bar and closes at 2.\n</source>\n",
    "<source pumps.py>\ndef start(pump):\n    return pump.name\n</source>\n",
    "<source log.csv>\nday,litres\nMonday,17\nTuesday,40\n</source>\n",
)


def prompt(question: str = "When does the valve open?", passages: Sequence[str] = (), system: str = SYSTEM) -> Prompt:
    """Return a question with its passages."""
    return Prompt((Message("system", system), Message("user", question)), tuple(passages))


def home_in(root: Path) -> Home:
    """Return a home of its own."""
    return Home(root, root / "state", root / "cache", root / "models", root / "runtime").make()


@dataclass(frozen=True)
class Said:
    """An answer: its text, its tokens where log-probabilities were asked for, and its end."""

    text: str
    scored: tuple[Scored, ...]
    end: Finished


async def say(
    engine: Engine,
    asked: AnyPrompt,
    max_tokens: int = 16,
    adapters: tuple[AdapterUse, ...] = (),
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    turn: Turn = ASKING,
) -> Said:
    """Return the whole answer."""
    told = [piece async for piece in engine.generate(asked, sampling, max_tokens, adapters, turn)]
    end = told.pop()
    assert isinstance(end, Finished)
    tokens = [piece for piece in told if isinstance(piece, Token)]
    assert len(tokens) == len(told)
    return Said("".join(one.text for one in tokens), tuple(s for one in tokens for s in one.scored), end)


@asynccontextmanager
async def engine(path: Path, home: Home, **changes: Any) -> AsyncIterator[EngineProcess]:
    """Run an engine with SETTINGS and changes."""
    started = await EngineProcess.start(path, path.stem, replace(SETTINGS, **changes), home)
    try:
        yield started
    finally:
        await started.close()


@dataclass(frozen=True)
class Up:
    """An engine that stays up for one test after another, in an event loop of its own."""

    engine: EngineProcess
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of some work with the engine."""
        return self.runner.run(work)


@contextmanager
def up(path: Path, home: Home, **changes: Any) -> Iterator[Up]:
    """Keep an engine up."""
    with asyncio.Runner() as runner:
        running = engine(path, home, **changes)
        try:
            yield Up(runner.run(running.__aenter__()), runner)
        finally:
            runner.run(running.__aexit__(None, None, None))


def differ(one: Sequence[Scored], other: Sequence[Scored], tolerance: float) -> str:
    """Return how two greedy answers, told with `top_logprobs`, differ; empty where it is by rounding alone.

    Log-probabilities may be off by `tolerance`; tokens may be others only where the two were as likely as that, and
    after that nothing can be compared.
    """
    for n, (left, right) in enumerate(zip(one, other, strict=False)):
        likely = {alternative.token: alternative.logprob for alternative in left.top}
        if left.token != right.token:
            close = right.token in likely and left.logprob - likely[right.token] <= tolerance
            return "" if close else f"token {n} is {left.raw!r} and {right.raw!r}"
        if abs(left.logprob - right.logprob) > tolerance:
            return f"token {n}, {left.raw!r}, has {left.logprob:.3f} and {right.logprob:.3f}"
    return "" if len(one) == len(other) else f"{len(one)} tokens and {len(other)}"
