"""A long prompt arrives while an answer is written: how long that answer stalls, and how soon a cancel is felt."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import aclosing, suppress

from benchmarks.engine import Written, find_model, parser, plain_prompt, running, write
from lorebook_api.schema import Sampling
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Prompt, Turn
from lorebook_daemon.engine.threads import physical_cores

LONG = 1500
"""Tokens of the prompt that arrives."""
TOKENS = 400
STORY = "Write a long story about a well, without an end."
ROUNDS = 3


async def long_prompt(engine: EngineProcess, mark: str) -> Prompt:
    """Return a prompt of about LONG tokens that was never read before."""
    rows = [f"{mark} {1000 + i} level {(i * 37) % 100:02}" for i in range(LONG)]
    sizes = await engine.count([plain_prompt("\n".join(rows[:n])) for n in (50, 100)])
    each = (sizes[1].total - sizes[0].total) / 50
    return plain_prompt("\n".join(rows[: int(LONG / each)]) + "\nDescribe this log in one word.")


async def stalled(engine: EngineProcess, mark: str) -> tuple[Written, Written]:
    """Return the running answer and the one that came in between."""
    running_one = asyncio.create_task(write(engine, plain_prompt(f"{mark}: {STORY}"), TOKENS, turn=Turn(user="a")))
    prompt = await long_prompt(engine, mark)
    await asyncio.sleep(3)
    late = await write(engine, prompt, 8, turn=Turn(user="b"))
    return await running_one, late


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
    async with aclosing(engine.generate(plain_prompt(f"{mark} {STORY}"), Sampling(), TOKENS)) as pieces:
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
            answer, late = await stalled(engine, f"round {i}")
            before = [gap for gap, at in zip(answer.gaps_ms, answer.times[1:], strict=True) if at < late.asked]
            mean = statistics.fmean(before)
            meanwhile = [gap for gap, at in zip(answer.gaps_ms, answer.times[1:], strict=True) if at >= late.asked]
            gaps.append(max(meanwhile) / mean)
            arrivals.append(late.first_ms / alone.first_ms)
            print(
                f"mean gap {mean:.0f} ms, longest with {late.end.usage.prompt_tokens} tokens arriving "
                f"{max(meanwhile):.0f} ms = {gaps[-1]:.1f} of it; "
                f"the arrival's first token {late.first_ms:.0f} ms, alone {alone.first_ms:.0f} ms",
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
