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
import stat
import sys
from collections.abc import Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import BadRequest, EngineDied, TooLong
from lorebook_api.home import Home
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Plain, Priority, Prompt, Scored, Turn
from tiny_engine import PASSAGES, SETTINGS, Up, differ, engine, home_in, prompt, say, up
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
    cases = [Case(model, asked, uses) for model in sets for uses in sets[model] for asked in PROMPTS]
    dear = [case for case in cases if len(case.asked.passages) > 1 and case.adapters not in ((), (lora,), (alora,))]
    found = Cold(tmp_path_factory.mktemp("cold"))
    asyncio.run(found.ask([case for case in cases if case not in dear]))
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
        doings = [self.ask, self.ask_many] * 3 + [self.hang_up, self.forget, self.kill, self.restart]
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
        assert crowd.asked >= 27

    asyncio.run(run())


# -- the edges


@pytest.fixture(scope="module")
def small(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Return an engine with a small context."""
    with up(tiny_gguf, home_in(tmp_path_factory.mktemp("small")), n_ctx=512, kv_disk_mb=1) as one:
        yield one


def of_length(tokens: int) -> Plain:
    return Plain(tokens=tuple(40 + n % 7 * n % 50 for n in range(tokens)))


def filling(engine: EngineProcess, tokens: int) -> Prompt:
    """Return a prompt with passages, of as many tokens: each `~` is one."""
    return prompt("?", ("~" * 100, "~" * 200, "~" * (tokens - 380)))


async def sized(engine: EngineProcess, tokens: int) -> Prompt:
    (size,) = await engine.count([filling(engine, tokens)])
    asked = filling(engine, 2 * tokens - size.total)
    (size,) = await engine.count([asked])
    assert size.total == tokens
    return asked


def test_a_prompt_that_just_fits_is_answered_with_one_token(small: Up) -> None:
    async def ask() -> None:
        for asked in (of_length(511), await sized(small.engine, 511)):
            answers = await asyncio.gather(*(say(small.engine, asked, 50) for _ in range(3)))
            for said in answers:
                assert (said.end.usage.completion_tokens, said.end.reason) == (1, "length")
            assert len({said.text for said in answers}) == 1
            assert len(await small.engine.score(asked)) == 511
        (judged,) = await small.engine.judge([await sized(small.engine, 511)])
        assert judged == pytest.approx(judged)

    small.run(ask())


def test_a_prompt_that_does_not_fit_is_too_long_for_all(small: Up) -> None:
    async def ask() -> None:
        expected = await say(small.engine, of_length(20), 10)
        for asked in (of_length(512), of_length(5000), await sized(small.engine, 512), Plain("word " * 200_000)):
            for work in (say(small.engine, asked), small.engine.score(asked)):
                with pytest.raises(TooLong, match="512"):
                    await work
        for work in (small.engine.judge, small.engine.warm):
            with pytest.raises(TooLong, match="512"):
                await work([prompt("Why?"), await sized(small.engine, 512)])
        assert (await say(small.engine, of_length(20), 10)).text == expected.text

    small.run(ask())


@pytest.mark.parametrize("most", [0, -1, -(10**12)])
def test_no_tokens_are_written_where_none_are_wanted(small: Up, most: int) -> None:
    said = small.run(say(small.engine, of_length(20), most))
    assert (said.text, said.end.reason, said.end.usage.completion_tokens) == ("", "length", 0)
    assert said.end.usage.prompt_tokens == 20


def test_an_answer_may_fill_the_context_and_no_more(small: Up) -> None:
    async def ask() -> None:
        for said in await asyncio.gather(*(say(small.engine, of_length(n), 10**15) for n in (1, 20, 300, 510))):
            assert said.end.usage.prompt_tokens + said.end.usage.completion_tokens == 512
            assert said.end.reason == "length"

    small.run(ask())


def test_nothing_to_go_on_from_is_refused(small: Up) -> None:
    for nothing in (Plain(""), Plain(tokens=())):
        with pytest.raises(BadRequest, match="empty"):
            small.run(say(small.engine, nothing))
        with pytest.raises(BadRequest, match="empty"):
            small.run(small.engine.score(nothing))
    for token in (-1, 10**6, 2**31 - 1, 2**40):
        with pytest.raises(BadRequest, match="no token"):
            small.run(say(small.engine, Plain(tokens=(1, token))))


def test_empty_passages_and_questions_are_none(small: Up) -> None:
    async def ask() -> None:
        whole = await say(small.engine, prompt("Why?", PASSAGES[:1]), 8)
        assert (await say(small.engine, prompt("Why?", ("", PASSAGES[0], "")), 8)).text == whole.text
        assert (await say(small.engine, prompt("", ("", "")), 8)).text == (await say(small.engine, prompt(""), 8)).text
        assert await small.engine.judge([]) == []
        assert await small.engine.warm([]) == 0
        assert await small.engine.count([]) == []

    small.run(ask())


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\udc80\U0010ffff", "<|im_end|>", "\x1b[2J\r\n\u2028", "🙂" * 20])
def test_any_text_can_be_asked_about(small: Up, text: str) -> None:
    async def ask() -> None:
        for asked in (prompt(text, (text,)), Plain(text)):
            said = await say(small.engine, asked, 5, sampling=Sampling(stop=(text,)))
            assert said.end.usage.prompt_tokens == (await small.engine.count([asked]))[0].total
            await small.engine.score(asked)
        assert await small.engine.forget([text]) <= 1

    small.run(ask())


def test_far_more_at_once_than_fit_are_all_answered(small: Up) -> None:
    asked = [prompt(f"Why {n}?", PASSAGES[: n % 4]) for n in range(8)]

    async def ask() -> None:
        alone = [await say(small.engine, one, 40, sampling=GREEDY) for one in asked]
        many = await asyncio.gather(*(say(small.engine, one, 40, sampling=GREEDY) for one in asked * 6))
        for n, said in enumerate(many):
            assert not differ(alone[n % 8].scored, said.scored, ROUNDING)

    small.run(ask())


def test_answers_that_outgrow_the_context_together_are_all_finished(small: Up) -> None:
    async def ask() -> None:
        alone = await say(small.engine, of_length(200), 300, sampling=GREEDY)
        for said in await asyncio.gather(*(say(small.engine, of_length(200), 300, sampling=GREEDY) for _ in range(4))):
            assert said.end.usage.completion_tokens == 300
            assert not differ(alone.scored, said.scored, 5 * ROUNDING)

    small.run(ask())


def test_who_hangs_up_leaves_room_at_once(small: Up) -> None:
    async def ask() -> None:
        begun = [aiter(small.engine.generate(of_length(300), Sampling(), 10**6)) for _ in range(3)]
        await anext(begun[0])
        others = [asyncio.create_task(anext(one)) for one in begun[1:]]
        late = asyncio.create_task(say(small.engine, of_length(400), 5))
        await asyncio.sleep(0.02)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for one in begun:
            await one.aclose()
        async with asyncio.timeout(5):
            assert (await late).end.usage.completion_tokens == 5

    small.run(ask())


def test_counting_does_not_wait_for_answers(small: Up) -> None:
    async def ask() -> None:
        async with aclosing(small.engine.generate(of_length(10), Sampling(), 500)) as pieces:
            await anext(pieces)
            await small.engine.count([prompt()])
            await small.engine.loaded()
            assert len([piece async for piece in pieces]) > 100, "the answer was not finished before"

    small.run(ask())


# -- what outlives the process


def test_an_engine_that_is_ended_while_it_starts_leaves_no_process(tiny_gguf: Path, home: Home) -> None:
    async def end() -> None:
        before = psutil.Process().children()
        async with engine(tiny_gguf, home) as one:
            assert one.pid
            os.kill(one.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            await asyncio.sleep(0.05)
            asked = asyncio.create_task(one.count([prompt()]))
            await asyncio.sleep(0.05)
            await one.close()
            with pytest.raises(EngineDied):
                await asked
            assert one.pid is None
        assert psutil.Process().children() == before

    asyncio.run(end())


def test_passages_are_found_on_disk_by_the_next_engine(tiny_gguf: Path, home: Home) -> None:
    asked = prompt("Why?", PASSAGES)

    async def ask(*, cached: bool) -> str:
        async with engine(tiny_gguf, home, kv_disk_mb=16) as one:
            (size,) = await one.count([asked])
            said = await say(one, asked)
            assert said.end.usage.cached_tokens == (sum(size.passages) if cached else 0)
            async with asyncio.timeout(10):
                while len([*(home.cache / "kv").rglob("*.kv")]) < len(PASSAGES):
                    await asyncio.sleep(0.01)
            return said.text

    assert asyncio.run(ask(cached=False)) == asyncio.run(ask(cached=True))


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for an engine is a shell script")
@pytest.mark.parametrize("said", ["no JSON", "x" * 70_000_000], ids=["no JSON", "a line beyond all bounds"])
def test_an_engine_that_cannot_be_understood_is_ended_and_nobody_waits(
    tiny_gguf: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    line = tmp_path / "line"
    line.write_text(said + "\n")
    script = tmp_path / "python"
    script.write_text(
        f'#!/bin/sh\necho \'{{"event": "ready", "n_ctx": 64, "speed": 1.0}}\'\nread _\ncat "{line}"\nexec sleep 60\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("lorebook_daemon.engine.process.sys.executable", str(script))

    async def ask() -> None:
        async with engine(tiny_gguf, home) as one, asyncio.timeout(20):
            for asked in await asyncio.gather(*(one.count([prompt()]) for _ in range(3)), return_exceptions=True):
                assert isinstance(asked, EngineDied)

    asyncio.run(ask())
