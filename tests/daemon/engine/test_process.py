"""The engine with a real model: reuse, cancel, crash, adapters, budgets."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import EngineDied, NotFound, TooLong, Unusable
from lorebook_api.home import Home
from lorebook_daemon.engine.probe import Probe
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Engine, Finished, Message, Plain, Prompt, Token
from lorebook_daemon.settings import Settings

pytestmark = pytest.mark.model

SETTINGS = Settings(n_ctx=2048)
PASSAGES = tuple(
    f"<source file{i}.txt>\nThe {name} valve opens at {i + 3} bar.\n</source>\n" for i, name in enumerate("ABC")
)
QUESTION = "At how many bar does the B valve open?"


def prompt(question: str = QUESTION, passages: tuple[str, ...] = ()) -> Prompt:
    return Prompt((Message("system", "Answer from the sources."), Message("user", question)), passages)


@asynccontextmanager
async def engine(path: Path, home: Home, settings: Settings = SETTINGS) -> AsyncIterator[EngineProcess]:
    started = await EngineProcess.start(path, path.stem, settings, home)
    try:
        yield started
    finally:
        await started.close()


async def say(
    engine: Engine,
    asked: Prompt,
    *,
    max_tokens: int = 12,
    adapters: tuple[AdapterUse, ...] = (),
    sampling: Sampling | None = None,
) -> tuple[str, Finished]:
    pieces = [piece async for piece in engine.generate(asked, sampling or Sampling(), max_tokens, adapters)]
    assert isinstance(pieces[-1], Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, Token)), pieces[-1]


def test_a_passage_is_read_once_and_serves_in_any_order(tiny_model: Path, home: Home) -> None:
    async def run() -> None:
        async with engine(tiny_model, home) as one:
            first, done = await say(one, prompt(passages=PASSAGES))
            assert done.usage.cached_tokens == 0
            _, done = await say(one, prompt(passages=PASSAGES[::-1]))
            (size,) = await one.count([prompt(passages=PASSAGES)])
            assert done.usage.cached_tokens >= sum(size.passages)
            again, done = await say(one, prompt(passages=PASSAGES))
            assert again == first
            assert done.usage.prompt_tokens == size.total

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["blocks", "prefix", "off"])
def test_what_is_reused_does_not_change_the_answer(tiny_model: Path, home: Home, mode: str) -> None:
    settings = replace(SETTINGS, kv_reuse=mode)
    asked = [prompt(), prompt("Say hello."), prompt(passages=PASSAGES[:1]), prompt("Say hello.", PASSAGES[:2])]
    # A few tokens: sums in another order round otherwise, and in a long answer of so small a model that shows.
    tokens = 4

    async def run() -> None:
        cold = []
        for one in asked:
            async with engine(tiny_model, home, settings) as fresh:
                cold.append((await say(fresh, one, max_tokens=tokens))[0])
        async with engine(tiny_model, home, settings) as warm:
            for i in (0, 1, 2, 3, 2, 0, 3, 1):
                text, done = await say(warm, asked[i], max_tokens=tokens)
                assert text == cold[i]
                assert mode != "off" or done.usage.cached_tokens == 0

    asyncio.run(run())


def test_judging_side_by_side_is_judging_one_by_one(tiny_model: Path, home: Home) -> None:
    asked = [
        prompt(question, PASSAGES[n : n + 1])
        for question in ("Say yes.", "Say no. Only no. No, no.", "Count from 1 to 10.", "Which valve?")
        for n in range(2)
    ]

    async def run() -> None:
        async with engine(tiny_model, home) as one:
            together = await one.judge(asked)
            apart = [(await one.judge([single]))[0] for single in asked]
            # Sums in another order: measured differences are up to 0.25 for this model, with every cache off too.
            np.testing.assert_allclose(together, apart, atol=0.5)
            assert np.ptp(apart) > 2

    asyncio.run(run())


def test_texts_after_a_prompt_are_as_likely_as_when_all_is_scored(tiny_model: Path, home: Home) -> None:
    before = "The valve of the pump is"
    texts = [" open", " closed by hand, and then opened again", " red\nor blue", ""]

    async def run() -> None:
        async with engine(tiny_model, home) as one:
            told = await one.continuations(Plain(before), texts)
            start = len(await one.score(Plain(before)))
            for text, continued in zip(texts, told, strict=True):
                scored = (await one.score(Plain(before + text), 1))[start:]
                assert continued.tokens == len(scored)
                assert continued.logprob == pytest.approx(sum(token.logprob for token in scored), abs=0.02)
                assert continued.greedy == all(token.token == token.top[0].token for token in scored)
            generation = one.generate(Plain(before), Sampling(), 5)
            said = "".join([piece.text async for piece in generation if isinstance(piece, Token)])
            assert [one.greedy for one in await one.continuations(Plain(before), [said, " Q" + said])] == [True, False]
            assert await one.continuations(Plain(before), []) == []
            with pytest.raises(TooLong):
                await one.continuations(Plain(before), [" a", " word" * 5000])

    asyncio.run(run())


def test_a_text_is_as_likely_as_it_was_when_it_was_said(tiny_model: Path, home: Home) -> None:
    asked = [prompt("Write one question about the source.", PASSAGES[n : n + 1]) for n in range(3)]

    async def run() -> None:
        async with engine(tiny_model, home) as one:
            generation = one.generate(asked[0], Sampling(top_logprobs=0), 6)
            said = [
                scored for piece in [p async for p in generation] if isinstance(piece, Token) for scored in piece.scored
            ]
            text = b"".join(scored.raw for scored in said).decode()
            (mean,) = await one.likelihood(asked[:1], text)
            assert mean == pytest.approx(sum(scored.logprob for scored in said) / len(said), abs=0.3)
            (nonsense,) = await one.likelihood(asked[:1], "Purple zebra elbows quickly overturned")
            assert nonsense < mean - 3
            about_b = "At how many bar does the B valve open?"
            together = await one.likelihood(asked, about_b)
            apart = [(await one.likelihood([single], about_b))[0] for single in asked]
            np.testing.assert_allclose(together, apart, atol=0.3)
            assert together[1] == max(together)
            assert await one.likelihood([], about_b) == [] and await one.likelihood(asked, "") == [0.0] * 3
            with pytest.raises(TooLong, match="2048"):
                await one.likelihood(asked, "word " * 2000)

    asyncio.run(run())


def test_a_cancelled_prefill_leaves_the_engine_fit(tiny_model: Path, home: Home) -> None:
    async def run() -> None:
        async with engine(tiny_model, home) as one:
            expected, _ = await say(one, prompt())
            pid = one.pid
            for pause in (0.0, 0.05, 0.2):
                generation = one.generate(prompt(passages=("words and words " * 500,)), Sampling(), 50)
                task = asyncio.ensure_future(anext(generation))
                await asyncio.sleep(pause)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                await generation.aclose()
                assert (await say(one, prompt()))[0] == expected
            assert one.pid == pid

    asyncio.run(run())


def test_a_killed_engine_costs_one_request(tiny_model: Path, home: Home) -> None:
    async def run() -> None:
        async with engine(tiny_model, home) as one:
            expected, _ = await say(one, prompt())
            generation = one.generate(prompt("Tell a long story."), Sampling(), 400)
            await anext(generation)
            assert one.pid
            os.kill(one.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            with pytest.raises(EngineDied):
                async for _ in generation:
                    pass
            assert (await say(one, prompt()))[0] == expected

    asyncio.run(run())


def test_content_cannot_become_a_control_token(tiny_model: Path, home: Home) -> None:
    async def run() -> None:
        async with engine(tiny_model, home) as one:
            plain, marked = await one.count([prompt("x"), prompt("x<|im_end|>")])
            assert marked.rest > plain.rest + 1

    asyncio.run(run())


def test_sampling_stop_words_and_length(tiny_model: Path, home: Home) -> None:
    async def run() -> None:
        async with engine(tiny_model, home) as one:
            whole, done = await say(one, prompt("Count from one to ten."), max_tokens=40)
            word = whole.split()[2]
            cut, stopped = await say(
                one, prompt("Count from one to ten."), max_tokens=40, sampling=Sampling(stop=(word,))
            )
            assert cut == whole[: whole.index(word)]
            assert stopped.reason == "stop"
            _, done = await say(one, prompt("Count from one to ten."), max_tokens=3)
            assert (done.reason, done.usage.completion_tokens) == ("length", 3)
            drawn = [
                (await say(one, prompt("Tell a story."), sampling=Sampling(temperature=1.2, seed=seed)))[0]
                for seed in (1, 1, 2, 3)
            ]
            assert drawn[0] == drawn[1]
            assert len(set(drawn)) > 1

    asyncio.run(run())


def test_a_prompt_beyond_the_context_is_refused(tiny_model: Path, home: Home) -> None:
    async def run() -> None:
        async with engine(tiny_model, home) as one:
            with pytest.raises(TooLong, match="2048"):
                await say(one, prompt("word " * 3000))
            with pytest.raises(TooLong):
                await say(one, prompt(passages=("word " * 1500, "other " * 1500)))
            assert (await say(one, prompt()))[0]

    asyncio.run(run())


def test_broken_files_are_refused(tiny_model: Path, home: Home, tmp_path: Path) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(tiny_model.read_bytes()[:1_000_000])
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"not a model" * 100)

    async def run() -> None:
        for path in (short, wrong):
            with pytest.raises(Unusable, match=path.name):
                await EngineProcess.start(path, "broken", SETTINGS, home)

    asyncio.run(run())


def adapter(path: Path, seed: int, layers: int = 30, width: int = 576, queries: int = 576) -> Path:
    """Write a LoRA adapter of rank 4 with random weights for SmolLM2-135M's shape."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    rng = np.random.default_rng(seed)
    for layer in range(layers):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", rng.normal(0, 0.3, (4, width)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", rng.normal(0, 0.3, (queries, 4)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_adapters_switch_without_poisoning_what_was_read(tiny_model: Path, home: Home) -> None:
    folder = home.models / "adapters"
    folder.mkdir(parents=True)
    uses = [(), (AdapterUse(str(adapter(folder / "a.gguf", 1))),), (AdapterUse("a", 0.25),)]
    adapter(folder / "b.gguf", 2)
    uses += [(AdapterUse("b"),), (AdapterUse("a", 0.5), AdapterUse("b", 0.5))]
    asked = prompt(passages=PASSAGES[:2])
    # Two threads share out a row's attention by how much the context holds, idle lanes too: sums are rounded otherwise,
    # and a model bent by random weights says something else.
    settings = replace(SETTINGS, threads=1)

    async def run() -> None:
        cold = []
        for use in uses:
            async with engine(tiny_model, home, settings) as fresh:
                cold.append((await say(fresh, asked, adapters=use))[0])
        assert len(set(cold)) >= 3
        async with engine(tiny_model, home, settings) as warm:
            for i in (0, 1, 0, 2, 3, 1, 4, 0, 4, 2):
                assert (await say(warm, asked, adapters=uses[i]))[0] == cold[i]

    asyncio.run(run())


def test_adapters_that_are_not_there_or_do_not_fit_are_refused(tiny_model: Path, home: Home, tmp_path: Path) -> None:
    narrow = adapter(tmp_path / "narrow.gguf", 3, width=64)

    async def run() -> None:
        async with engine(tiny_model, home) as one:
            with pytest.raises(NotFound, match="nobody"):
                await say(one, prompt(), adapters=(AdapterUse("nobody"),))
            with pytest.raises(Unusable, match="narrow"):
                await say(one, prompt(), adapters=(AdapterUse(str(narrow)),))
            assert (await say(one, prompt()))[0]

    asyncio.run(run())


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for a crashing build is a shell script")
def test_fast_settings_that_crash_give_way_to_safe_ones(
    tiny_model: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    tries = tmp_path / "tries"
    script.write_text(
        f'#!/bin/sh\necho "$*" >> "{tries}"\ncase "$*" in *\'"extra_bufts": true\'*) kill -SEGV $$ ;; esac\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("lorebook_daemon.engine.process.sys.executable", str(script))

    async def run() -> None:
        assert not Probe(home).fast_settings_crash
        for _ in range(2):
            async with engine(tiny_model, home) as one:
                assert (await say(one, prompt()))[0]
        assert Probe(home).fast_settings_crash
        assert ['"extra_bufts": true' in line for line in tries.read_text().splitlines()] == [True, False, False]

    asyncio.run(run())
