"""Tools: what the model is told, what is forced, and its calls, found in what it says."""

import json

import openai
import pytest

from fakes import FakeEngine


def tool(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": f"To {name}.", "parameters": parameters}}


ADD = tool("add", a={"type": "integer"}, b={"type": "integer"})
LIST = tool("list")
CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
OTHER = '<tool_call>{"name": "list", "arguments": {}}</tool_call>'


def ask(client, **asked):
    messages = [{"role": "user", "content": "1 + 2?"}]
    return client.chat.completions.create(**{"model": "auto", "messages": messages, "tools": [ADD, LIST], **asked})


def answered(play, bench, answer, **asked):
    bench.engine = FakeEngine(answer=answer)
    return play(lambda client: ask(client, **asked)).choices[0]


def grammar_of(bench):
    return bench.engine.calls[0].sampling.grammar


def test_a_call_is_told_as_one(play, bench):
    choice = answered(play, bench, CALL)
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls
    assert call.id.startswith("call_")
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == ("function", "add", {"a": 1, "b": 2})


def test_the_model_is_told_of_the_tools(play, bench):
    answered(play, bench, "no need")
    assert [json.loads(told) for told in bench.engine.prompts[0].tools] == [ADD, LIST]
    assert grammar_of(bench) == ""


def test_text_and_several_calls(play, bench):
    choice = answered(play, bench, f"Let me see.\n{CALL}\n{OTHER}\n")
    assert choice.message.content == "Let me see."
    assert [call.function.name for call in choice.message.tool_calls] == ["add", "list"]


def test_calls_are_streamed(play, bench):
    bench.engine = FakeEngine(answer=f"Let me see. {CALL} {OTHER}")

    async def scene(client):
        return [chunk.choices[0] async for chunk in await ask(client, stream=True)]

    choices = play(scene)
    assert "".join(choice.delta.content or "" for choice in choices) == "Let me see."
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert [(call.index, call.function.name) for call in calls] == [(0, "add"), (1, "list")]
    assert json.loads(calls[0].function.arguments) == {"a": 1, "b": 2}
    assert len({call.id for call in calls}) == 2
    assert choices[-1].finish_reason == "tool_calls"


def test_logprobs_of_calls_are_not_lost(play, bench):
    bench.engine = FakeEngine(answer=CALL)

    async def scene(client):
        return [chunk.choices[0].logprobs async for chunk in await ask(client, stream=True, logprobs=True)]

    told = [token.token for logprobs in play(scene) if logprobs for token in logprobs.content]
    assert "".join(told) == CALL


def test_none_tells_the_model_nothing_and_finds_no_calls(play, bench):
    choice = answered(play, bench, CALL, tool_choice="none")
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (CALL, None, "stop")
    assert bench.engine.prompts[0].tools == ()


def test_required_forces_a_call_of_any(play, bench):
    answered(play, bench, CALL, tool_choice="required")
    assert '\\"name\\": \\"add\\"' in grammar_of(bench)
    assert '\\"name\\": \\"list\\"' in grammar_of(bench)
    assert "{0,15}" in grammar_of(bench).partition("\n")[0]


def test_a_named_one_is_forced_alone(play, bench):
    choice = answered(play, bench, CALL, tool_choice={"type": "function", "function": {"name": "add"}})
    assert choice.message.tool_calls[0].function.name == "add"
    assert '\\"name\\": \\"list\\"' not in grammar_of(bench)
    assert "{0,15}" not in grammar_of(bench).partition("\n")[0]


def test_without_parallel_calls_the_answer_ends_after_one(play, bench):
    choice = answered(play, bench, CALL + OTHER, parallel_tool_calls=False)
    assert [call.function.name for call in choice.message.tool_calls] == ["add"]
    assert choice.finish_reason == "tool_calls"


def test_json_or_calls(play, bench):
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}
    answered(play, bench, "3", response_format=form)
    assert "|" in grammar_of(bench).partition("\n")[0]


BARE = '{"name": "add", "arguments": {"a": 1, "b": 2}}'


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_nothing_but_a_call_needs_no_tags(play, bench, stream):
    bench.engine = FakeEngine(answer=f"```json\n{BARE}\n```")

    async def scene(client):
        if not stream:
            return [(await ask(client)).choices[0]]
        return [chunk.choices[0] async for chunk in await ask(client, stream=True)]

    choices = play(scene)
    messages = [choice.delta if stream else choice.message for choice in choices]
    (call,) = [call for message in messages for call in message.tool_calls or ()]
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 1, "b": 2})
    assert not any(message.content for message in messages)
    assert choices[-1].finish_reason == "tool_calls"


def test_several_bare_calls_are_several_unless_one_is_wanted(play, bench):
    assert len(answered(play, bench, f"{BARE}\n{BARE}").message.tool_calls) == 2
    assert len(answered(play, bench, f"{BARE}\n{BARE}", parallel_tool_calls=False).message.tool_calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        '<|python_tag|>{"name": "add", "parameters": {"a": 1, "b": 2}}',
        '[TOOL_CALLS][{"name": "add", "arguments": {"a": 1, "b": 2}}]',
        "<tool_call>\n<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>\n"
        "</tool_call>",
    ],
)
def test_other_models_calls_are_calls_too(play, bench, answer):
    choice = answered(play, bench, answer)
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 1, "b": 2})
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)


def test_a_call_that_was_cut_short_stays_text(play, bench):
    choice = answered(play, bench, CALL, max_tokens=3)
    assert (choice.message.content.startswith("<tool_call>"), choice.finish_reason) == (True, "length")


REFUSED = [
    {"tool_choice": {"type": "function", "function": {"name": "rm"}}},
    {"tools": [ADD, ADD]},
    {"tools": [tool("bad name")]},
    {"tools": [tool("add", a={"type": "number of some kind"})]},
    {"tools": [{"type": "web_search"}]},
    {"tools": [], "tool_choice": "required"},
    {"extra_body": {"grammar": 'root ::= "a"'}},
]


def test_tools_that_cannot_be_are_refused(play, bench):
    async def scene(client):
        for asked in REFUSED:
            with pytest.raises(openai.BadRequestError) as refused:
                await ask(client, **asked)
            assert refused.value.body["hint"]

    play(scene)
    assert bench.engine.calls == []
