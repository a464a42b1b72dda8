"""Text completions, driven by the published OpenAI client: prompts, echo, log-probabilities as lm-eval wants them."""

import math

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeEngine
from lorebook_daemon.app.v1.logprobs import Columns
from lorebook_daemon.engine.protocol import Alternative, Plain, Priority, Scored, Turn

LIKELY, UNLIKELY = math.log(0.5), math.log(0.125)


def complete(**asked):
    return lambda client: client.completions.create(**{"model": "auto", **asked})


def test_a_whole_completion(play, bench):
    answer = play(complete(prompt="Once upon", user="ada"))
    assert (answer.object, answer.model) == ("text_completion", "tiny")
    assert answer.id.startswith("cmpl-")
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.logprobs) == ("You said: Once upon", "stop", None)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)
    assert answer.timings["predicted_n"] == 4
    (call,) = bench.engine.calls
    assert (call.prompts, call.turn) == ((Plain("Once upon"),), Turn(Priority.complete, "ada"))
    assert call.max_tokens == bench.engine.n_ctx - 2


def test_a_streamed_completion(play):
    async def scene(client):
        stream = await complete(prompt="Once", stream=True, stream_options={"include_usage": True})(client)
        return [chunk async for chunk in stream]

    *chunks, last = play(scene)
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert "".join(chunk.choices[0].text for chunk in chunks) == "You said: Once"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert (last.choices, last.usage.total_tokens) == ([], 4)


@pytest.mark.parametrize(
    ("prompt", "plain"),
    [
        ("a b", [Plain("a b")]),
        ([3, 4], [Plain(tokens=(3, 4))]),
        (["a", "b c"], [Plain("a"), Plain("b c")]),
        ([[3], [4, 5]], [Plain(tokens=(3,)), Plain(tokens=(4, 5))]),
    ],
)
def test_a_prompt_is_text_or_tokens_and_there_may_be_several(play, bench, prompt, plain):
    answer = play(complete(prompt=prompt, max_tokens=1))
    assert bench.engine.prompts == plain
    assert [choice.index for choice in answer.choices] == list(range(len(plain)))


def test_several_answers_to_several_prompts_stand_in_order(play, bench):
    answer = play(complete(prompt=["a", "b c"], n=2, best_of=2, seed=5, max_tokens=9))
    assert [choice.text for choice in answer.choices] == ["You said: a"] * 2 + ["You said: b c"] * 2
    assert answer.usage.prompt_tokens == 3
    assert sorted(call.sampling.seed for call in bench.engine.calls) == [5, 5, 6, 6]


def test_many_prompts_are_worked_on_a_few_at_a_time(play, bench):
    bench.engine = FakeEngine(pause_s=0.001)
    answer = play(complete(prompt=[f"text {i}" for i in range(40)]))
    assert [choice.text for choice in answer.choices] == [f"You said: text {i}" for i in range(40)]
    assert 1 < bench.engine.together <= 8


def test_logprobs_are_four_lists_side_by_side(play):
    logprobs = play(complete(prompt="a", logprobs=2)).choices[0].logprobs
    assert logprobs.tokens == ["You ", "said: ", "a"]
    assert logprobs.token_logprobs == [LIKELY] * 3
    assert logprobs.text_offset == [0, 4, 10]
    assert logprobs.top_logprobs[0] == {"You ": LIKELY, "other1 ": math.log(0.25)}


def test_echo_tells_how_likely_the_prompt_was(play, bench):
    (choice,) = play(complete(prompt="a b a", echo=True, logprobs=1, max_tokens=1)).choices
    assert choice.text == "a b aYou "
    assert choice.logprobs.tokens == ["a ", "b ", "a", "You "]
    assert choice.logprobs.token_logprobs == [None, UNLIKELY, LIKELY, LIKELY]
    assert choice.logprobs.text_offset == [0, 2, 4, 5]
    first, second, *_ = choice.logprobs.top_logprobs
    assert first is None
    assert second == {"other1 ": math.log(0.25), "b ": UNLIKELY}  # the likeliest, and the one that stands there
    assert [call.what for call in bench.engine.calls] == ["score", "generate"]


def test_an_end_that_follows_an_echo_at_once_counts_as_a_token(play, bench):
    bench.engine = FakeEngine(answer="")
    (choice,) = play(complete(prompt="a b", echo=True, logprobs=1, max_tokens=1)).choices
    assert (choice.text, choice.finish_reason) == ("a b", "stop")
    assert choice.logprobs.tokens == ["a ", "b", ""]
    assert choice.logprobs.token_logprobs == [None, UNLIKELY, None]
    assert choice.logprobs.top_logprobs[-1] is None
    assert choice.logprobs.text_offset == [0, 2, 3]


def test_echo_with_no_tokens_to_follow_makes_none(play, bench):
    (choice,) = play(complete(prompt="a b", echo=True, logprobs=0, max_tokens=0)).choices
    assert (choice.text, choice.finish_reason) == ("a b", "length")
    assert choice.logprobs.token_logprobs == [None, UNLIKELY]
    assert [call.what for call in bench.engine.calls] == ["score"]


def test_echo_of_tokens_tells_their_text(play, bench):
    bench.engine._vocabulary.update({"two ": 7, "words": 9})
    (choice,) = play(complete(prompt=[7, 9], echo=True, max_tokens=0)).choices
    assert choice.text == "two words"
    assert choice.logprobs is None


def test_echo_of_text_alone_needs_no_scores(play, bench):
    answer = play(complete(prompt="a b", echo=True, max_tokens=0))
    assert (answer.choices[0].text, answer.usage.prompt_tokens) == ("a b", 2)
    assert bench.engine.calls == []


def test_echo_is_streamed_first(play):
    async def scene(client):
        return [chunk.choices[0].text async for chunk in await complete(prompt="a b", echo=True, stream=True)(client)]

    assert play(scene)[0] == "a b"


def test_what_a_request_read_itself_is_not_called_cached(play, bench):
    bench.engine = Remembering()
    usage = play(complete(prompt="a b", echo=True, logprobs=1, max_tokens=1)).usage
    assert usage.prompt_tokens_details.cached_tokens == 0
    assert play(complete(prompt="a b", max_tokens=1)).usage.prompt_tokens_details.cached_tokens == 2


class Remembering(FakeEngine):
    """An engine that has always read the prompt before."""

    def _keep(self, prompt):
        return self._size(prompt).total


def test_json_by_grammar(play, bench):
    play(complete(prompt="a", extra_body={"response_format": {"type": "json_object", "schema": {"type": "integer"}}}))
    assert "[1-9] [0-9]{0,15}" in bench.engine.calls[0].sampling.grammar


REFUSED = [
    {"prompt": ""},
    {"prompt": []},
    {"prompt": ["a", ""]},
    {"prompt": [[]]},
    {"prompt": [1, "a"]},
    {"prompt": [-1]},
    {"prompt": [2**31]},
    {"prompt": ["a"] * 2049},
    {"prompt": "a", "best_of": 3},
    {"prompt": "a", "logprobs": 21},
    {"prompt": "a", "extra_body": {"suffix": "b"}},
]


def test_prompts_that_cannot_be_are_refused(play, bench):
    async def scene(client):
        for asked in REFUSED:
            with pytest.raises(openai.BadRequestError) as refused:
                await complete(**asked)(client)
            assert refused.value.body["hint"]

    play(scene)
    assert bench.engine.calls == []


PIECES = st.lists(st.binary(min_size=0, max_size=3), max_size=12) | st.text(max_size=12).map(
    lambda text: [bytes([byte]) for byte in text.encode()]
)


@given(PIECES, st.integers(0, 12))
def test_offsets_count_the_characters_before_a_token(pieces, cut):
    columns = Columns()
    scored = [Scored(i, raw, -1.0) for i, raw in enumerate(pieces)]
    offsets = columns.add(scored[:cut])["text_offset"] + columns.add(scored[cut:])["text_offset"]
    assert offsets == sorted(offsets)
    text = b"".join(pieces)
    for offset, i in zip(offsets, range(len(pieces)), strict=True):
        before = b"".join(pieces[:i])
        if is_text(before) and is_text(text):
            assert offset == len(before.decode())


def is_text(raw):
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_token_that_is_no_character_is_spelled_by_its_bytes():
    top = (Alternative(1, b"\xe2\x82", -0.5), Alternative(2, b"\xe2\x82", -3.0), Alternative(3, b"a", -math.inf))
    told = Columns().add([Scored(1, b"\xe2\x82", -0.5, top)])
    assert told["tokens"] == ["bytes:\\xe2\\x82"]
    assert told["top_logprobs"] == [{"bytes:\\xe2\\x82": -0.5, "a": -9999.0}]
