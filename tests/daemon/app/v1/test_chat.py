"""Chat completions, driven by the published OpenAI client."""

import asyncio
import socket

import openai
import pytest
from pydantic import BaseModel

from fake_app import TOKEN, eventually
from fakes import FakeEngine
from lorebook_api.asking import Sampling
from lorebook_api.errors import EngineDied
from lorebook_daemon.engine.protocol import Message, Priority, Token, ToolCall, Turn

HELLO = [{"role": "user", "content": "hello there world"}]
SAID = "You asked: hello there world"


async def chunks_of(client, **asked):
    stream = await client.chat.completions.create(**{"model": "auto", "messages": HELLO, **asked}, stream=True)
    return [chunk async for chunk in stream]


def ask(**asked):
    return lambda client: client.chat.completions.create(**{"model": "auto", "messages": HELLO, **asked})


def call_of(bench):
    return next(call for call in bench.engine.calls if call.what == "generate")


def test_a_whole_answer(play, bench):
    answer = play(ask())
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "tiny"
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", SAID, "stop")
    assert choice.logprobs is None
    assert choice.message.tool_calls is None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (3, 5, 8)
    assert answer.usage.prompt_tokens_details.cached_tokens == 0
    assert bench.engine.prompts[0].messages == (Message("user", "hello there world"),)


def test_the_timings_are_llama_cpps(play):
    timings = play(ask()).timings
    assert timings == {
        "cache_n": 0,
        **{"prompt_n": 3, "prompt_ms": 1.0, "prompt_per_token_ms": 1 / 3, "prompt_per_second": 3000.0},
        **{"predicted_n": 5, "predicted_ms": 1.0, "predicted_per_token_ms": 0.2, "predicted_per_second": 5000.0},
        **{"draft_n": 0, "draft_n_accepted": 0},
    }


def test_a_streamed_answer(play):
    chunks = play(chunks_of)
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    first, *middle, last = [chunk.choices[0] for chunk in chunks]
    assert (first.delta.role, first.delta.content) == ("assistant", "")
    assert [choice.delta.content for choice in middle] == ["You ", "asked: ", "hello ", "there ", "world"]
    assert (last.delta.content, last.finish_reason) == (None, "stop")
    assert [choice.finish_reason for choice in middle] == [None] * 5
    assert chunks[-1].timings["predicted_n"] == 5
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_tells_the_usage_last_where_that_is_wanted(play):
    *chunks, last = play(lambda client: chunks_of(client, stream_options={"include_usage": True}))
    assert (last.choices, last.usage.total_tokens, last.timings["prompt_n"]) == ([], 8, 3)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_the_wire_is_openais(play_plainly):
    async def scene(http):
        body = {"model": "auto", "messages": HELLO, "stream": True}
        return await http.post("/v1/chat/completions", json=body)

    response = play_plainly(scene)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert all(event.startswith('data: {"id": "chatcmpl-') and "\n" not in event for event in events[:-2])
    assert events[-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize("top", [None, 0, 2])
def test_logprobs(play, top):
    asked = {"logprobs": True} | ({} if top is None else {"top_logprobs": top})
    content = play(ask(**asked)).choices[0].logprobs.content
    assert [token.token for token in content] == ["You ", "asked: ", "hello ", "there ", "world"]
    assert all(bytes(token.bytes).decode() == token.token and token.logprob < 0 for token in content)
    assert [len(token.top_logprobs) for token in content] == [top or 0] * 5
    for chunk, token in zip(play(lambda client: chunks_of(client, **asked))[1:], content, strict=False):
        assert chunk.choices[0].logprobs.content == [token]


def test_every_parameter_of_sampling_reaches_the_engine(play, bench):
    asked = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "presence_penalty": 0.1, "frequency_penalty": -0.2}
    more = {"top_k": 3, "min_p": 0.01, "repeat_penalty": 1.1, "grammar": 'root ::= "a"'}
    bias = {"logit_bias": {"12": -100, "3": 5}, "stop": ["END", "STOP"], "logprobs": True, "top_logprobs": 4}
    play(ask(**asked, **bias, extra_body=more, max_tokens=2))
    assert call_of(bench).sampling == Sampling(
        **asked, **more, stop=("END", "STOP"), logit_bias=((12, -100.0), (3, 5.0)), top_logprobs=4
    )
    assert call_of(bench).max_tokens == 2


def test_what_is_not_said_is_llama_cpps_default_and_a_seed_by_chance(play, bench):
    async def scene(client):
        for _ in range(2):
            await ask()(client)
        await ask(seed=-1)(client)
        await ask(extra_body={"top_k": -1})(client)

    play(scene)
    sampling, *others = [call.sampling for call in bench.engine.calls]
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p) == (0.8, 40, 0.95, 0.05)
    assert (sampling.top_logprobs, sampling.grammar, sampling.stop) == (None, "", ())
    assert others[-1].top_k == 0
    assert len({sampling.seed, *(other.seed for other in others)}) == 4


def test_n_answers_share_a_prompt_and_count_the_seed_up(play, bench):
    answer = play(ask(n=3, seed=2**32 - 1))
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {SAID}
    assert [call.sampling.seed for call in bench.engine.calls] == [2**32 - 1, 0, 1]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 15)
    assert bench.engine.together > 1


def test_n_streamed_answers_all_begin_and_end(play):
    chunks = play(lambda client: chunks_of(client, n=2, stream_options={"include_usage": True}))
    for number in (0, 1):
        own = [chunk.choices[0] for chunk in chunks if chunk.choices and chunk.choices[0].index == number]
        assert own[0].delta.role == "assistant"
        assert "".join(choice.delta.content or "" for choice in own) == SAID
        assert [choice.finish_reason for choice in own].count("stop") == 1
    assert chunks[-1].usage.completion_tokens == 10


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_at_its_bound_and_says_so(play, name):
    (choice,) = play(ask(**{name: 2})).choices
    assert (choice.message.content, choice.finish_reason) == ("You asked: ", "length")


def test_without_a_bound_an_answer_may_fill_the_context(play, bench):
    play(ask())
    assert call_of(bench).max_tokens == bench.engine.n_ctx - 3


def test_a_prompt_that_fills_the_context_is_refused(play, bench):
    bench.engine = FakeEngine(n_ctx=3)
    with pytest.raises(openai.BadRequestError) as refused:
        play(ask())
    assert refused.value.body["type"] == "exceeds_context_size_error"
    assert refused.value.body["hint"]


def test_stop_texts_cut_the_answer(play):
    (choice,) = play(ask(stop="there")).choices
    assert (choice.message.content, choice.finish_reason) == ("You asked: hello ", "stop")


def test_it_takes_its_turn_as_the_user_it_names(play, bench):
    play(ask(user="ada"))
    assert call_of(bench).turn == Turn(Priority.complete, "ada")


def test_a_conversation_with_parts_and_calls_reaches_the_prompt(play, bench):
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": parts, "name": "Ada"},
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "annotations": []},
        {"role": "tool", "content": "2", "tool_call_id": "c1"},
        {"role": "user", "content": "and?"},
    ]
    play(ask(messages=messages))
    assert bench.engine.prompts[0].messages == (
        Message("system", "Be brief."),
        Message("user", "one\ntwo"),
        Message("assistant", "", (ToolCall("c1", "add", '{"a": 1}'),)),
        Message("tool", "2", tool_call_id="c1"),
        Message("user", "and?"),
    )


def test_an_answer_can_go_back_into_the_conversation_as_it_came(play, bench):
    async def scene(client):
        answer = await ask()(client)
        message = answer.choices[0].message
        await ask(messages=[*HELLO, message, {"role": "user", "content": "go on"}])(client)

    play(scene)
    assert bench.engine.prompts[1].messages[1] == Message("assistant", SAID)


class Person(BaseModel):
    name: str
    age: int | None


def test_the_clients_own_parsing_of_pydantic_models_works(play, bench):
    bench.engine = FakeEngine(answer='{"name": "Ada", "age": null}')

    async def scene(client):
        return await client.chat.completions.parse(model="auto", messages=HELLO, response_format=Person)

    assert play(scene).choices[0].message.parsed == Person(name="Ada", age=None)
    assert '\\"name\\"' in call_of(bench).sampling.grammar


def test_json_object_is_any_object(play, bench):
    play(ask(response_format={"type": "json_object"}))
    assert call_of(bench).sampling.grammar.startswith("root ::= r")
    play(ask(response_format={"type": "text"}))
    assert bench.engine.calls[-1].sampling.grammar == ""


def test_what_changes_nothing_is_let_through(play):
    extra = {"cache_prompt": True, "mirostat": 0, "typical_p": 1.0, "top_n_sigma": -1, "id_slot": -1}
    known = {"store": True, "metadata": {"a": "b"}, "service_tier": "auto", "modalities": ["text"]}
    assert play(ask(**known, extra_body=extra)).choices[0].message.content == SAID


def test_an_engine_that_dies_before_the_first_token_is_a_502(play, bench):
    bench.engine = Dying(after=0)
    with pytest.raises(openai.InternalServerError) as died:
        play(ask(stream=True))
    assert died.value.status_code == 502
    assert died.value.body["type"] == "engine_died_error"


def test_an_engine_that_dies_later_is_told_in_the_stream(play, bench):
    bench.engine = Dying(after=2)

    async def scene(client):
        heard = []
        with pytest.raises(openai.APIError, match="gone"):
            async for chunk in await ask(stream=True)(client):
                heard.append(chunk.choices[0].delta.content)
        return heard

    assert play(scene) == ["", "word ", "word "]
    with pytest.raises(openai.InternalServerError, match="gone"):
        play(ask())


class Dying(FakeEngine):
    """An engine that says so many words and dies."""

    def __init__(self, after):
        super().__init__()
        self._after = after

    async def generate(self, *asked):
        for _ in range(self._after):
            yield Token("word ")
        raise EngineDied("The engine is gone.", "Ask again.")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_ends_the_work(play, bench, stream):
    bench.engine = FakeEngine(pause_s=0.02, answer="word " * 500)

    async def scene(client):
        asking = asyncio.create_task(chunks_of(client, n=2) if stream else ask(n=2)(client))
        await eventually(lambda: bench.engine.running == 2)
        asking.cancel()
        await eventually(lambda: bench.engine.cancelled == 2 and bench.parts.engines.depth == 0)

    play(scene)


def test_an_answer_can_be_cancelled_by_its_id(play_plainly, bench):
    bench.engine = FakeEngine(pause_s=0.02, answer="word " * 500)

    async def scene(http):
        body = {"model": "auto", "messages": HELLO}
        asking = asyncio.create_task(http.post("/v1/chat/completions", json=body))
        await eventually(lambda: bench.engine.running == 1)
        (request_id,) = bench.parts.running._tasks
        await http.post("/api/cancel", json={"request_id": request_id})
        return await asking

    assert play_plainly(scene).status_code == 499


def test_a_client_that_never_reads_leaves_the_engine_to_others(bench):
    bench.engine = FakeEngine(n_ctx=100_000, answer="word " * 40_000)
    body = b'{"model": "auto", "stream": true, "messages": [{"role": "user", "content": "hello"}]}'

    async def scene():
        async with bench.served() as url:
            host, port = url.removeprefix("http://").split(":")
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {TOKEN}\r\n"
            with socket.create_connection((host, int(port))) as deaf:
                deaf.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await eventually(lambda: bool(bench.engine.calls))
                await eventually(lambda: bench.parts.engines.depth == 0, within_s=20)
                assert len(bench.parts.running) == 1  # its answer waits to be read
            await eventually(lambda: len(bench.parts.running) == 0)

    asyncio.run(scene())
