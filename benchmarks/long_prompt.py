"""A long prompt arrives while an answer is written: how long that answer stalls, and how soon a cancel is felt."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.engine import Written, endless, find_model, parser, plain_prompt, running, write
from lorebook_api.asking import Sampling
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Prompt, Turn
from lorebook_daemon.engine.threads import physical_cores

LONG = 1500
"""Tokens of the prompt that arrives."""
BEFORE = 40
"""Pieces that the running answer has given by then."""
MOST = 4000
STORY = "Write a long story about a well, without an end."
ROUNDS = 3


@dataclass(frozen=True)
class Stall:
    """What an arrival did to a running answer, and how long it waited itself, in milliseconds."""

    mean: float
    """Between two pieces of the running answer, before the arrival."""
    longest: float
    """The same, while the arrival was read."""
    usual: float
    """The median of these."""
    late: Written


async def long_prompt(engine: EngineProcess, mark: str) -> Prompt:
    """Return a prompt of about LONG tokens that was never read before."""
    rows = [f"{mark} {1000 + i} level {(i * 37) % 100:02}" for i in range(LONG)]
    sizes = await engine.count([plain_prompt("\n".join(rows[:n])) for n in (50, 100)])
    each = (sizes[1].total - sizes[0].total) / 50
    return plain_prompt("\n".join(rows[: int(LONG / each)]) + "\nDescribe this log in one word.")


async def stalled(engine: EngineProcess, mark: str) -> Stall:
    """Let a long prompt arrive while an answer is written."""
    prompt, sampling, times = await long_prompt(engine, mark), await endless(engine), list[float]()

    async def go_on() -> None:
        story = plain_prompt(f"{mark}: {STORY}")
        async with aclosing(engine.generate(story, sampling, MOST, (), Turn(user="a"))) as pieces:
            async for _ in pieces:
                times.append(time.perf_counter())

    task = asyncio.create_task(go_on())
    while len(times) < BEFORE:
        await asyncio.sleep(0.02)
    late = await write(engine, prompt, 8, turn=Turn(user="b"))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    gaps = [(after - before) * 1000 for before, after in pairwise(times)]
    before = [gap for gap, at in zip(gaps, times[1:], strict=True) if at < late.asked]
    meanwhile = gaps[len(before) :]
    return Stall(statistics.fmean(before), max(meanwhile), statistics.median(meanwhile), late)


async def cancelled(engine: EngineProcess, mark: str) -> tuple[float, float]:
    """Return the first token's ms of a short question alone, and behind a long prompt that was just given up."""
    alone = (await write(engine, plain_prompt(f"{mark} Say hello."), 1)).first_ms
    prompt = await long_prompt(engine, f"{mark}c")
    task = asyncio.create_task(write(engine, prompt, 8, turn=Turn(user="b")))
    await asyncio.sleep(1)
    start = time.perf_counter()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    after = await write(engine, plain_prompt(f"{mark} Say goodbye."), 1)
    return alone, (after.times[0] - start) * 1000


async def given_up(engine: EngineProcess, mark: str) -> float:
    """Return the first token's ms of a short question behind an answer that was given up while it was written."""
    async with aclosing(engine.generate(plain_prompt(f"{mark} {STORY}"), Sampling(), MOST)) as pieces:
        await anext(pieces)
        await anext(pieces)
    return (await write(engine, plain_prompt(f"{mark} Say goodnight."), 1)).first_ms


async def main() -> None:
    """Print gaps, first tokens and cancels of each round, then the medians."""
    options = parser(__doc__).parse_args()
    model = find_model(options.model)
    gaps, arrivals = [], []
    async with running(model, threads=physical_cores()) as engine:
        print(model.name)
        for i in range(1 if options.quick else ROUNDS):
            alone = await write(engine, await long_prompt(engine, f"alone {i}"), 8)
            stall = await stalled(engine, f"round {i}")
            gaps.append(stall.longest / stall.mean)
            arrivals.append(stall.late.first_ms / alone.first_ms)
            print(
                f"mean gap {stall.mean:.0f} ms; while {stall.late.end.usage.prompt_tokens} tokens arrive at most "
                f"{stall.longest:.0f} ms, median {stall.usual:.0f} ms; "
                f"the arrival's first token {stall.late.first_ms:.0f} ms, alone {alone.first_ms:.0f} ms",
                flush=True,
            )
            short, behind = await cancelled(engine, f"round {i}")
            left = await given_up(engine, f"round {i}")
            print(
                f"a short question's first token: alone {short:.0f} ms, behind a prompt that was cancelled "
                f"{behind:.0f} ms, behind an answer that was {left:.0f} ms",
                flush=True,
            )
    print(f"\nlongest gap of a running answer ÷ its mean gap      {statistics.median(gaps):.1f}")
    print(f"the arrival's first token ÷ alone                   {statistics.median(arrivals):.2f}")


if __name__ == "__main__":
    asyncio.run(main())
