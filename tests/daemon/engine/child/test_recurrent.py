"""The engine with models whose memory cannot be cut at a token: each architecture, with random weights."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.home import Home
from lorebook_daemon.engine.protocol import Engine, Finished, Message, Plain, Prompt, Token
from tiny_engine import Up, engine, up
from tiny_models import tiny_adapter

T = TypeVar("T")
Said = tuple[str, Finished]

PASSAGES = (
    "<source valves.txt>\nThe first valve opens at 3 bar and closes at 2.\n</source>\n",
    "<source pumps.py>\ndef start(pump):\n    return pump.name\n</source>\n",
    "<source log.csv>\nday,litres\nMonday,17\nTuesday,40\n</source>\n",
)
WHEN, WHERE = "When does the valve open?", "In which file is the valve?"


def prompt(question: str, passages: tuple[str, ...]) -> Prompt:
    return Prompt(
        (Message("system", "Answer from the sources below and from nothing else."), Message("user", question)), passages
    )


FIRST = prompt(WHEN, PASSAGES)
ASKED = {
    "first": FIRST,
    "again": FIRST,
    "another question": prompt(WHERE, PASSAGES),
    "another order": prompt(WHEN, PASSAGES[::-1]),
    "fewer passages": prompt(WHEN, PASSAGES[:1]),
    "no passages": prompt(WHERE, ()),
    "the first once more": FIRST,
}
JUDGED = [prompt(question, PASSAGES[n : n + 1]) for question in (WHEN, WHERE) for n in range(3)]


async def say(engine: Engine, asked: Prompt, adapters: tuple[AdapterUse, ...] = (), max_tokens: int = 16) -> Said:
    pieces = [piece async for piece in engine.generate(asked, Sampling(), max_tokens, adapters)]
    assert isinstance(pieces[-1], Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, Token)), pieces[-1]


@dataclass(frozen=True)
class Cold:
    """What a model says and judges where nothing that was read is used again."""

    texts: dict[str, str]
    adapted: str
    scores: list[float]


async def ask_cold(path: Path, adapter: AdapterUse, home: Home) -> Cold:
    async with engine(path, home, kv_reuse="off") as one:
        said = {name: await say(one, asked) for name, asked in ASKED.items()}
        adapted, done = await say(one, FIRST, (adapter,))
        assert not any(end.usage.cached_tokens for _, end in [*said.values(), (adapted, done)])
        return Cold({name: text for name, (text, _) in said.items()}, adapted, await one.judge(JUDGED))


@pytest.fixture(scope="module")
def adapter(tiny_recurrent: Path) -> AdapterUse:
    return AdapterUse(str(tiny_adapter(tiny_recurrent.with_suffix(".lora.gguf"), tiny_recurrent)))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    return Home(root, root / "state", root / "cache", root / "models", root / "runtime").make()


@pytest.fixture(scope="module")
def cold(tiny_recurrent: Path, adapter: AdapterUse, kept: Home) -> Cold:
    said = asyncio.run(ask_cold(tiny_recurrent, adapter, kept))
    assert said.texts["first"] == said.texts["again"] == said.texts["the first once more"]
    differ = {*said.texts.values(), said.adapted}
    assert len(differ) == len(ASKED) - 2 + 1, "what was read does not show in what is said"
    assert len({round(score, 2) for score in said.scores}) > len(JUDGED) // 2
    return said


@pytest.fixture(scope="module")
def warm(tiny_recurrent: Path, kept: Home) -> Iterator[Up]:
    with up(tiny_recurrent, kept) as one:
        yield one


def test_what_was_read_is_not_read_again_and_changes_nothing(tiny_recurrent: Path, home: Home, cold: Cold) -> None:
    async def ask_all() -> None:
        async with engine(tiny_recurrent, home) as one:
            (whole, bare) = await one.count([FIRST, prompt("", ())])
            said = {name: await say(one, asked) for name, asked in ASKED.items()}
        assert {name: text for name, (text, _) in said.items()} == cold.texts
        cached = {name: done.usage.cached_tokens for name, (_, done) in said.items()}
        assert cached["first"] == 0
        for name in ("again", "another question", "fewer passages"):
            assert whole.passages[0] <= cached[name] < whole.total
        assert 0 < cached["another order"] <= bare.rest
        async with engine(tiny_recurrent, home) as later:
            text, done = await say(later, ASKED["another question"])
        assert text == cold.texts["another question"]
        assert done.usage.cached_tokens >= whole.passages[0], "nothing was kept on disk"

    asyncio.run(ask_all())


def test_several_at_once_say_what_each_says_alone(warm: Up, cold: Cold) -> None:
    async def ask_all() -> list[Said]:
        ahead = asyncio.create_task(warm.engine.warm([FIRST]))
        said = await asyncio.gather(*(say(warm.engine, asked) for asked in ASKED.values()))
        await ahead
        return said

    assert [text for text, _ in warm.run(ask_all())] == list(cold.texts.values())


def test_who_comes_while_another_is_read_does_not_go_on_from_there(warm: Up, cold: Cold) -> None:
    long = "<source long.txt>\n" + "a line of the file\n" * 100 + "</source>\n"

    async def ask_all() -> list[Said | BaseException]:
        reading = asyncio.create_task(say(warm.engine, prompt(WHEN, (long,)), max_tokens=4))
        coming = [reading]
        while not reading.done():
            await asyncio.sleep(0.005)
            coming.append(asyncio.create_task(say(warm.engine, FIRST)))
        return (await asyncio.gather(*coming, return_exceptions=True))[1:]

    said = warm.run(ask_all())
    assert {one if isinstance(one, BaseException) else one[0] for one in said} == {cold.texts["first"]}


def test_adapters_take_turns(warm: Up, adapter: AdapterUse, cold: Cold) -> None:
    async def ask_all() -> list[str]:
        turns = [await say(warm.engine, FIRST, adapters) for adapters in ((), (adapter,), (), (adapter,))]
        both = await asyncio.gather(say(warm.engine, FIRST), say(warm.engine, FIRST, (adapter,)))
        return [text for text, _ in [*turns, *both]]

    assert warm.run(ask_all()) == [cold.texts["first"], cold.adapted] * 3


def test_a_cancelled_answer_leaves_nothing_behind(warm: Up, cold: Cold) -> None:
    async def hang_up(after: int) -> None:
        async with aclosing(warm.engine.generate(prompt(WHERE, PASSAGES), Sampling(), 1500)) as pieces:
            for _ in range(after):
                await anext(pieces)

    async def ask_all() -> dict[str, str]:
        for after in (0, 1, 5):
            await hang_up(after)
        reading = asyncio.create_task(say(warm.engine, prompt("word " * 300, PASSAGES)))
        await asyncio.sleep(0.02)
        reading.cancel()
        return {name: (await say(warm.engine, asked))[0] for name, asked in ASKED.items()}

    assert warm.run(ask_all()) == cold.texts


def test_judging_side_by_side_is_judging_one_by_one(warm: Up, cold: Cold) -> None:
    together = warm.run(warm.engine.judge(JUDGED))
    apart = [warm.run(warm.engine.judge([single]))[0] for single in JUDGED]
    np.testing.assert_allclose(together, cold.scores, atol=0.01)
    np.testing.assert_allclose(apart, cold.scores, atol=0.01)


def test_scores_are_those_of_what_it_says(warm: Up) -> None:
    async def score() -> None:
        pieces = [piece async for piece in warm.engine.generate(FIRST, Sampling(top_logprobs=2), 4)]
        tokens = [piece for piece in pieces if isinstance(piece, Token)]
        said = [scored for piece in tokens for scored in piece.scored]
        assert b"".join(scored.raw for scored in said).decode() == "".join(piece.text for piece in tokens)
        assert [scored.token for scored in said] == [scored.top[0].token for scored in said]
        whole = await warm.engine.score(FIRST, top=1)
        (size,) = await warm.engine.count([FIRST])
        assert len(whole) == size.total
        assert whole[0].logprob == 0.0
        assert all(scored.top[0].logprob >= scored.logprob for scored in whole[1:])

    warm.run(score())


def test_texts_after_a_prompt_are_as_likely_as_when_all_is_scored(warm: Up) -> None:
    before = Plain("The first valve of the pump is")
    texts = [" open", " closed by hand, and then", ""]
    start = len(warm.run(warm.engine.score(before)))
    for text, continued in zip(texts, warm.run(warm.engine.continuations(before, texts)), strict=True):
        scored = warm.run(warm.engine.score(Plain(before.text + text)))[start:]
        assert continued.tokens == len(scored)
        assert continued.logprob == pytest.approx(sum(token.logprob for token in scored), abs=0.05)


def test_a_full_context_is_an_answer_of_that_length(tiny_recurrent: Path, home: Home) -> None:
    async def fill() -> None:
        async with engine(tiny_recurrent, home, n_ctx=256) as one:
            _, done = await say(one, FIRST, max_tokens=1000)
            assert done.reason == "length"
            assert done.usage.prompt_tokens + done.usage.completion_tokens in (255, 256)

    asyncio.run(fill())
