"""Four users at once: their tokens a second against one user's, and the memory that it takes beside its file."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.engine import endless, find_model, parser, plain_prompt, running, write
from benchmarks.peer import Options, has_peer, running_peer
from benchmarks.verdict import say
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Prompt, Turn
from lorebook_daemon.engine.threads import physical_cores
from lorebook_daemon.models.shelf import LocalModel

USERS = 4
TOKENS = 128
ROUNDS = 3
MODELS = ("qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder-1.5b-instruct-q4_k_m")
SMALL = MODELS[0]
STORIES = (
    "Write a long story about a well, without an end.",
    "Write a long story about a bridge, without an end.",
    "Write a long story about a clock, without an end.",
    "Write a long story about a road, without an end.",
)
MB = 1 << 20
LEFT_FREE = 32
"""Tokens of the context that the four prompts and answers do not fill."""


async def all_at_once(engine: EngineProcess, prompts: Sequence[Prompt], tokens: int) -> float:
    """Return tokens a second of all answers together, from the question to the end of the last answer."""
    sampling = await endless(engine)
    start = time.perf_counter()
    answers = await asyncio.gather(
        *(write(engine, prompt, tokens, (), Turn(user=str(i)), sampling) for i, prompt in enumerate(prompts))
    )
    return sum(answer.tokens for answer in answers) / (max(answer.times[-1] for answer in answers) - start)


async def speed(model: LocalModel, rounds: int) -> None:
    """Compare four users with one, in turns; each round with other prompts, so that nothing is read before."""
    one, four = [], []
    async with running(model, threads=physical_cores()) as engine:
        for i in range(rounds):
            prompts = [plain_prompt(f"({i}) {story}") for story in STORIES]
            four.append(await all_at_once(engine, prompts, TOKENS))
            one.append(await all_at_once(engine, [plain_prompt(f"[{i}] {STORIES[i % USERS]}")], TOKENS))
            print(f"{model.name}: one user {one[-1]:6.1f}, four users {four[-1]:6.1f} tokens a second", flush=True)
    say(f"{model.name}: four users ÷ one", _median(four) / _median(one), at_least=1.8)
    if has_peer():
        beside_peer(model, rounds, _median(four))


def beside_peer(model: LocalModel, rounds: int, ours: float) -> None:
    """Measure the same of llama-server with four slots, and compare `ours` for four users with its."""
    one, four = [], []
    with running_peer(Options(str(model.path), n_ctx=8192, threads=physical_cores(), slots=USERS)) as peer:
        for i in range(rounds):
            four.append(peer.all_at_once([plain_prompt(f"({i}) {story}") for story in STORIES], TOKENS))
            one.append(peer.all_at_once([plain_prompt(f"[{i}] {STORIES[i % USERS]}")], TOKENS))
            print(f"llama-server: one user {one[-1]:6.1f}, four users {four[-1]:6.1f} tokens a second", flush=True)
    say("llama-server: four users ÷ one", _median(four) / _median(one))
    say("four users, ours ÷ llama-server", ours / _median(four))


def _median(speeds: list[float]) -> float:
    return statistics.median_high(speeds)


def beside_file(pid: int, file: Path) -> tuple[float, float, float]:
    """Return MB of a process: resident in all, of them the pages of the model's file, and private."""
    process = psutil.Process(pid)
    full = process.memory_full_info()
    mapped = sum(one.rss for one in process.memory_maps() if one.path == str(file.resolve()))
    return full.rss / MB, mapped / MB, full.uss / MB


async def filling(engine: EngineProcess, cells: int) -> list[Prompt]:
    """Return four prompts that fill `cells` of the context together with the answers to them."""
    wanted = (cells - LEFT_FREE) // USERS - TOKENS
    (one, two) = await engine.count([plain_prompt(_rows(0, 10)), plain_prompt(_rows(0, 20))])
    rows = 10 + int((wanted - one.total) / ((two.total - one.total) / 10))
    return [plain_prompt(_rows(user, rows)) for user in range(USERS)]


def _rows(user: int, count: int) -> str:
    """Return a made-up log of a user."""
    return "\n".join(f"{1000 + i} well {user} at {(i * 37) % 100:02}" for i in range(count)) + "\nDescribe this log."


async def memory(model: LocalModel, n_ctx: int, fill: bool) -> float:
    """Return the MB that the engine takes beside its file's own pages, with a context of `n_ctx` tokens."""
    async with running(model, n_ctx=n_ctx, threads=physical_cores()) as engine:
        assert engine.pid
        before = beside_file(engine.pid, model.path)[0]
        if fill:
            prompts = await filling(engine, n_ctx)
            sizes = [size.total for size in await engine.count(prompts)]
            print(f"four prompts of {', '.join(map(str, sizes))} tokens, {TOKENS} more each")
            await all_at_once(engine, prompts, TOKENS)
        else:
            await all_at_once(engine, [plain_prompt(story) for story in STORIES], 8)
        rss, mapped, private = beside_file(engine.pid, model.path)
    size = model.path.stat().st_size / MB
    print(
        f"{model.name}, n_ctx {n_ctx}: resident {rss:.0f} MB ({before:.0f} before the first question), "
        f"of them {mapped:.0f} of the file's {size:.0f}; private {private:.0f}",
        flush=True,
    )
    return rss - mapped


async def main() -> None:
    """Print speeds, then memory."""
    options = parser(__doc__).parse_args()
    models = MODELS if options.model == "auto" else (options.model,)
    for name in models[:1] if options.quick else models:
        await speed(find_model(name), 1 if options.quick else ROUNDS)
    print()
    if not hasattr(psutil.Process, "memory_maps"):
        print("this system does not tell which pages are the file's, so no memory is measured")
        return
    small = find_model(SMALL)
    say("MB beside the file's pages, four users, n_ctx 8192, 0.5B", await memory(small, 8192, True), at_most=700)
    apart = await memory(small, USERS * 8192, False)
    print(f"{apart:.0f} MB where each of the four has 8192 tokens to himself (n_ctx {USERS * 8192})")


if __name__ == "__main__":
    asyncio.run(main())
