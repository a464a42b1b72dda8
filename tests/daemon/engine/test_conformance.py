"""The same tests over both engines: what the one says, the other does too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

import fake_app
from both_engines import (
    ENGINES,
    N_CTX,
    PARIS,
    PASSAGES,
    PROMPTS,
    Bench,
    here,
    prompt,
    say,
    scored,
    with_both,
)
from llama_server import llama_server
from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import EngineFailed, NotFound, TooLong, Unusable
from lorebook_api.home import Home
from lorebook_daemon.app.engines import LoadedEngine
from lorebook_daemon.engine.protocol import Plain
from lorebook_daemon.engine.remote.engine import RemoteEngine
from lorebook_daemon.settings import Settings
from tiny_models import tiny_adapter, tiny_llama

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Serve a tiny model: what it says is noise, but every token depends on all that was read."""
    folder = tmp_path_factory.mktemp("tiny")
    model = tiny_llama(folder / "tiny.gguf")
    adapters = [tiny_adapter(folder / f"{name}.gguf", model, seed=seed) for seed, name in enumerate("ab", start=1)]
    with llama_server(model, adapters, N_CTX) as url:
        yield Bench(model, tuple(AdapterUse(str(path)) for path in adapters), url)


@pytest.fixture(scope="module")
def real(tiny_model: Path) -> Iterator[Bench]:
    """Serve SmolLM2-135M, which knows what yes and no mean."""
    with llama_server(tiny_model, (), N_CTX) as url:
        yield Bench(tiny_model, (), url)


@pytest.fixture(params=ENGINES)
def over(request: pytest.FixtureRequest, bench: Bench, home: Home) -> Callable[..., None]:
    """Return what does some work with an engine."""

    def do(work: Callable[[LoadedEngine], Awaitable[None]]) -> None:
        async def run() -> None:
            engine = await ENGINES[request.param](bench, home)
            try:
                await work(engine)
            finally:
                await engine.close()

        asyncio.run(run())

    return do


# -- the two beside each other


def test_both_say_the_same(bench: Bench, home: Home) -> None:
    one, other = bench.adapters

    async def work(process: LoadedEngine, server: LoadedEngine) -> None:
        for adapters in ((), (one,), (AdapterUse(one.name, 0.5),), (one, other), ()):
            for asked in PROMPTS:
                said, done = await say(process, asked, adapters=adapters)
                assert (said, done.reason) == (
                    (again := await say(server, asked, adapters=adapters))[0],
                    again[1].reason,
                )
                assert done.usage.completion_tokens == again[1].usage.completion_tokens

    with_both(bench, home, work)


def test_a_real_model_says_the_same_in_both(real: Bench, home: Home) -> None:
    async def work(process: LoadedEngine, server: LoadedEngine) -> None:
        for asked in (prompt(), PARIS):
            # A few tokens: each adds its sums up in another order, and in a long answer of so small a model that shows.
            said = [(await say(engine, asked, 4))[0] for engine in (process, server)]
            assert said[0] == said[1]
        assert said[0].startswith(" Paris")

    with_both(real, home, work)


def test_both_count_the_same(bench: Bench, home: Home) -> None:
    async def work(process: LoadedEngine, server: LoadedEngine) -> None:
        sizes = await server.count(PROMPTS)
        assert sizes == await process.count(PROMPTS)
        for asked, size in zip(PROMPTS, sizes, strict=True):
            _, done = await say(server, asked, 1)
            # Where passages meet, the server's tokenizer may join what was counted apart.
            assert 0 <= size.total - done.usage.prompt_tokens <= len(size.passages)

    with_both(bench, home, work)


def test_both_judge_alike(real: Bench, home: Home) -> None:
    asked = [prompt(question, ()) for question in ("Say yes.", "Is water wet? Yes or no?", "Say no. Only no. No, no.")]

    async def work(process: LoadedEngine, server: LoadedEngine) -> None:
        ones, others = await process.judge(asked), await server.judge(asked)
        assert others == pytest.approx(ones, abs=1.0)
        sure = [(one, other) for one, other in zip(ones, others, strict=True) if abs(one) > 1]
        assert sure and all((one > 0) == (other > 0) for one, other in sure)

    with_both(real, home, work)


def test_both_give_tokens_the_same_log_probabilities(real: Bench, home: Home) -> None:
    async def work(process: LoadedEngine, server: LoadedEngine) -> None:
        for asked in (prompt(), PARIS):
            for one, other in zip(await scored(process, asked, 3), await scored(server, asked, 3), strict=True):
                assert (one.token, one.raw) == (other.token, other.raw)
                assert one.logprob == pytest.approx(other.logprob, abs=0.2)
                assert len(one.top) == len(other.top) == 3
                assert one.top[0].token == other.top[0].token == one.token
        assert all(one.top == () for one in await scored(server, PARIS, 0))

    with_both(real, home, work)


# -- each by itself


def test_an_answer_and_its_end(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        assert engine.model and engine.n_ctx == N_CTX
        whole, done = await say(engine, prompt(), 40)
        assert (done.reason, done.usage.completion_tokens) == ("length", 40)
        assert done.prompt_ms > 0 and done.generate_ms > 0
        word = whole[20:24]
        cut, done = await say(engine, prompt(), 40, sampling=Sampling(stop=("never said", word)))
        assert (cut, done.reason) == (whole[: whole.index(word)], "stop")

    over(work)


def test_what_is_drawn_depends_on_the_seed(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        drawn = [
            (await say(engine, prompt("Tell a story.", ()), sampling=Sampling(temperature=1.2, seed=seed)))[0]
            for seed in (1, 1, 2, 3)
        ]
        assert drawn[0] == drawn[1]
        assert len(set(drawn)) > 1

    over(work)


def test_a_grammar_is_followed(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        grammar = Sampling(grammar='root ::= "bar: " [0-9] "!"')
        for asked in (prompt(), PARIS):
            text, done = await say(engine, asked, 20, sampling=grammar)
            assert text[:5] == "bar: " and text[5].isdigit() and text[6:] == "!" and done.reason == "stop"

    over(work)


def test_a_cancelled_answer_makes_room(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        expected, _ = await say(engine, prompt())
        begun = time.perf_counter()
        for _ in range(6):  # more than there are places
            generation = engine.generate(prompt("Tell a long story."), Sampling(), 1800)
            await anext(generation)
            task = asyncio.ensure_future(anext(generation))
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await generation.aclose()
        assert (await say(engine, prompt()))[0] == expected
        given_up = time.perf_counter() - begun
        begun = time.perf_counter()
        await say(engine, prompt("Tell a long story."), 1800)
        assert given_up < 3 * (time.perf_counter() - begun)

    over(work)


def test_several_at_once_are_as_each_alone(over: Callable[..., None], bench: Bench) -> None:
    asked = [(one, adapters) for one in PROMPTS for adapters in ((), bench.adapters[:1])]

    async def work(engine: LoadedEngine) -> None:
        alone = [(await say(engine, one, 12, adapters))[0] for one, adapters in asked]
        together = await asyncio.gather(*(say(engine, one, 12, adapters) for one, adapters in asked))
        assert [text for text, _ in together] == alone

    over(work)


def test_what_does_not_fit_is_refused(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        with pytest.raises(TooLong, match=str(N_CTX)):
            await say(engine, prompt("word " * 3000, ()))
        with pytest.raises(TooLong):
            await engine.judge([prompt(), prompt(passages=("word " * 1500, "other " * 1500))])
        assert (await say(engine, prompt()))[0]

    over(work)


def test_content_cannot_become_a_control_token(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        plain, marked = await engine.count([prompt("x", ()), prompt("x<|im_end|>", ())])
        assert marked.rest > plain.rest + 1
        (acts,) = await engine.count([Plain("<|im_end|>")])
        assert acts.rest == 1

    over(work)


def test_a_text_is_scored_as_it_would_be_said_or_the_engine_says_that_it_cannot(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        if isinstance(engine, RemoteEngine):  # llama-server repeats no prompt
            with pytest.raises(EngineFailed, match="log-probabilities"):
                await engine.score(PARIS)
            return
        said = await scored(engine, PARIS, 1)
        whole = Plain(PARIS.text + b"".join(one.raw for one in said).decode())
        end = (await engine.score(whole, 1))[-len(said) :]
        assert [one.token for one in end] == [one.token for one in said]
        assert [one.logprob for one in end] == pytest.approx([one.logprob for one in said], abs=0.01)

    over(work)


def test_another_lorebook_scores_a_text_as_its_own_engine_does(bench: Bench, home: Home) -> None:
    async def run() -> None:
        other = fake_app.Bench()
        other.engine = await here(bench, home)
        async with other.served() as url:
            settings = Settings(engine="openai", engine_url=url, engine_key=fake_app.TOKEN, offline=True)
            engine = await RemoteEngine.start("auto", settings)
            assert (await say(engine, prompt()))[0] == (await say(other.engine, prompt()))[0]
            ones, others = await other.engine.score(PARIS, 2), await engine.score(PARIS, 2)
            assert [one.raw for one in others] == [one.raw for one in ones]
            assert [one.logprob for one in others] == pytest.approx([one.logprob for one in ones], abs=0.01)
            assert others[0].logprob == 0.0 and others[0].top == () and len(others[1].top) == 2
            await engine.close()
        await other.engine.close()

    asyncio.run(run())


def test_reading_ahead_and_forgetting_are_answered(over: Callable[..., None]) -> None:
    async def work(engine: LoadedEngine) -> None:
        assert await engine.warm([prompt()]) >= 0
        assert await engine.forget(PASSAGES) >= 0

    over(work)


# -- adapters


def test_adapters_switch_without_spoiling_what_was_read(over: Callable[..., None], bench: Bench) -> None:
    one, other = bench.adapters
    uses = [(), (one,), (other,), (AdapterUse(one.name, 0.5),), (one, other)]

    async def work(engine: LoadedEngine) -> None:
        first = [(await say(engine, prompt(), adapters=use))[0] for use in uses]
        assert len(set(first)) == len(uses)
        for i in (1, 0, 2, 1, 3, 0, 4, 2, 0):
            assert (await say(engine, prompt(), adapters=uses[i]))[0] == first[i]
        judged = [(await engine.judge([prompt()], use))[0] for use in (uses[0], uses[1], uses[0])]
        assert judged[0] == pytest.approx(judged[2], abs=0.01) and judged[0] != judged[1]

    over(work)


def test_adapters_are_loaded_and_listed(over: Callable[..., None], bench: Bench, tmp_path: Path) -> None:
    one, _ = bench.adapters

    async def work(engine: LoadedEngine) -> None:
        await engine.load(one.name)
        assert "a" in await engine.loaded()
        nowhere = AdapterUse(str(tmp_path / "nowhere.gguf"))
        with pytest.raises(NotFound, match="nowhere"):
            await say(engine, prompt(), adapters=(nowhere,))
        with pytest.raises((NotFound, Unusable), match="nowhere"):
            await engine.load(nowhere.name)

    over(work)


def test_adapters_are_unloaded_or_the_engine_says_that_it_keeps_them(
    over: Callable[..., None], bench: Bench, tmp_path: Path
) -> None:
    one, other = bench.adapters

    async def work(engine: LoadedEngine) -> None:
        plain, adapted = (await say(engine, prompt()))[0], (await say(engine, prompt(), adapters=(one,)))[0]
        await engine.load(other.name)
        if isinstance(engine, RemoteEngine):  # llama-server has those that it was started with
            with pytest.raises(Unusable, match="keeps"):
                await engine.unload(one.name)
            assert set(await engine.loaded()) == {"a", "b"}
        else:
            await engine.unload(one.name)
            assert await engine.loaded() == ("b",)
        with pytest.raises(NotFound, match="nowhere"):
            await engine.unload(str(tmp_path / "nowhere.gguf"))
        assert (await say(engine, prompt()))[0] == plain
        assert (await say(engine, prompt(), adapters=(one,)))[0] == adapted, "it is loaded again when it is wanted"

    over(work)


# -- what clients send


def test_openais_api_says_the_same_over_both(bench: Bench, home: Home) -> None:
    greedy = {"model": "auto", "temperature": 0, "max_tokens": 12}
    messages = [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Say hello."}]

    async def said(engine: LoadedEngine) -> list[Any]:
        app = fake_app.Bench()
        app.engine = engine
        async with (
            app.served() as url,
            httpx.AsyncClient(base_url=f"{url}/v1", headers=fake_app.AUTHORIZED, trust_env=False, timeout=60) as http,
        ):
            chat = await http.post("/chat/completions", json={**greedy, "messages": messages})
            plain = await http.post("/completions", json={**greedy, "prompt": PARIS.text})
            stream = await http.post("/completions", json={**greedy, "prompt": PARIS.text, "stream": True})
        bodies = [chat.json(), plain.json()]
        chunks = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: {")]
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == plain.json()["choices"][0]["text"]
        assert [body["usage"]["completion_tokens"] for body in bodies] == [12, 12]
        return [body["choices"][0] for body in bodies]

    async def work(process: LoadedEngine, server: LoadedEngine) -> None:
        chat, plain = await said(process)
        assert [chat, plain] == await said(server)
        assert chat["message"]["content"] and plain["text"]

    with_both(bench, home, work)
