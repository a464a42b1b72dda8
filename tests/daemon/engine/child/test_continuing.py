"""Tests of texts after a prompt: each is as likely as alone, whatever the others share with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorebook_daemon.engine.protocol import Plain
from tiny_engine import Up, home_in, prompt, up

BEFORE = Plain("The first valve of the pump is")


@pytest.fixture(scope="module")
def one(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tiny_gguf, home_in(tmp_path_factory.mktemp("home"))) as engine:
        yield engine


def likely(one: Up, texts: list[str]) -> list[tuple[float, int, bool]]:
    told = one.run(one.engine.continuations(BEFORE, texts))
    return [(round(text.logprob, 2), text.tokens, text.greedy) for text in told]


def test_texts_together_are_as_likely_as_each_alone(one: Up) -> None:
    chance = random.Random(3)
    words = [" a", " b", " valve", " opens", " at", " 3", " bar"]
    texts = ["".join(chance.choices(words, k=chance.randint(0, 40))) for _ in range(30)]
    texts += [texts[0], texts[1] + " more", " a", " a b", ""]
    together, alone = likely(one, texts), [likely(one, [text])[0] for text in texts]
    for text, (ours, tokens, _), (single, as_many, _) in zip(texts, together, alone, strict=True):
        assert tokens == as_many
        assert ours == pytest.approx(single, abs=0.05 + 0.01 * tokens), text


def test_numbers_after_a_conversation(one: Up) -> None:
    numbers = [str(n) for n in range(101)]
    told = one.run(one.engine.continuations(prompt("How many?"), numbers))
    assert [len(number) for number in numbers] == [text.tokens for text in told]
    tens = {text[0]: continued.logprob for text, continued in zip(numbers, told, strict=True) if len(text) == 1}
    assert all(
        continued.logprob < tens[text[0]] for text, continued in zip(numbers, told, strict=True) if len(text) > 1
    )
    (again,) = one.run(one.engine.continuations(prompt("How many?"), ["57"]))
    assert again.logprob == pytest.approx(told[57].logprob, abs=0.03)
