"""Real llama.cpp, many requests in random order: each gives what it gives where nothing was read before it.

What can be compared: sums are rounded, and in another way when tokens are read in other batches, or lie elsewhere in
the context. Measured with these models, log-probabilities and judged scores then differ by up to 0.01, one request at
a time or many at once; a wrong passage, adapter or prompt changes them by 0.1 to 2. test_reader.py compares to the bit,
over a stand-in that does not round.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lorebook_api.errors import EngineDied
from lorebook_api.home import Home
from lorebook_api.schema import AdapterUse, Sampling
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Priority, Prompt, Scored, Turn
from tiny_engine import PASSAGES, SETTINGS, differ, engine, home_in, prompt, say
from tiny_models import tiny_adapter, tiny_llama

ROUNDING = 0.03
GREEDY = Sampling(top_logprobs=4)
TOKENS = 8

_LONG = "<source long.txt>\n" + "".join(f"line {n} of the file is {n * n}\n" for n in range(12)) + "</source>\n"
PROMPTS = (
    prompt("Why?"),
    prompt("Why?", system="You answer."),
    prompt("Why?", PASSAGES[:1]),
    prompt("When does it open?", PASSAGES[:1], system="You answer."),
    prompt("Why?", (_LONG,)),
    prompt("Why?", PASSAGES),
    prompt("When does it open?", (PASSAGES[2], _LONG, PASSAGES[0])),
)


@dataclass(frozen=True)
class Case:
    """What may be asked: of which model, what, under which adapters."""

    model: Path
    asked: Prompt
    adapters: tuple[AdapterUse, ...]


@dataclass
class Cold:
    """What each case gives where nothing was read before."""

    root: Path
    said: dict[Case, tuple[Scored, ...]] = field(default_factory=dict)
    judged: dict[Case, float] = field(default_factory=dict)

    async def ask(self, cases: list[Case]) -> None:
        """Ask all cases: with several passages, which blocks read in another way, each in an engine of its own."""
        for model in {case.model for case in cases}:
            plain = [case for case in cases if case.model == model and len(case.asked.passages) < 2]
            async with engine(model, self._home(), kv_reuse="off", speculation=False) as one:
                for case in plain:
                    await self._ask(one, case)
        for case in [case for case in cases if len(case.asked.passages) > 1]:
            async with engine(case.model, self._home(), kv_reuse="blocks", speculation=False) as one:
                await self._ask(one, case)

    def _home(self) -> Home:
        return home_in(self.root / str(len(list(self.root.iterdir()))))

    async def _ask(self, one: EngineProcess, case: Case) -> None:
        (self.judged[case],) = await one.judge([case.asked], case.adapters)
        self.said[case] = (await say(one, case.asked, TOKENS, case.adapters, GREEDY)).scored


@pytest.fixture(scope="module")
def cold(tiny_gguf: Path, tiny_lora: Path, tiny_alora: Path, tmp_path_factory: pytest.TempPathFactory) -> Cold:
    other_model = tiny_llama(tiny_gguf.with_name("another.gguf"), seed=7)
    lora, alora = AdapterUse(str(tiny_lora)), AdapterUse(str(tiny_alora))
    other = AdapterUse(str(tiny_adapter(tiny_lora.with_name("other.gguf"), tiny_gguf, seed=3)), 0.7)
    sets = {
        tiny_gguf: [(), (lora,), (AdapterUse(lora.name, 0.5),), (alora,), (other, alora)],
        other_model: [(), (lora,)],
    }
    found = Cold(tmp_path_factory.mktemp("cold"))
    asyncio.run(found.ask([Case(model, asked, uses) for model in sets for uses in sets[model] for asked in PROMPTS]))
    return found


def test_what_differs_shows(cold: Cold) -> None:
    cases = list(cold.said)
    pairs = [(one, other) for n, one in enumerate(cases) for other in cases[:n]]
    alike = [pair for pair in pairs if not differ(*(cold.said[case] for case in pair), ROUNDING)]
    assert len(alike) < 0.02 * len(pairs)


class Crowd:
    """Engines over one home, and what is asked of them at random."""

    def __init__(self, cold: Cold, home: Home, seed: int) -> None:
        self.cold, self.home, self.random = cold, home, random.Random(seed)
        self.cases = list(cold.said)
        self.engines: dict[Path, EngineProcess] = {}
        self.asked = 0

    async def start(self, model: Path) -> None:
        """Start an engine whose context holds three or four of the longer prompts at once."""
        changes = {"n_ctx": 1024, "kv_memory_mb": 1, "kv_disk_mb": 16}
        settings = replace(SETTINGS, **changes)
        self.engines[model] = await EngineProcess.start(model, model.stem, settings, self.home)

    async def stop(self) -> None:
        for one in self.engines.values():
            await one.close()

    async def live(self) -> None:
        for model in {case.model for case in self.cases}:
            await self.start(model)
        doings = [self.ask] * 6 + [self.ask_many] * 6 + [self.hang_up, self.forget, self.kill, self.restart] * 3
        self.random.shuffle(doings)
        for do in doings:
            await do()
        await self.ask_many()

    # -- what may happen

    async def ask(self) -> None:
        """Ask one case and compare."""
        case = self.random.choice(self.cases)
        one, turn = self.engines[case.model], Turn(self.random.choice(list(Priority)), self.random.choice("ab"))
        if self.random.random() < 0.5:
            answer = await say(one, case.asked, TOKENS, case.adapters, GREEDY, turn)
            assert not differ(self.cold.said[case], answer.scored, ROUNDING)
        else:
            assert await one.judge([case.asked], case.adapters, turn) == [
                pytest.approx(self.cold.judged[case], abs=ROUNDING)
            ]
        self.asked += 1

    async def ask_many(self) -> None:
        """Ask several at once, while passages are read ahead and texts are scored."""
        case = self.random.choice(self.cases)
        one = self.engines[case.model]
        others = [one.warm([case.asked], case.adapters), one.score(case.asked, 1, case.adapters)]
        await asyncio.gather(*(self.ask() for _ in range(self.random.randint(6, 10))), *others)

    async def hang_up(self) -> None:
        """Leave some answers while their prompts are read, or while they are written."""
        for case in self.random.sample(self.cases, 3):
            async with aclosing(
                self.engines[case.model].generate(case.asked, Sampling(), 300, case.adapters)
            ) as pieces:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.random.choice([0.001, 0.003, 0.01, 1])):
                        for _ in range(self.random.randint(1, 20)):
                            await anext(pieces)

    async def forget(self) -> None:
        case = self.random.choice(self.cases)
        await self.engines[case.model].forget(case.asked.passages[:1])

    async def kill(self) -> None:
        """Kill an engine while it is asked; who asked is told, and the next one finds another engine."""
        case = self.random.choice(self.cases)
        one = self.engines[case.model]
        asking = [asyncio.create_task(say(one, case.asked, 400, case.adapters)) for _ in range(3)]
        await asyncio.sleep(0.01)
        if one.pid:  # else it was killed before, and is being started
            os.kill(one.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        for result in await asyncio.gather(*asking, return_exceptions=True):
            assert not isinstance(result, BaseException) or isinstance(result, EngineDied)

    async def restart(self) -> None:
        model = self.random.choice(self.cases).model
        await self.engines[model].close()
        await self.start(model)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_kept_is_never_used_for_anything_else(cold: Cold, home: Home, seed: int) -> None:
    async def run() -> None:
        crowd = Crowd(cold, home, seed)
        try:
            await crowd.live()
        finally:
            await crowd.stop()
        assert crowd.asked >= 48

    asyncio.run(run())
