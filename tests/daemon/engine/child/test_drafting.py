"""Guesses from the prompt: what is guessed, and that the text is what it is without guesses."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_daemon.engine.child.drafting import MOST, Drafter
from lorebook_daemon.engine.protocol import AnyPrompt, Plain
from tiny_engine import PASSAGES, Said, Up, differ, home_in, prompt, say, up

ROUNDING = 0.03
"""See test_serving.py."""
GREEDY = Sampling(top_logprobs=4)

tokens = st.lists(st.integers(0, 3), max_size=40)


# -- what is guessed


def test_what_stands_in_the_prompt_is_guessed_to_go_on_as_there() -> None:
    drafter = Drafter([1, 2, 3, 4, 5, 6, 7, 8, 9])
    for token in (0, 3, 4, 5, 6):
        drafter.add(token)
    assert drafter.guess(10) == [7]
    assert drafter.guess(0) == []


def test_the_latest_place_counts() -> None:
    assert Drafter([1, 2, 3, 4, 8, 1, 2, 3, 4, 9, 1, 2, 3, 4]).guess(1) == [9]


def test_the_longer_the_text_follows_the_prompt_the_more_is_guessed() -> None:
    source = list(range(100, 140))
    for alike, guessed in ((3, 0), (4, 1), (7, 1), (8, MOST), (12, MOST)):
        drafter = Drafter([*source, 0, *source[:alike]])
        assert drafter.guess(MOST) == source[alike : alike + guessed]


@pytest.mark.parametrize("said", [[], [1], [1, 2], [5, 6, 7, 8]])
def test_nothing_is_guessed_where_nothing_is_alike(said: list[int]) -> None:
    assert Drafter(said).guess(5) == []


@given(tokens, tokens, st.integers(1, 9))
def test_guesses_follow_the_same_tokens_somewhere_before(prompted: list[int], said: list[int], most: int) -> None:
    drafter = Drafter(prompted)
    for token in said:
        drafter.add(token)
    whole = [*prompted, *said]
    guessed = drafter.guess(most)
    assert len(guessed) <= min(most, MOST)
    if guessed:
        found = [whole[i : i + len(guessed)] for i in range(4, len(whole)) if whole[i - 4 : i] == whole[-4:]]
        assert guessed in found


@given(tokens, st.lists(st.tuples(st.integers(1, MOST), st.integers(0, MOST)), max_size=60))
def test_what_was_learnt_is_counted(prompted: list[int], learnt: list[tuple[int, int]]) -> None:
    drafter = Drafter(prompted)
    for drafted, accepted in learnt:
        drafter.learn(drafted, min(drafted, accepted))
    assert drafter.drafted == sum(drafted for drafted, _ in learnt)
    assert drafter.accepted == sum(min(pair) for pair in learnt)


def test_after_wrong_guesses_more_must_be_alike() -> None:
    source = list(range(100, 140))
    drafter = Drafter([*source, 0, *source[:10]])
    drafter.learn(4, 0)
    assert drafter.guess(MOST) == []
    for token in source[10:13]:
        drafter.add(token)
    assert drafter.guess(MOST) == source[13:14]
    for token in source[13:25]:
        drafter.add(token)
    assert drafter.guess(MOST) == source[25:40]
    drafter.learn(10, 10)
    drafter.learn(10, 10)
    for token in (0, *source[:8]):
        drafter.add(token)
    assert drafter.guess(MOST) == source[8 : 8 + MOST], "as at the beginning"


# -- the text


def texts() -> list[AnyPrompt]:
    """Return prompts after which such a model often repeats itself or the prompt."""
    chance = random.Random(4)
    words = ["the name ", "of the file ", "is ", "value ", "return ", "import ", "True ", "a ", "\n"]
    plain = [Plain("".join(chance.choices(words, k=60)) + "the name of the file") for _ in range(14)]
    return [*plain, *(prompt(f"Why {n}?", chance.sample(PASSAGES, 2)) for n in range(4))]


@pytest.fixture(scope="module")
def pair(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Up]]:
    """Return an engine that guesses, and one that does not."""
    homes = (home_in(tmp_path_factory.mktemp("home")) for _ in range(2))
    with up(tiny_gguf, next(homes), speculation=True) as one, up(tiny_gguf, next(homes), speculation=False) as other:
        yield one, other


def ask_both(
    pair: tuple[Up, Up], asked: Sequence[AnyPrompt], most: int, sampling: Sampling, uses: tuple[AdapterUse, ...] = ()
) -> list[tuple[Said, Said]]:
    return [
        tuple(one.run(say(one.engine, text, most, uses, sampling)) for one in pair)  # type: ignore[misc]
        for text in asked
    ]


def share(pairs: list[tuple[Said, Said]]) -> float:
    """Return the share of the texts that are the same."""
    return sum(one.text == other.text for one, other in pairs) / len(pairs)


def guesses(pairs: list[tuple[Said, Said]]) -> tuple[int, int]:
    """Return how many tokens were guessed, and how many of them came true; the other engine guesses none."""
    assert not any(other.end.drafted for _, other in pairs)
    return sum(one.end.drafted for one, _ in pairs), sum(one.end.accepted for one, _ in pairs)


FEW = tuple((token, 20.0) for token in (97, 98))
"""Has the model say two words, so that much of what it draws stands there already."""


def test_greedy_text_is_the_same_with_guesses_and_without(pair: tuple[Up, Up]) -> None:
    pairs = ask_both(pair, texts(), 60, GREEDY)
    assert [differ(one.scored, other.scored, ROUNDING) for one, other in pairs] == [""] * len(pairs)
    assert share(pairs) > 0.9


def test_so_it_is_where_many_guesses_come_true(pair: tuple[Up, Up]) -> None:
    pairs = ask_both(pair, texts(), 60, Sampling(logit_bias=FEW))
    assert share(pairs) > 0.9
    assert len({one.text for one, _ in pairs}) > len(pairs) / 2
    drafted, accepted = guesses(pairs)
    assert 20 < accepted < drafted - 20, "guesses that come true, and guesses that do not"


def test_so_it_is_under_an_adapter(pair: tuple[Up, Up], tiny_lora: Path, tiny_alora: Path) -> None:
    for path in (tiny_lora, tiny_alora):
        pairs = ask_both(pair, texts()[10:18], 40, GREEDY, (AdapterUse(str(path)),))
        assert [differ(one.scored, other.scored, ROUNDING) for one, other in pairs] == [""] * len(pairs)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7, seed=11, logit_bias=FEW),
        Sampling(temperature=1.5, seed=5, top_k=0, top_p=1.0, min_p=0.0, logit_bias=FEW),
        Sampling(temperature=0.9, seed=3, presence_penalty=0.5, repeat_penalty=1.2, logit_bias=FEW),
        Sampling(frequency_penalty=0.2, logit_bias=FEW),
    ],
    ids=["cool", "hot", "with penalties", "greedy with penalties"],
)
def test_what_is_drawn_with_a_seed_is_the_same_but_for_rounding(pair: tuple[Up, Up], sampling: Sampling) -> None:
    pairs = ask_both(pair, texts()[:12], 60, sampling)
    assert share(pairs) > 0.8
    assert len({one.text for one, _ in pairs}) > 6
    drafted, accepted = guesses(pairs)
    assert 8 < accepted < drafted


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5])
def test_an_answer_ends_where_it_must(pair: tuple[Up, Up], most: int) -> None:
    for one, other in ask_both(pair, texts()[:6], most, GREEDY):
        assert len(one.scored) == len(other.scored) == most
        assert one.end.usage.completion_tokens == most
        assert one.end.reason == "length"


def test_a_stop_word_ends_both_at_the_same_place(pair: tuple[Up, Up]) -> None:
    for text, (whole, _) in zip(texts()[:8], ask_both(pair, texts()[:8], 60, GREEDY), strict=True):
        word = whole.text[20:23]
        ((one, other),) = ask_both(pair, [text], 60, Sampling(stop=(word,), top_logprobs=4))
        assert one.text == whole.text[: whole.text.index(word)]
        assert (one.text, one.end.reason) == (other.text, "stop") == (other.text, other.end.reason)
        assert one.end.usage == other.end.usage


def test_an_answer_up_to_the_context_s_end(tiny_gguf: Path, tmp_path: Path) -> None:
    for speculation in (True, False):
        with up(tiny_gguf, home_in(tmp_path / str(speculation)), n_ctx=256, speculation=speculation) as one:
            said = one.run(say(one.engine, texts()[0], 10**9))
            assert said.end.reason == "length"
            assert said.end.usage.prompt_tokens + said.end.usage.completion_tokens == 256
