"""How prompts are divided: where adapters begin to act, and which passages are read apart."""

from __future__ import annotations

from array import array
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.engine.child.adapters import Adapter, AdapterSet, acting
from lorebook_daemon.engine.child.chat import PromptTokens
from lorebook_daemon.engine.child.layout import Layout, Segment

LORA = Adapter("a.gguf", "a", 1.0)
CALLED = Adapter("b.gguf", "b", 1.0, (7, 8))
ALSO = Adapter("c.gguf", "c", 1.0, (8,))

token = st.sampled_from([1, 7, 8])
tokens = st.lists(token, max_size=6).map(tuple)
prompts = st.builds(
    lambda head, passages, tail: PromptTokens(head, tuple(passages), tail, tuple(map(str, range(len(passages))))),
    tokens,
    st.lists(tokens, max_size=4),
    tokens,
)
sets = st.lists(st.sampled_from([LORA, CALLED, ALSO]), unique=True, max_size=3).map(tuple)


# -- where adapters begin to act


def test_an_ordinary_adapter_acts_from_the_start() -> None:
    assert acting((LORA,), [1, 2, 3]) == [(0, (LORA,))]


def test_an_activated_one_acts_from_its_last_call_on() -> None:
    assert acting((CALLED,), [7, 8, 1, 7, 8, 2]) == [(0, ()), (3, (CALLED,))]


@pytest.mark.parametrize("flat", [[], [7], [8, 7], [1, 7, 2, 8]])
def test_an_activated_one_that_is_not_called_never_acts(flat: list[int]) -> None:
    assert acting((CALLED,), flat) == [(0, ())]


def test_a_call_at_either_end_is_heard() -> None:
    assert acting((CALLED,), [7, 8, 1]) == [(0, (CALLED,))]
    assert acting((CALLED,), [1, 7, 8]) == [(0, ()), (1, (CALLED,))]
    assert acting((CALLED,), [7, 8]) == [(0, (CALLED,))]


def test_calls_that_overlap_count_from_the_last() -> None:
    twice = Adapter("d.gguf", "d", 1.0, (7, 7))
    assert acting((twice,), [7, 7, 7]) == [(0, ()), (1, (twice,))]


def test_each_of_several_begins_where_it_is_called() -> None:
    flat = [1, 7, 8, 1, 8]
    assert acting((LORA, CALLED, ALSO), flat) == [(0, (LORA,)), (1, (LORA, CALLED)), (4, (LORA, CALLED, ALSO))]


# -- segments


@given(prompts, sets, st.booleans())
def test_segments_are_the_prompt_under_what_acts(prompt: PromptTokens, adapters: AdapterSet, apart: bool) -> None:
    segments = Layout(apart=apart).segments(prompt, adapters)
    assert tuple(token for one in segments for token in one.tokens) == prompt.flat
    assert all(one.tokens for one in segments)
    assert [one.start for one in segments] == [
        sum(len(one.tokens) for one in segments[:n]) for n in range(len(segments))
    ]
    changes = acting(adapters, prompt.flat)
    for one in segments:
        for place in range(one.start, one.end):
            assert one.adapters == [these for start, these in changes if start <= place][-1]


@given(prompts, sets)
def test_a_whole_passage_between_head_and_tail_is_a_block(prompt: PromptTokens, adapters: AdapterSet) -> None:
    segments = Layout(apart=True).segments(prompt, adapters)
    blocks = [one for one in segments if one.block]
    starts = [place for place, _ in acting(adapters, prompt.flat)]
    expected, at = [], len(prompt.head)
    for n, passage in enumerate(prompt.passages):
        cut = any(at < place < at + len(passage) for place in starts)
        if passage and prompt.head and prompt.tail and not cut:
            expected.append((at, passage, str(n)))
        at += len(passage)
    assert [(one.start, one.tokens, one.text) for one in blocks] == expected
    assert len({one.block for one in blocks}) == len(blocks)


@given(prompts, sets)
def test_nothing_is_a_block_where_passages_are_not_read_apart(prompt: PromptTokens, adapters: AdapterSet) -> None:
    assert not any(one.block for one in Layout(apart=False).segments(prompt, adapters))


# -- entries


def described(segment: Segment) -> list[tuple[object, ...]]:
    """Return of each token what its KV depends on beside those before it."""
    return [(token, tuple(one.key for one in segment.adapters), segment.block) for token in segment.tokens]


@given(prompts, sets, prompts, sets)
def test_entries_are_equal_only_where_the_kv_is(
    one: PromptTokens, its: AdapterSet, other: PromptTokens, others: AdapterSet
) -> None:
    layout = Layout(apart=True)
    lefts, rights = layout.segments(one, its), layout.segments(other, others)
    pairs = zip(layout.entries(lefts), layout.entries(rights), strict=False)
    left, right = ([what for segment in segments for what in described(segment)] for segments in (lefts, rights))
    assert [a == b for a, b in pairs] == [a == b for a, b in zip(left, right, strict=False)]


def test_entries_fit_their_array_however_many_sets_and_passages_there_were() -> None:
    layout = Layout(apart=True)
    seen = set()
    for n, scale in product((1, 999), range(300)):
        adapters = (Adapter("a.gguf", "a", scale / 100),)
        (entry,) = layout.entries([Segment(0, (2**18 - 1,), adapters, block=n)])
        assert array("q", [entry])[0] not in seen
        seen.add(entry)


def test_what_is_said_goes_on_like_the_prompt_s_end() -> None:
    layout = Layout(apart=True)
    prompt = PromptTokens((1,), ((2, 3),), (7, 8), ("a",))
    said = PromptTokens((1,), ((2, 3),), (7, 8, 5, 6), ("a",))
    segments = layout.segments(prompt, (CALLED,))
    entries = layout.entries(segments) + list(layout.entries_of(segments[-1], (5, 6)))
    assert entries == layout.entries(layout.segments(said, (CALLED,)))
