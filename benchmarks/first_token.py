"""Time to the first token: cold, with the same sources again, and with the same sources in a new order."""

from __future__ import annotations

import asyncio
import time

from benchmarks.engine import chosen_model, running, sample_passages
from lorebook_api.schema import Sampling
from lorebook_daemon.answer.prompts import answer_prompt
from lorebook_daemon.models.shelf import LocalModel

FILES = ("wellwatch/barometer.py", "wellwatch/drift.py", "wellwatch/alarms.py")


async def measure(model: LocalModel, mode: str) -> None:
    """Print, for one way of reuse, milliseconds and what they are of the cold ones."""
    sources = sample_passages(*FILES)
    situations = {
        "cold": ("What is checked first?", sources),
        "same sources, other question": ("Which unit is used?", sources),
        "new order, other question": ("What is raised on bad input?", sources[::-1]),
    }
    async with running(model, kv_reuse=mode) as engine:
        cold = 0.0
        for name, (question, passages) in situations.items():
            prompt = answer_prompt(question, tuple(passages))
            (size,) = await engine.count([prompt])
            start = time.perf_counter()
            generation = engine.generate(prompt, Sampling(), 1)
            await anext(generation)
            ms = (time.perf_counter() - start) * 1000
            await generation.aclose()
            cold = cold or ms
            print(f"{mode:7} {name:30} {size.total:5} tokens {ms:8.0f} ms   ÷ cold {ms / cold:.3f}")


async def main() -> None:
    """Measure every way of reuse."""
    model = chosen_model()
    print(model.name)
    for mode in ("off", "prefix", "blocks"):
        await measure(model, mode)


if __name__ == "__main__":
    asyncio.run(main())
