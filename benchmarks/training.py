"""Time to the first token while a training job runs beside the engine, against an idle machine."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations

from benchmarks.engine import find_model, parser, running, sample_passages, write
from benchmarks.first_token import QUESTIONS, SETS
from benchmarks.verdict import say, spread
from lorebook_daemon.answer.prompts import answer_prompt
from lorebook_daemon.engine.process import EngineProcess

ROUNDS = 3
WARM = 6
"""Questions over warm passages in each round, idle and beside the training."""
PAUSE_S = 1.0
"""Between two questions, as a person makes; time for the engine to see how many cores are free."""


@contextmanager
def training_job() -> Iterator[None]:
    """Train in a process of low priority, from its third step on."""
    job = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.trainer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert job.stdin
    assert job.stdout
    try:
        if not any(line.startswith("step 3 ") for line in iter(job.stdout.readline, "")):
            raise RuntimeError(f"the training job ended with {job.wait()}")
        start = time.perf_counter()
        yield
        job.stdin.close()
        steps = 3 + len(job.stdout.readlines())
        print(f"  the job went on to step {steps} in {time.perf_counter() - start:.0f} s", flush=True)
    finally:
        job.kill()
        job.wait()


class Course:
    """Questions that were never asked before, over the same passages, warm or cold."""

    def __init__(self, engine: EngineProcess, passages: list[str]) -> None:
        """Ask `engine` about `passages`."""
        self._engine, self._passages = engine, passages
        orders = list(permutations(passages, 3))
        random.Random(4).shuffle(orders)
        self._orders = iter(orders)
        self._cold = 0

    async def warm(self, count: int) -> list[float]:
        """Return ms of first tokens over passages that were read before, in new orders."""
        times = []
        for i in range(count):
            await asyncio.sleep(PAUSE_S)
            prompt = answer_prompt(QUESTIONS[i % len(QUESTIONS)], next(self._orders))
            times.append((await write(self._engine, prompt, 1)).first_ms)
        return times

    async def cold(self) -> float:
        """Return ms of a first token over passages that are new."""
        self._cold += 1
        await asyncio.sleep(PAUSE_S)
        new = tuple(f"{self._cold} {passage}" for passage in self._passages[:3])
        return (await write(self._engine, answer_prompt(QUESTIONS[0], new), 1)).first_ms


async def main() -> None:
    """Print first tokens, idle and beside the training, and their ratios."""
    options = parser(__doc__).parse_args()
    if importlib.util.find_spec("torch") is None:
        print("torch is not here, so nothing is trained: pip install --group bench")
        return
    model = find_model(options.model)
    sets = [sample_passages(*(f"wellwatch/{name}.py" for name in names)) for names in SETS]
    idle: dict[str, list[float]] = {"warm": [], "cold": []}
    beside: dict[str, list[float]] = {"warm": [], "cold": []}
    async with running(model) as engine:  # with the threads that it chooses itself
        print(model.name)
        course = Course(engine, [text for texts in sets for text in texts])
        for texts in sets:
            await write(engine, answer_prompt(QUESTIONS[0], tuple(texts)), 1)
        for _ in range(1 if options.quick else ROUNDS):
            idle["warm"] += await course.warm(WARM)
            idle["cold"].append(await course.cold())
            with training_job():
                beside["warm"] += await course.warm(WARM)
                beside["cold"].append(await course.cold())
    for kind in idle:
        print(f"{kind + ', idle':20} {spread(idle[kind])}")
        print(f"{kind + ', beside training':20} {spread(beside[kind])}")
    print()
    for kind in idle:
        ratio = statistics.median(beside[kind]) / statistics.median(idle[kind])
        say(f"first token, blocks {kind}, while a training job runs ÷ idle", ratio, at_most=1.5)


if __name__ == "__main__":
    asyncio.run(main())
