"""What travels over the pipe comes back as it was."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.asking import Sampling, Usage
from lorebook_daemon.engine.protocol import (
    Alternative,
    AnyPrompt,
    Finished,
    Message,
    Plain,
    Priority,
    Prompt,
    Scored,
    Token,
    ToolCall,
    Turn,
)
from lorebook_daemon.engine.wire import (
    finished_in,
    finished_out,
    prompt_in,
    prompt_out,
    sampling_in,
    scored_in,
    scored_out,
    token_in,
    token_out,
    turn_in,
    turn_out,
)

texts = st.text(st.characters(exclude_categories=()), max_size=8)
"""Any text at all: control characters and halves of surrogate pairs too."""
numbers = st.floats(allow_nan=False)
whole = st.integers(0, 2**31 - 1)

calls = st.builds(ToolCall, texts, texts, texts)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    texts,
    st.lists(calls, max_size=2).map(tuple),
    texts,
)
many = st.lists(texts, max_size=3).map(tuple)
prompts = st.one_of(
    st.builds(Prompt, st.lists(messages, max_size=3).map(tuple), many, many),
    st.builds(Plain, texts, st.lists(whole, max_size=5).map(tuple)),
)
samplings = st.builds(
    Sampling,
    *[numbers, whole, *[numbers] * 5, whole],
    stop=many,
    logit_bias=st.lists(st.tuples(whole, numbers), max_size=3).map(tuple),
    grammar=texts,
    top_logprobs=st.none() | st.integers(0, 20),
)
scores = st.builds(
    Scored,
    whole,
    st.binary(max_size=6),
    numbers,
    st.lists(st.builds(Alternative, whole, st.binary(), numbers)).map(tuple),
)


def over(data: Any) -> Any:
    """Return what comes out at the pipe's other end; a document is one line of it."""
    line = json.dumps(data).encode()
    assert b"\n" not in line
    return json.loads(line)


@given(prompts)
def test_prompts(prompt: AnyPrompt) -> None:
    assert prompt_in(over(prompt_out(prompt))) == prompt


@given(samplings)
def test_samplings(sampling: Sampling) -> None:
    assert sampling_in(over(dataclasses.asdict(sampling))) == sampling


@given(st.builds(Turn, st.sampled_from(Priority), texts))
def test_turns(turn: Turn) -> None:
    again = turn_in(over(turn_out(turn)))
    assert again == turn
    assert isinstance(again.priority, Priority)


@given(scores)
def test_scores(one: Scored) -> None:
    assert scored_in(over(scored_out(one))) == one


@given(st.builds(Token, texts, st.lists(scores, max_size=3).map(tuple)))
def test_tokens(token: Token) -> None:
    assert token_in(over(token_out(token))) == token


@given(
    st.builds(
        Finished,
        st.sampled_from(["stop", "length"]),
        st.builds(Usage, whole, whole, whole),
        numbers,
        numbers,
        whole,
        whole,
    )
)
def test_ends(end: Finished) -> None:
    assert finished_in(over(finished_out(end))) == end
