"""The same client over the real engine: SmolLM2-135M, and a tiny model whose every word depends on all before."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import jsonschema
import openai
import pytest
from openai import AsyncOpenAI

import fake_app
import tiny_models
from lorebook_api.home import find_home
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.settings import Settings

pytestmark = pytest.mark.model

FRANCE = [{"role": "user", "content": "What is the capital of France? One word."}]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


@asynccontextmanager
async def client_of(model: Path) -> AsyncIterator[AsyncOpenAI]:
    bench = fake_app.Bench()
    bench.engine = await EngineProcess.start(model, "tiny", Settings(n_ctx=1024, threads=1), find_home())
    try:
        async with bench.served() as url, httpx.AsyncClient(trust_env=False, verify=False, timeout=60) as http:
            yield AsyncOpenAI(base_url=f"{url}/v1", api_key=fake_app.TOKEN, max_retries=0, http_client=http)
    finally:
        await bench.engine.close()


def play(model, scene):
    async def whole():
        async with client_of(model) as client:
            return await scene(client)

    return asyncio.run(whole())


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A model that says noise, but always the same."""
    return tiny_models.tiny_qwen2(tmp_path_factory.mktemp("model") / "tiny.gguf")


def test_a_model_that_knows_answers_whole_and_streamed(tiny_model):
    async def scene(client):
        asked = {"model": "auto", "messages": FRANCE, "temperature": 0, "max_tokens": 16}
        whole = await client.chat.completions.create(**asked)
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
        text = await client.completions.create(
            model="auto", prompt="The capital of France is", max_tokens=2, temperature=0
        )
        form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
        json_ = await client.chat.completions.create(**asked | {"max_tokens": 100}, response_format=form)
        return whole, chunks, text, json_

    whole, chunks, text, json_ = play(tiny_model, scene)
    assert "Paris" in whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert streamed == whole.choices[0].message.content
    assert chunks[-1].timings["cache_n"] > 0  # the second time, the prompt was at hand
    assert "Paris" in text.choices[0].text
    jsonschema.validate(json.loads(json_.choices[0].message.content), CITY)


def test_a_prompts_scores_are_what_generation_tells(noise):
    async def scene(client):
        asked = {"model": "auto", "temperature": 0, "logprobs": 3}
        made = await client.completions.create(prompt="return 42", **asked, max_tokens=12)
        whole = "return 42" + made.choices[0].text
        scored = await client.completions.create(prompt=whole, **asked, max_tokens=0, echo=True)
        return made.choices[0], scored.choices[0], whole

    made, scored, whole = play(noise, scene)
    assert scored.text == "".join(scored.logprobs.tokens) == whole
    assert scored.logprobs.token_logprobs[0] is None
    n = len(made.logprobs.tokens)
    assert scored.logprobs.tokens[-n:] == made.logprobs.tokens
    assert scored.logprobs.token_logprobs[-n:] == pytest.approx(made.logprobs.token_logprobs, abs=1e-3)
    for token, logprob, top in zip(
        made.logprobs.tokens, made.logprobs.token_logprobs, made.logprobs.top_logprobs, strict=True
    ):
        assert top[token] == logprob == max(top.values())  # greedy
        assert len(top) == 3


def test_logprobs_of_all_tokens_sum_to_one(noise):
    async def scene(client):
        answer = await client.chat.completions.create(
            model="auto", messages=FRANCE, max_tokens=1, logprobs=True, top_logprobs=20, temperature=0
        )
        return answer.choices[0].logprobs.content

    (token,) = play(noise, scene)
    assert token.logprob == token.top_logprobs[0].logprob
    assert 0.01 < sum(math.exp(one.logprob) for one in token.top_logprobs) <= 1.0 + 1e-6


def test_answers_with_a_seed_come_again_and_differ_from_each_other(noise):
    async def scene(client):
        asked = {"model": "auto", "messages": FRANCE, "max_tokens": 12, "temperature": 1.5, "seed": 3, "n": 3}
        return [await client.chat.completions.create(**asked) for _ in range(2)]

    first, again = ([choice.message.content for choice in answer.choices] for answer in play(noise, scene))
    # What is decoded together depends on when each arrives, and rounds otherwise: now and then a draw falls elsewhere.
    assert sum(one == other for one, other in zip(first, again, strict=True)) >= 2
    assert len(set(first)) == 3


def test_a_forced_call_is_a_call(noise):
    function = {"name": "find", "parameters": CITY}

    async def scene(client):
        return await client.chat.completions.create(
            model="auto",
            messages=FRANCE,
            tools=[{"type": "function", "function": function}],
            tool_choice={"type": "function", "function": {"name": "find"}},
            max_tokens=300,
        )

    choice = play(noise, scene).choices[0]
    assert choice.finish_reason == "tool_calls"
    jsonschema.validate(json.loads(choice.message.tool_calls[0].function.arguments), CITY)


def test_what_the_engine_refuses_is_a_400_and_leaves_it_unharmed(noise):
    async def scene(client):
        for wrong in (
            {"extra_body": {"grammar": "nonsense"}},
            {"extra_body": {"grammar": "root ::= root"}},
            {"prompt": [10**6]},
            {"prompt": "word " * 2000},
            {"prompt": "word " * 2000, "echo": True, "max_tokens": 0, "logprobs": 1},
        ):
            with pytest.raises(openai.BadRequestError):
                await client.completions.create(**{"model": "auto", "prompt": "a", "max_tokens": 3, **wrong})
        return await client.completions.create(model="auto", prompt="a", max_tokens=3)

    assert play(noise, scene).usage.completion_tokens == 3


def test_many_clients_at_once(noise):
    async def scene(client):
        asked = [
            client.completions.create(model="auto", prompt=f"number {i}", max_tokens=8, temperature=0) for i in range(6)
        ]
        together = await asyncio.gather(*asked)
        alone = [
            await client.completions.create(model="auto", prompt=f"number {i}", max_tokens=8, temperature=0)
            for i in range(6)
        ]
        return [answer.choices[0].text for answer in together], [answer.choices[0].text for answer in alone]

    together, alone = play(noise, scene)
    assert together == alone
