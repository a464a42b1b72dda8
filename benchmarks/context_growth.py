"""How first token and time per token grow with context: attention against a recurrent state of as many weights."""

from __future__ import annotations

import asyncio
import itertools
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import gguf

from benchmarks.engine import parser, plain_prompt, running, write
from benchmarks.random_models.blueprint import Blueprint, Size, llama, mamba2
from benchmarks.random_models.write import write_model
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Prompt
from lorebook_daemon.models.shelf import LocalModel

CONTEXTS = (256, 512, 1024, 2048, 4096)
TOKENS = 32
ROUNDS = 3

MODELS = (
    llama(Size(layers=10, width=768, head=64, feed_forward=3072, context=8192)),
    mamba2(Size(layers=25, width=768, head=64, state=128, context=8192)),
)
SMALL = (
    llama(Size(layers=2, width=256, head=64, feed_forward=1024, context=8192)),
    mamba2(Size(layers=5, width=256, head=64, state=64, context=8192)),
)
WORDS = ("file", "name", "value", "source", "line", "def", "is", "not", "with", "return")
"""Each one token, with the space before it."""


@dataclass(frozen=True)
class Times:
    """Milliseconds to the first token, and of each after it."""

    first: float
    each: float


def weights(blueprint: Blueprint) -> int:
    """Return how many weights the layers have."""
    return sum(math.prod(shape) for shape in blueprint.tensors.values())


async def prompt_of(engine: EngineProcess, tokens: int) -> Prompt:
    """Return a prompt of so many tokens."""
    (size,) = await engine.count([plain_prompt(" file")])
    words = itertools.islice(itertools.cycle(WORDS), tokens - size.total + 1)
    return plain_prompt("".join(f" {word}" for word in words))


async def measure(engine: EngineProcess, tokens: int) -> Times:
    """Return what it takes to read so many tokens and to go on from there."""
    written = await write(engine, await prompt_of(engine, tokens), TOKENS)
    if written.end is None or written.end.usage.prompt_tokens != tokens or written.end.usage.cached_tokens:
        raise RuntimeError(f"asked for {tokens} tokens read anew, but: {written.end}")
    return Times(written.first_ms, written.end.generate_ms / written.end.usage.completion_tokens)


def least(times: Sequence[Times]) -> Times:
    """Return the shortest times: whatever else this machine does only adds to them."""
    return Times(min(one.first for one in times), min(one.each for one in times))


async def run(blueprints: Sequence[Blueprint], folder: Path, rounds: int) -> dict[str, dict[int, Times]]:
    """Return, for each model, the least times of the rounds by tokens of context; the models take turns."""
    async with AsyncExitStack() as stack:
        engines = {}
        for blueprint in blueprints:
            name, packed = blueprint.architecture, gguf.GGMLQuantizationType.Q8_0
            print(f"{name}: {weights(blueprint) / 1e6:.1f} million random weights", flush=True)
            path = write_model(folder / f"{name}.gguf", blueprint, weights=packed)
            # Nothing is read for less because it was read before, or guessed: a random model soon repeats itself.
            changes = {"kv_reuse": "off", "speculation": False, "n_ctx": blueprint.size.context}
            engines[name] = await stack.enter_async_context(running(LocalModel(name, path, None, "path"), **changes))
        seen = defaultdict(list)
        for tokens in CONTEXTS * rounds:
            for name, engine in engines.items():
                seen[name, tokens].append(await measure(engine, tokens))
    return {name: {tokens: least(seen[name, tokens]) for tokens in CONTEXTS} for name in engines}


def show(times: Mapping[str, Mapping[int, Times]]) -> None:
    """Print a row for each context, then what the longest took, held against the shortest."""
    print(f"{'tokens':>6}" + "".join(f"{name:>10} first ms   a token ms" for name in times))
    for tokens in CONTEXTS:
        row = [of[tokens] for of in times.values()]
        print(f"{tokens:6}" + "".join(f"{one.first:19.0f} {one.each:12.2f}" for one in row))
    shortest, longest = CONTEXTS[0], CONTEXTS[-1]
    for name, of in times.items():
        first, each = of[longest].first / of[shortest].first, of[longest].each / of[shortest].each
        print(f"{name}: {longest} tokens ÷ {shortest} tokens: first token {first:.1f}, a token {each:.2f}")
    attention, recurrent = times.values()
    ratios = {tokens: attention[tokens].each / recurrent[tokens].each for tokens in CONTEXTS}
    print("attention ÷ recurrent, a token: " + "  ".join(f"{tokens}: {ratio:.2f}" for tokens, ratio in ratios.items()))


async def main() -> None:
    """Measure both models."""
    quick = parser(__doc__).parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        show(await run(SMALL if quick else MODELS, Path(folder), 1 if quick else ROUNDS))


if __name__ == "__main__":
    asyncio.run(main())
