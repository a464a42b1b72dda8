"""Time to the first token: cold, with the same sources again, in a new order, with an adapter just switched on.

llama-server answers the same questions in the same order in the same run.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, permutations
from pathlib import Path

from benchmarks.engine import find_model, fresh_home, parser, running, running_at, sample_passages, write
from benchmarks.peer import REUSE, Heard, Options, Peer, has_peer, running_peer
from benchmarks.random_models.write import write_adapter
from benchmarks.verdict import say, spread
from lorebook_api.asking import AdapterUse
from lorebook_api.home import Home
from lorebook_daemon.answer.prompts import answer_prompt
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Plain, Prompt
from lorebook_daemon.engine.threads import physical_cores
from lorebook_daemon.models.shelf import LocalModel

SETS = (("barometer", "drift", "alarms"), ("sites", "checks", "store"), ("simulate", "levels", "pipeline"))
"""Files of the sample package: the second passage of each, so that every set holds more than 600 tokens of sources."""

QUESTIONS = (
    "What is checked first?",
    "Which unit is used?",
    "What is raised on bad input?",
    "Which of these functions is called last?",
)
ANSWER_BEGINS = "<|im_start|>assistant\n"
"""What ChatML writes before an answer, from which on an activated adapter acts."""

PAIRS = 8
"""Measurements with and without the adapter, in turns."""

COLD, SAME, NEW = "cold", "same sources, other question", "new order, other question"


@dataclass(frozen=True)
class Asked:
    """A question in one of the situations that are compared."""

    situation: str
    prompt: Prompt


def script(sets: list[list[str]]) -> Iterator[Asked]:
    """Yield the questions in the order in which every system gets them: each set cold, again, and in two new orders."""
    for sources in sets:
        orders = (sources, sources, sources[::-1], [*sources[1:], sources[0]])
        for situation, order, question in zip((COLD, SAME, NEW, NEW), orders, QUESTIONS, strict=True):
            yield Asked(situation, answer_prompt(question, tuple(order)))


async def first_token(engine: EngineProcess, prompt: Prompt, adapters: tuple[AdapterUse, ...] = ()) -> float:
    """Return the milliseconds that our own engine takes."""
    return (await write(engine, prompt, 1, adapters)).first_ms


async def compare(engine: EngineProcess, plain: EngineProcess, peer: Peer | None, sets: list[list[str]]) -> None:
    """Put the same questions to the engine, to one that keeps nothing (cold ones only), and to the peer."""
    ours: dict[str, list[float]] = {COLD: [], SAME: [], NEW: []}
    theirs: dict[str, list[Heard]] = {COLD: [], SAME: [], NEW: []}
    full: list[float] = []
    for asked in script(sets):
        (size,) = await engine.count([asked.prompt])
        ours[asked.situation].append(await first_token(engine, asked.prompt))
        if asked.situation == COLD:
            full.append(await first_token(plain, asked.prompt))
        told = f"{asked.situation:30} {size.total:5} tokens   ours {ours[asked.situation][-1]:7.0f} ms"
        if peer:
            heard = peer.first_token(asked.prompt)
            theirs[asked.situation].append(heard)
            told += f"   llama-server {heard.first_ms:7.0f} ms, read {heard.read} of {heard.read + heard.cached}"
        print(told, flush=True)
    print(f"\n{'cold, nothing kept (kv_reuse=off)':42} {spread(full)}")
    for situation, times in ours.items():
        print(f"{situation + ', ours':42} {spread(times)}")
    cold, warm = min(statistics.median(full), statistics.median(ours[COLD])), statistics.median(ours[NEW])
    print()
    say("first token, blocks warm, new order ÷ own cold", warm / cold, at_most=0.12)
    if peer:
        beside(warm, cold, theirs)


def beside(warm: float, cold: float, theirs: dict[str, list[Heard]]) -> None:
    """Print our warm first token against the peer's, as it is and as if it read as fast as our engine does."""
    for situation, heard in theirs.items():
        print(f"{situation + ', llama-server':42} {spread([one.first_ms for one in heard])}")
    new, peer_cold = (statistics.median(one.first_ms for one in theirs[at]) for at in (NEW, COLD))
    speed = min(1.0, cold / peer_cold)
    say("first token, blocks warm ÷ llama-server, both in a new order", warm / new, at_most=0.15)
    say("the same, were its build as quick as ours when cold", warm / (new * speed), at_most=0.15)


async def adapter(engine: EngineProcess, model: LocalModel, passages: list[str], pairs: int) -> None:
    """Compare an activated adapter that was just switched on with the base, over passages that were read before."""
    triples = list(permutations(passages, 3))
    random.Random(4).shuffle(triples)
    questions = (answer_prompt(QUESTIONS[i % 4], triple) for i, triple in enumerate(triples))
    with tempfile.TemporaryDirectory() as folder:
        begin = tuple(token.token for token in await engine.score(Plain(ANSWER_BEGINS)))
        file = write_adapter(Path(folder, "bench.gguf"), model.path, rank=16, alora_invocation=begin)
        use = (AdapterUse(str(file), 0.01),)
        await first_token(engine, answer_prompt(QUESTIONS[0], ()), use)  # loads it; no passage is read under it
        base, adapted = [], []
        for without, with_it in islice(zip(questions, questions, strict=False), pairs):
            base.append(await first_token(engine, without))
            adapted.append(await first_token(engine, with_it, use))
        print(f"\n{'base, warm passages in a new order':42} {spread(base)}")
        print(f"{'aLoRA just switched on, the same':42} {spread(adapted)}\n")
        ratio = statistics.median(adapted) / statistics.median(base)
        say("first token, aLoRA just switched on ÷ base, blocks warm", ratio, at_most=1.25)


async def restarted(model: LocalModel, home: Home, threads: int, sets: list[list[str]]) -> None:
    """Print what a new engine takes that finds the passages on disk alone."""
    async with running_at(home, model, threads=threads) as engine:
        times = [await first_token(engine, answer_prompt(QUESTIONS[3], tuple(sources[::-1]))) for sources in sets]
    print(f"{'new order, ours, from disk after a restart':42} {spread(times)}")


async def main() -> None:
    """Print each measurement, the medians, and the ratios."""
    options = parser(__doc__).parse_args()
    model, threads = find_model(options.model), physical_cores()
    sets = [sample_passages(*(f"wellwatch/{name}.py" for name in names)) for names in SETS]
    sets = sets[: 1 if options.quick else None]
    with ExitStack() as stack:
        home = stack.enter_context(fresh_home())
        async with (
            running_at(home, model, threads=threads) as engine,
            running(model, kv_reuse="off", threads=threads) as plain,
        ):
            print(f"{model.name}, {threads} threads, n_ctx {engine.n_ctx}")
            peer = None
            if has_peer():
                peer = stack.enter_context(running_peer(Options(str(model.path), engine.n_ctx, threads)))
                print(f"llama-server, one slot, cache_prompt, cache-reuse {REUSE}: {peer.system}")
            await compare(engine, plain, peer, sets)
            await adapter(engine, model, [text for texts in sets for text in texts], 2 if options.quick else PAIRS)
        await restarted(model, home, threads, sets)


if __name__ == "__main__":
    asyncio.run(main())
