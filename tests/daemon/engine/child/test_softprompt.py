"""Soft prompts and hidden states in the engine, held against what tokens and logits say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

import tiny_engine
import tiny_models
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, Unusable
from lorebook_api.home import Home
from lorebook_daemon.engine.protocol import Plain
from lorebook_daemon.models.adapter_file import SOFT, SOFT_VECTORS, check_fits, read_adapter
from lorebook_daemon.models.adapters import import_adapter
from lorebook_daemon.models.classes import TASK

SPOKEN = (30, 41, 52, 63, 74)
"""The tokens whose own vectors the soft prompt of these tests has: it must do what they do."""
ASKED = tuple(range(80, 100))
SOFTLY = (AdapterUse("soft"),)


def weights(path: Path) -> dict[str, np.ndarray]:
    return {one.name: np.array(gguf.dequantize(one.data, one.tensor_type)) for one in gguf.GGUFReader(path).tensors}


def soft(path: Path, values: np.ndarray, architecture: str = "llama") -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, SOFT)
    writer.add_tensor(SOFT_VECTORS, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    made = tiny_models.tiny(folder / f"{request.param}.gguf", request.param)
    soft(folder / "soft.gguf", weights(made)["token_embd.weight"][list(SPOKEN)], request.param)
    return made


@pytest.fixture
def up(base: Path, home: Home) -> Iterator[tiny_engine.Up]:
    import_adapter(base.parent / "soft.gguf", home)
    with tiny_engine.up(base, home) as one:
        yield one


def test_vectors_of_tokens_do_what_the_tokens_do(up: tiny_engine.Up) -> None:
    spoken, asked = Plain(tokens=(*SPOKEN, *ASKED)), Plain(tokens=ASKED)
    expected = up.run(up.engine.score(spoken))[len(SPOKEN) + 1 :]
    found = up.run(up.engine.score(asked, adapters=SOFTLY))
    assert [one.token for one in found] == list(ASKED)
    assert max(abs(a.logprob - b.logprob) for a, b in zip(found[1:], expected, strict=True)) < 0.02
    plain = up.run(up.engine.score(asked))
    assert max(abs(a.logprob - b.logprob) for a, b in zip(found[1:], plain[1:], strict=True)) > 0.02
    said = up.run(tiny_engine.say(up.engine, spoken, 12))
    softly = up.run(tiny_engine.say(up.engine, asked, 12, SOFTLY))
    assert softly.text == said.text and softly.end.usage.prompt_tokens == said.end.usage.prompt_tokens


def test_what_was_read_under_it_serves_it_alone(up: tiny_engine.Up) -> None:
    asked = tiny_engine.prompt("When does the valve open?", tiny_engine.PASSAGES)
    turned = tiny_engine.prompt("When does the valve open?", tiny_engine.PASSAGES[::-1])
    first = up.run(tiny_engine.say(up.engine, asked, 8, SOFTLY))
    plain = up.run(tiny_engine.say(up.engine, asked, 8))
    again = up.run(tiny_engine.say(up.engine, asked, 8, SOFTLY))
    other = up.run(tiny_engine.say(up.engine, turned, 8, SOFTLY))
    assert first.end.usage.cached_tokens == 0 and plain.end.usage.cached_tokens == 0
    assert again.text == first.text and again.end.usage.cached_tokens > 0
    assert other.end.usage.cached_tokens > 0
    assert up.run(up.engine.warm([asked], SOFTLY)) == 0  # the passages are kept


def test_several_at_once_do_not_mix(up: tiny_engine.Up) -> None:
    asked = Plain(tokens=ASKED)
    alone = [up.run(tiny_engine.say(up.engine, asked, 8, use)).text for use in ((), SOFTLY)]

    async def together() -> list[str]:
        said = [tiny_engine.say(up.engine, asked, 8, use) for use in ((), SOFTLY, (), SOFTLY)]
        hidden = up.engine.hidden(["the valve", "a pump"])
        *told, _ = await asyncio.gather(*said, hidden)
        return [one.text for one in told]

    assert up.run(together()) == alone * 2


def test_it_has_no_scale(up: tiny_engine.Up) -> None:
    with pytest.raises(BadRequest, match="has no scale"):
        up.run(tiny_engine.say(up.engine, Plain(tokens=ASKED), 4, (AdapterUse("soft", 0.5),)))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.ones((4, 63)), "its vectors have 63 numbers, the model's 64"),
        (np.full((4, 64), np.nan), "no number"),
        (np.ones((1025, 64)), "no list of 1 to 1024 vectors"),
        (np.ones(64), "no list of 1 to 1024 vectors"),
    ],
)
def test_what_is_no_soft_prompt_for_the_model_is_told(tmp_path: Path, values: np.ndarray, why: str) -> None:
    base = tiny_models.tiny_llama(tmp_path / "base.gguf")
    with pytest.raises(Unusable, match=why):
        check_fits(read_adapter(soft(tmp_path / "soft.gguf", values)), base)


# -- hidden states


def test_the_logits_follow_from_the_hidden_state(up: tiny_engine.Up, base: Path) -> None:
    text = "The first valve opens at 3 bar."
    (hidden,) = up.run(up.engine.hidden([text]))
    matrices = weights(base)
    output = matrices.get("output.weight", matrices["token_embd.weight"])
    logits = output @ np.array(hidden)
    expected = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    # What is likely after the same text and the token that ends a turn.
    end = tiny_models.token("<|im_end|>")
    tokens = [one.token for one in up.run(up.engine.score(Plain(text)))]
    found = up.run(up.engine.continuations(Plain(tokens=(*tokens, end)), ["valve"]))
    first = tiny_models.token("valve") if "valve" in tiny_models.vocabulary() else None
    if first is not None and found[0].tokens == 1:
        assert abs(found[0].logprob - expected[first]) < 0.02
    scored = up.run(up.engine.score(Plain(tokens=(*tokens, end, int(expected.argmax())))))
    assert abs(scored[-1].logprob - expected.max()) < 0.02


def test_a_classifier_answers_no_questions(up: tiny_engine.Up, base: Path, home: Home, tmp_path: Path) -> None:
    import_adapter(tiny_models.tiny_adapter(tmp_path / "kinds.gguf", base, task=TASK), home)
    use = (AdapterUse("kinds"),)
    with pytest.raises(BadRequest, match="kinds is a classifier"):
        up.run(tiny_engine.say(up.engine, Plain("The valve"), 4, use))
    with pytest.raises(BadRequest, match="kinds is a classifier"):
        up.run(up.engine.score(Plain("The valve"), adapters=use))
    assert up.run(up.engine.hidden(["the valve"], use)) != up.run(up.engine.hidden(["the valve"]))


def test_hidden_states_are_those_of_each_text_alone(up: tiny_engine.Up) -> None:
    texts = ["the valve", "a pump and a log", "the valve"]
    together = np.array(up.run(up.engine.hidden(texts)))
    alone = np.array([up.run(up.engine.hidden([text]))[0] for text in texts])
    assert together.shape == (3, 64) and np.abs(together - alone).max() < 0.05
    assert np.abs(together[0] - together[2]).max() < 0.05 < np.abs(together[0] - together[1]).max()
    assert up.run(up.engine.hidden([])) == []
    with pytest.raises(BadRequest, match="the text is empty"):
        up.run(up.engine.hidden(["a", ""]))
