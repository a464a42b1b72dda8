"""The engine elsewhere, against a fake server with the ways of llama-server, vLLM and Ollama."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_openai import FakeOpenAI, pieces, served
from lorebook_api.asking import AdapterUse, Sampling, Usage
from lorebook_api.errors import BadRequest, EngineDied, EngineFailed, LorebookError, NotFound, TooLong, Unusable
from lorebook_daemon.engine.protocol import Finished, Message, Plain, Prompt, Token, ToolCall
from lorebook_daemon.engine.remote.address import address_of
from lorebook_daemon.engine.remote.body import chat_of
from lorebook_daemon.engine.remote.engine import RemoteEngine, served_models
from lorebook_daemon.settings import Settings

KINDS = ("llamacpp", "vllm", "ollama")
PROMPT = Prompt((Message("system", "Be brief."), Message("user", "Which valve?")), ("The A valve.\n", "The B valve.\n"))
CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"


def over(
    fake: FakeOpenAI, work: Callable[[RemoteEngine], Awaitable[None]], patience_s: float = 5.0, **changes: object
) -> None:
    """Do `work` with an engine at `fake`."""

    async def run() -> None:
        async with served(fake) as url:
            settings = replace(Settings(engine="openai", engine_url=url), **changes)
            engine = await RemoteEngine.start("auto", settings, patience_s)
            try:
                await work(engine)
            finally:
                await engine.close()

    asyncio.run(run())


async def say(engine: RemoteEngine, prompt=PROMPT, sampling=Sampling(), max_tokens=20, adapters=()):  # noqa: B008
    told = [piece async for piece in engine.generate(prompt, sampling, max_tokens, adapters)]
    assert isinstance(told[-1], Finished)
    assert all(isinstance(piece, Token) for piece in told[:-1])
    return told[:-1], told[-1]


def text_of(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)


# -- the address


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://127.9.9.9", True),
        ("http://10.0.0.7:8000", False),
        ("https://engine.example", False),
        ("http://localhost.example:8000", False),
        ("http://0.0.0.0:8000", False),
    ],
)
def test_offline_only_this_machine_is_asked(url: str, loopback: bool) -> None:
    settings = Settings(engine="openai", engine_url=url, engine_key="sk-secret")
    assert address_of(settings).loopback is loopback
    assert "secret" not in repr(address_of(settings))
    offline = replace(settings, offline=True)
    if loopback:
        assert address_of(offline) == address_of(settings)
        return
    with pytest.raises(BadRequest, match="offline") as refused:
        address_of(offline)
    assert "LOREBOOK_ENGINE_URL" in refused.value.hint


@pytest.mark.parametrize("url", ["", "http://a\x07b", "http://\u2488com"])
def test_no_address_and_one_that_is_none_are_refused(url: str) -> None:
    with pytest.raises(BadRequest, match="engine_url"):
        address_of(Settings(engine="openai", engine_url=url))


def test_a_proxy_is_not_asked_for_a_server_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    fake = FakeOpenAI()

    async def work(engine: RemoteEngine) -> None:
        assert (await say(engine))[0]

    over(fake, work, offline=True)


# -- models and context


@pytest.mark.parametrize(
    ("kind", "name", "n_ctx"), [("llamacpp", "tiny", 512), ("vllm", "tiny", 512), ("ollama", "tiny:latest", 777)]
)
def test_name_and_context_are_the_server_s(kind: str, name: str, n_ctx: int) -> None:
    async def work(engine: RemoteEngine) -> None:
        assert (engine.model, engine.n_ctx) == (name, n_ctx)
        assert await engine.warm([PROMPT]) == 0
        assert await engine.forget(PROMPT.passages) == 0

    over(FakeOpenAI(kind, n_ctx=512), work, n_ctx=777)


def test_a_model_is_named_as_people_do() -> None:
    async def run() -> None:
        async with served(FakeOpenAI("ollama")) as url:
            settings = Settings(engine="openai", engine_url=url)
            assert await served_models(settings) == ("tiny:latest",)
            for name in ("tiny", "tiny:latest", "auto"):
                engine = await RemoteEngine.start(name, settings)
                assert engine.model == "tiny:latest"
                await engine.close()
            with pytest.raises(NotFound, match="no model large") as refused:
                await RemoteEngine.start("large", settings)
            assert "LOREBOOK_MODEL" in refused.value.hint and "tiny:latest" in refused.value.hint

    asyncio.run(run())


def test_an_adapter_is_no_model() -> None:
    async def run() -> None:
        async with served(FakeOpenAI("vllm", adapters=["/adapters/lab"])) as url:
            settings = Settings(engine="openai", engine_url=url)
            assert await served_models(settings) == ("tiny",)
            with pytest.raises(NotFound):
                await RemoteEngine.start("lab", settings)

    asyncio.run(run())


# -- generate


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_comes_in_pieces(kind: str) -> None:
    fake = FakeOpenAI(kind)

    async def work(engine: RemoteEngine) -> None:
        tokens, done = await say(engine)
        assert [token.text for token in tokens] == pieces(fake.answer)
        assert done.reason == "stop"
        cached = 3 if kind == "llamacpp" else 0
        assert done.usage == Usage(10, cached, 7)
        if kind == "llamacpp":
            assert (done.prompt_ms, done.generate_ms, done.drafted, done.accepted) == (12.5, 50.0, 4, 3)
        (body,) = fake.bodies(CHAT)
        assert body["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "The A valve.\nThe B valve.\nWhich valve?"},
        ]
        assert body["temperature"] == 0 and "top_k" not in body and "seed" not in body
        assert (await say(engine, max_tokens=2))[1].reason == "length"
        tokens, done = await say(engine, sampling=Sampling(stop=("4", "")))
        assert text_of(tokens) == "The B valve opens at " and done.reason == "stop"

    over(fake, work)


@pytest.mark.parametrize("kind", KINDS)
def test_plain_text_and_tokens_go_on_as_they_stand(kind: str) -> None:
    fake = FakeOpenAI(kind)

    async def work(engine: RemoteEngine) -> None:
        tokens, _ = await say(engine, Plain("<|im_start|>user"))
        assert text_of(tokens) == fake.answer
        await say(engine, Plain(tokens=(1, 2, 3)))
        assert [body["prompt"] for body in fake.bodies(PLAIN)] == ["<|im_start|>user", [1, 2, 3]]

    over(fake, work)


def test_sampling_is_said_in_the_server_s_words() -> None:
    drawn = Sampling(
        temperature=0.7, top_k=9, top_p=0.8, min_p=0.1, repeat_penalty=1.1, presence_penalty=0.2,
        frequency_penalty=0.3, seed=5, logit_bias=((7, -100.0),),
    )  # fmt: skip
    common = {"temperature": 0.7, "top_p": 0.8, "seed": 5, "presence_penalty": 0.2, "frequency_penalty": 0.3}
    own = {
        "llamacpp": {"top_k": 9, "min_p": 0.1, "repeat_penalty": 1.1},
        "vllm": {"top_k": 9, "min_p": 0.1, "repetition_penalty": 1.1},
        "ollama": {},
    }
    for kind in KINDS:
        fake = FakeOpenAI(kind)

        async def work(engine: RemoteEngine) -> None:
            await say(engine, sampling=drawn)

        over(fake, work)
        (body,) = fake.bodies(CHAT)
        rest = {"model", "messages", "max_tokens", "stream", "stream_options"}
        expected = {**common, **own[kind], "logit_bias": {"7": -100.0}}
        assert {name: value for name, value in body.items() if name not in rest} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_grammar_goes_only_where_it_is_followed(kind: str) -> None:
    fake = FakeOpenAI(kind)

    async def work(engine: RemoteEngine) -> None:
        if kind == "ollama":
            with pytest.raises(BadRequest, match="no grammar"):
                await say(engine, sampling=Sampling(grammar="root ::= [0-9]"))
            assert not fake.bodies(CHAT)
            return
        await say(engine, sampling=Sampling(grammar="root ::= [0-9]"))
        (body,) = fake.bodies(CHAT)
        told = body["grammar"] if kind == "llamacpp" else body["structured_outputs"]["grammar"]
        assert told == "root ::= [0-9]"

    over(fake, work)


@pytest.mark.parametrize("kind", KINDS)
def test_log_probabilities_are_told_where_they_are_asked_for(kind: str) -> None:
    async def work(engine: RemoteEngine) -> None:
        tokens, _ = await say(engine, sampling=Sampling(top_logprobs=1))
        (first,) = tokens[0].scored
        assert (first.raw, first.logprob) == (b"The", -0.25)
        assert first.token == (3 if kind == "llamacpp" else -1)
        assert [(other.raw, other.logprob) for other in first.top] == [(b"The", -0.25)]
        tokens, _ = await say(engine, sampling=Sampling(top_logprobs=0))
        assert tokens[0].scored[0].top == ()
        tokens, _ = await say(engine)
        assert tokens[0].scored == ()

    over(FakeOpenAI(kind), work)


def test_a_server_that_tells_no_usage() -> None:
    async def work(engine: RemoteEngine) -> None:
        _, done = await say(engine)
        assert done.usage == Usage(0, 0, 7)
        assert done.prompt_ms > 0 and done.generate_ms >= 0

    over(FakeOpenAI("vllm", usage=False), work)


def test_calls_of_tools_come_as_a_model_writes_them() -> None:
    tool = json.dumps({"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}})
    asked = Prompt(
        (
            Message("user", "1 + 2?"),
            Message("assistant", "", (ToolCall("c1", "add", '{"a": 1}'),)),
            Message("tool", "3", tool_call_id="c1"),
        ),
        tools=(tool,),
    )
    calls = [
        {"index": 0, "id": "c2", "function": {"name": "add", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a": '}},
        {"index": 0, "function": {"arguments": "4}"}},
        {"index": 0, "id": "c3", "type": "function", "function": {"name": "sub", "arguments": "not JSON"}},
    ]
    fake = FakeOpenAI(answer="", calls=calls)

    async def work(engine: RemoteEngine) -> None:
        tokens, _ = await say(engine, asked)
        assert text_of(tokens) == (
            '<tool_call>\n{"name": "add", "arguments": {"a": 4}}\n</tool_call>\n'
            '<tool_call>\n{"name": "sub", "arguments": "not JSON"}\n</tool_call>'
        )
        (body,) = fake.bodies(CHAT)
        assert body["tools"] == [json.loads(tool)]
        call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
        assert body["messages"][1:] == [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "3", "tool_call_id": "c1"},
        ]

    over(fake, work)


@pytest.mark.parametrize("kind", ["llamacpp", "vllm"])
def test_beside_a_grammar_the_tools_are_told_in_the_prompt(kind: str) -> None:
    fake = FakeOpenAI(kind)
    tool = json.dumps({"type": "function", "function": {"name": "add"}})

    async def work(engine: RemoteEngine) -> None:
        await say(engine, replace(PROMPT, tools=(tool,)), Sampling(grammar="root ::= [0-9]"))
        rendered = fake.bodies("/apply-template" if kind == "llamacpp" else "/tokenize")[-1]
        assert rendered["tools"] == [json.loads(tool)] and len(rendered["messages"]) == 2
        (body,) = fake.bodies(PLAIN)
        assert "tools" not in body and len(body["prompt"]) >= 10
        assert "root" in str(body.get("grammar") or body.get("structured_outputs"))

    over(fake, work)


@pytest.mark.parametrize(
    "mark", ["<|im_end|>", "<｜User｜>", "</s>", "<s>", "<end_of_turn>", "[INST]", "[/INST]", "[TOOL_CALLS]"]
)
def test_what_looks_like_a_control_token_is_told_with_a_mark_in_it(mark: str) -> None:
    (message,) = chat_of(Prompt((Message("user", f"a{mark}b"),), (f"{mark}\n",)))["messages"]
    assert mark not in message["content"]
    assert message["content"].replace("\u2060", "") == f"{mark}\na{mark}b"


@given(st.text(), st.lists(st.text(alphabet="<|>/s[INST]a b\n"), max_size=3))
def test_nothing_else_of_a_content_is_changed(content: str, passages: list[str]) -> None:
    body = chat_of(Prompt((Message("user", content),), tuple(passages)))
    told = body["messages"][-1]["content"]
    whole = "".join(passages) + content
    assert told.replace("\u2060", "") == whole.replace("\u2060", "")
    assert "<|s|>" not in told and "[INST]" not in told and "</s>" not in told


@pytest.mark.parametrize(
    "text", ["List<int> x; a<b && c>d", "<div class='s'>|</div>", "x[I] = [INSTANCE]", "a <| b |> c <s2>"]
)
def test_code_is_told_as_it_is(text: str) -> None:
    assert chat_of(Prompt((Message("user", text),)))["messages"][0]["content"] == text


# -- hanging up


def test_a_cancelled_answer_hangs_up() -> None:
    fake = FakeOpenAI(answer="word " * 200, pause_s=0.3)

    async def work(engine: RemoteEngine) -> None:
        generation = engine.generate(PROMPT, Sampling(), 200)
        await anext(generation)
        task = asyncio.ensure_future(anext(generation))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        left = engine.generate(PROMPT, Sampling(), 200)
        await anext(left)
        await left.aclose()
        async with asyncio.timeout(2):
            while fake.hung_up < 2:
                await asyncio.sleep(0.01)
        assert (await say(engine, max_tokens=2))[1].reason == "length"

    over(fake, work)


# -- judge


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("likely", "leaning"),
    [
        ({"Yes": -0.5, " Yes": -3.0, "No": -2.0, "The": -4.0}, math.log(math.exp(-0.5) + math.exp(-3.0)) + 2.0),
        ({"No": -0.1, "The": -3.0, "A": -6.0}, -6.0 + 0.1),
        ({"Yes": -0.1, "The": -3.0}, -0.1 + 3.0),
        ({"The": -0.1, "A": -3.0}, 0.0),
        ({"Yes": -20000.0, "No": -9999.0}, 0.0),
    ],
)
def test_a_judgement_is_read_from_the_likeliest_tokens(kind: str, likely: dict[str, float], leaning: float) -> None:
    fake = FakeOpenAI(kind, likely=likely)

    async def work(engine: RemoteEngine) -> None:
        assert await engine.judge([PROMPT, PROMPT]) == pytest.approx([leaning, leaning])
        assert await engine.judge([]) == []
        body = fake.bodies(CHAT)[0]
        assert (body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (1, True, 20)

    over(fake, work)


def test_without_log_probabilities_nothing_is_judged() -> None:
    async def work(engine: RemoteEngine) -> None:
        with pytest.raises(EngineFailed, match="log-probabilities") as refused:
            await engine.judge([PROMPT])
        assert "LOREBOOK_ENGINE_URL" in refused.value.hint

    over(FakeOpenAI("ollama", logprobs=False), work)


def test_judgements_are_made_a_few_at_a_time_and_all_given_up_together() -> None:
    fake = FakeOpenAI(pause_s=0.1)

    async def work(engine: RemoteEngine) -> None:
        assert len(await engine.judge([PROMPT] * 16)) == 16
        assert 1 < fake.most_in_hand <= 8
        fake.fails[CHAT] = (500, "{}")
        with pytest.raises(EngineFailed):
            await engine.judge([PROMPT] * 3)

    over(fake, work)


# -- score


def test_a_text_is_scored_where_the_server_repeats_it() -> None:
    fake = FakeOpenAI("vllm")

    async def work(engine: RemoteEngine) -> None:
        scored = await engine.score(Plain("The B valve"), top=1)
        assert [one.raw for one in scored] == [b"The", b" B", b" valve"]
        assert [one.logprob for one in scored] == [0.0, -0.25, -0.25]
        assert scored[0].top == () and [other.raw for other in scored[1].top] == [b" B"]
        assert (await engine.score(Plain("The B valve")))[1].top == ()
        assert len(await engine.score(PROMPT)) == 10
        assert all(body["echo"] and body["max_tokens"] == 1 for body in fake.bodies(PLAIN))

    over(fake, work)


def test_the_likelihood_of_a_text_after_prompts_is_read_from_the_same() -> None:
    fake = FakeOpenAI("vllm")

    async def work(engine: RemoteEngine) -> None:
        assert await engine.likelihood([PROMPT, PROMPT], "The B valve") == [-0.25, -0.25]
        assert await engine.likelihood([], "x") == [] and await engine.likelihood([PROMPT], "") == [0.0]
        (body, _) = fake.bodies(PLAIN)
        assert len(body["prompt"]) == 10 + 3

    over(fake, work)


def test_texts_after_a_prompt_are_what_its_tokens_leave() -> None:
    async def work(engine: RemoteEngine) -> None:
        one, none = await engine.continuations(Plain("The"), [" B valve", ""])
        assert (one.logprob, one.tokens) == (-0.5, 2)
        assert (none.logprob, none.tokens) == (0.0, 0)
        assert await engine.continuations(Plain("The"), []) == []

    over(FakeOpenAI("vllm"), work)


@pytest.mark.parametrize("kind", ["llamacpp", "ollama"])
def test_where_a_prompt_is_not_repeated_it_is_not_scored(kind: str) -> None:
    async def work(engine: RemoteEngine) -> None:
        with pytest.raises(EngineFailed, match="does not tell"):
            await engine.likelihood([PROMPT], "Why?")
        for prompt in (Plain("The B valve"), PROMPT):
            with pytest.raises(EngineFailed, match="does not tell"):
                await engine.score(prompt)

    over(FakeOpenAI(kind), work)


# -- count


@pytest.mark.parametrize("kind", ["llamacpp", "vllm"])
def test_the_server_counts_tokens(kind: str) -> None:
    fake = FakeOpenAI(kind)

    async def work(engine: RemoteEngine) -> None:
        with_passages, plain, tokens = await engine.count([PROMPT, Plain("one two"), Plain(tokens=(1, 2, 3))])
        around = 3 if kind == "llamacpp" else 0
        assert with_passages.rest == 4 + around
        assert len(with_passages.passages) == 2 and sum(with_passages.passages) == 8
        assert (plain.total, tokens.total) == (2, 3)

    over(fake, work)


@pytest.mark.parametrize("fake", [FakeOpenAI("ollama"), FakeOpenAI("vllm", routes=False)])
def test_elsewhere_tokens_are_estimated_and_rather_too_many(fake: FakeOpenAI) -> None:
    async def work(engine: RemoteEngine) -> None:
        (size,) = await engine.count([PROMPT])
        assert size.passages == (5, 5)
        assert size.rest >= 9
        assert (await engine.count([Plain("a" * 31), Plain(tokens=(1, 2))]))[0].total == 11

    over(fake, work)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_beyond_the_context_is_refused(kind: str) -> None:
    told = "This model's maximum context length is 2048 tokens. However, you requested 3000 tokens"
    fake = FakeOpenAI(kind)
    if kind != "ollama":  # which cuts it and says nothing
        fake.fails[CHAT] = (400, json.dumps({"error": {"message": told, "code": 400}}))

    async def work(engine: RemoteEngine) -> None:
        with pytest.raises(TooLong, match="2048"):
            await say(engine, Prompt((Message("user", "word " * 3000),)))

    over(fake, work, n_ctx=2048)


# -- adapters


def test_llama_server_is_told_the_scale_of_every_adapter() -> None:
    fake = FakeOpenAI(adapters=["/srv/a.gguf", r"C:\lora\b.gguf"])

    async def work(engine: RemoteEngine) -> None:
        assert await engine.loaded() == ("a", "b")
        for adapters, scales in [
            ((), [0.0, 0.0]),
            ((AdapterUse("a"),), [1.0, 0.0]),
            ((AdapterUse(r"C:\lora\b.gguf", 0.25), AdapterUse("/elsewhere/a.gguf", 0.5)), [0.5, 0.25]),
        ]:
            await say(engine, adapters=adapters)
            body = fake.bodies(CHAT)[-1]
            assert body["lora"] == [{"id": n, "scale": scale} for n, scale in enumerate(scales)]
            assert body["cache_prompt"] is False
        await engine.load("a")
        with pytest.raises(NotFound, match="'c'"):
            await say(engine, adapters=(AdapterUse("c"),))
        with pytest.raises(Unusable, match="'c'") as refused:
            await engine.load("c")
        assert "--lora c.gguf" in refused.value.hint
        with pytest.raises(Unusable, match="keeps"):
            await engine.unload("a")
        with pytest.raises(NotFound):
            await engine.unload("c")

    over(fake, work)


def test_llama_server_without_adapters_keeps_what_it_read() -> None:
    fake = FakeOpenAI()

    async def work(engine: RemoteEngine) -> None:
        await say(engine)
        assert "cache_prompt" not in fake.bodies(CHAT)[-1] and "lora" not in fake.bodies(CHAT)[-1]

    over(fake, work)


def test_vllm_loads_an_adapter_and_asks_it_by_its_name() -> None:
    fake = FakeOpenAI("vllm")

    async def work(engine: RemoteEngine) -> None:
        await say(engine, adapters=(AdapterUse("/adapters/lab"),))
        await say(engine, adapters=(AdapterUse("lab"),))
        await engine.judge([PROMPT], (AdapterUse("lab"),))
        await say(engine)
        assert [body["model"] for body in fake.bodies(CHAT)] == ["lab", "lab", "lab", "tiny"]
        assert fake.bodies("/v1/load_lora_adapter") == [{"lora_name": "lab", "lora_path": "/adapters/lab"}]
        await engine.load("lab")
        assert await engine.loaded() == ("lab",)
        await engine.unload("lab")
        assert await engine.loaded() == ()
        with pytest.raises(NotFound, match="'lab'"):
            await engine.unload("lab")
        with pytest.raises(Unusable, match="adapter_config"):
            await say(engine, adapters=(AdapterUse("other"),))
        for uses in ((AdapterUse("/adapters/lab", 0.5),), (AdapterUse("/adapters/lab"), AdapterUse("/adapters/b"))):
            with pytest.raises(Unusable, match="one adapter"):
                await say(engine, adapters=uses)
        fake.fails["/v1/load_lora_adapter"] = (404, '{"detail":"Not Found"}')
        with pytest.raises(Unusable) as refused:
            await engine.load("/adapters/lab")
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in refused.value.hint

    over(fake, work)


def test_other_servers_take_no_adapters() -> None:
    async def work(engine: RemoteEngine) -> None:
        assert await engine.loaded() == ()
        for attempt in (engine.load("lab"), engine.unload("lab"), say(engine, adapters=(AdapterUse("lab"),))):
            with pytest.raises(Unusable, match="takes no adapters"):
                await attempt

    over(FakeOpenAI("ollama"), work)


# -- failures


def error(message: str) -> str:
    return json.dumps({"error": {"message": message, "type": "some_error", "code": None}})


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, error("Failed to parse grammar"), BadRequest, "parse grammar"),
        (400, error("request exceeds the available context size"), TooLong, "context size"),
        (401, error("Invalid API Key"), EngineFailed, "401"),
        (403, "", EngineFailed, "403"),
        (404, error("The model `tiny` does not exist."), NotFound, "does not exist"),
        (422, json.dumps({"detail": [{"msg": "field required"}]}), BadRequest, "field required"),
        (429, "slow down", EngineFailed, "429"),
        (500, error("boom\nboom"), EngineFailed, "boom boom"),
        (502, "<html>Bad Gateway</html>", EngineFailed, "502"),
        (503, error("Loading model"), EngineFailed, "Loading model"),
        (307, "", EngineFailed, "307"),
        (200, "<html>Welcome</html>", EngineFailed, "not what OpenAI"),
        (200, "[1, 2]", EngineFailed, "not what OpenAI"),
        (200, '{"choices": "none"}', EngineFailed, "not what OpenAI"),
        (200, '{"choices": []}', EngineFailed, "not what OpenAI"),
    ],
)
def test_what_a_server_refuses_is_told_with_its_host_and_the_setting(
    status: int, body: str, kind: type[LorebookError], said: str
) -> None:
    fake = FakeOpenAI()

    async def work(engine: RemoteEngine) -> None:
        fake.fails[CHAT] = (status, body)
        with pytest.raises(kind, match=said) as refused:
            await engine.judge([PROMPT])
        assert type(refused.value) is kind
        assert "127.0.0.1:" in str(refused.value)
        assert "LOREBOOK_" in refused.value.hint or kind is TooLong or status == 429
        if status >= 300:
            with pytest.raises(kind, match=said):
                await say(engine)
        fake.fails.clear()
        assert (await say(engine))[0]

    over(fake, work)


@pytest.mark.parametrize("key", ["", "sk-wrong", "sk-right"])
def test_the_key_is_sent_and_never_told(key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake = FakeOpenAI(key="sk-right")

    async def work(engine: RemoteEngine) -> None:
        assert (await say(engine))[0]

    if key == "sk-right":
        over(fake, work, engine_key=key)
    else:
        with pytest.raises(EngineFailed, match="Invalid API Key") as refused:
            over(fake, work, engine_key=key)
        assert "LOREBOOK_ENGINE_KEY" in refused.value.hint
        assert "sk-" not in str(refused.value)
    assert "sk-" not in caplog.text


@pytest.mark.parametrize("fails", [(200, "{}"), (200, '{"data": [{}]}'), (200, "no"), (500, "")])
def test_a_server_that_is_none_is_found_out_at_the_start(fails: tuple[int, str]) -> None:
    async def work(engine: RemoteEngine) -> None:
        raise AssertionError("it has started")

    with pytest.raises(EngineFailed):
        over(FakeOpenAI(fails={"/v1/models": fails}), work)


def test_nobody_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EngineDied, match=r"Nobody answers at 127\.0\.0\.1:") as refused:
            asyncio.run(RemoteEngine.start("auto", Settings(engine="openai", engine_url=url)))
        assert "LOREBOOK_ENGINE_URL" in refused.value.hint


def test_a_server_that_says_nothing_is_given_up() -> None:
    fake = FakeOpenAI()

    async def work(engine: RemoteEngine) -> None:
        fake.pause_s = 2.0
        for attempt in (say(engine), engine.judge([PROMPT])):
            with pytest.raises(EngineDied, match=r"nothing for 0\.3 seconds"):
                await attempt
        fake.pause_s = 0.0

    over(fake, work, patience_s=0.3)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"cut": True}, EngineDied, "broke off"),
        ({"event": "{oh"}, EngineFailed, "not what OpenAI"),
        ({"event": '{"choices": 1}'}, EngineFailed, "not what OpenAI"),
        ({"event": '{"error": {"message": "Out of memory", "code": 500}}'}, EngineFailed, "Out of memory"),
        ({"event": '{"error": {"message": "it exceeds the context size", "code": 400}}'}, TooLong, "context size"),
        ({"event": '{"error": "oh"}'}, EngineFailed, "oh"),
    ],
)
def test_a_stream_that_goes_wrong_in_the_middle(
    changes: dict[str, object], kind: type[LorebookError], said: str
) -> None:
    async def work(engine: RemoteEngine) -> None:
        told = []
        with pytest.raises(kind, match=said):
            async for piece in engine.generate(PROMPT, Sampling(), 20):
                told.append(piece.text)
        assert told == ["The", " B"]

    over(replace(FakeOpenAI(), **changes), work)


def test_a_line_that_breaks_inside_an_event() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            body = json.dumps({"data": [{"id": "tiny"}]}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        else:
            event = b'data: {"choices": [{"delta": {"content": "The"}}]}\n\ndata: {"cho'
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            engine = await RemoteEngine.start("auto", Settings(engine="openai", engine_url=url))
            generation = engine.generate(PROMPT, Sampling(), 20)
            assert await anext(generation) == Token("The")
            with pytest.raises(EngineDied, match="broke off"):
                await anext(generation)
            await engine.close()

    asyncio.run(run())
