"""Adapters in the engine: whose KV they use, from where on they act, how many stay in memory."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorebook_api.asking import AdapterUse, Sampling
from lorebook_api.errors import BadRequest, NotFound, Unusable
from lorebook_api.home import Home
from lorebook_daemon.engine.child import adapters as module
from lorebook_daemon.engine.child.adapters import RESIDENT, Adapter, Adapters, AdapterSet, note_versions
from lorebook_daemon.engine.child.chat import ChatTemplate
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.sampler import scored
from lorebook_daemon.engine.child.work import Piece
from lorebook_daemon.engine.protocol import Message, Plain, Prompt, Scored, Token
from tiny_engine import PASSAGES, Up, differ, home_in, prompt, say, up
from tiny_models import invocation, tiny_adapter

GREEDY = Sampling(top_logprobs=4)
ROUNDING = 0.03
"""See test_serving.py."""
ASKED = prompt("Why?", PASSAGES)
ONE = prompt("Why?", PASSAGES[:1])
"""With one passage, blocks read as a whole reading does."""
AFTER_AN_ANSWER = Prompt(
    (Message("system", "You answer."), Message("user", "Hm?"), Message("assistant", "So."), Message("user", "Why?"))
)


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Path:
    return tiny_gguf


@pytest.fixture(scope="module")
def engine(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(model, home_in(tmp_path_factory.mktemp("home")), kv_disk_mb=1) as one:
        yield one


@pytest.fixture(scope="module")
def llama(model: Path) -> Llama:
    return Llama(model, 1024, 1)


@pytest.fixture(scope="module")
def lora(tiny_lora: Path) -> AdapterUse:
    return AdapterUse(str(tiny_lora))


@pytest.fixture(scope="module")
def alora(tiny_alora: Path) -> AdapterUse:
    return AdapterUse(str(tiny_alora))


def by_hand(llama: Llama, parts: list[tuple[list[int], AdapterSet]], tokens: int) -> list[Scored]:
    """Return the greedy answer to a prompt that is read part by part, each under its own adapters."""
    llama.clear()
    end, rows = 0, [[0]]
    for part, adapters in parts:
        rows = llama.decode([Piece(0, end, part, adapters, 1)])
        end += len(part)
    said = []
    while len(said) < tokens:
        logits = llama.logits(rows[0][0])
        said.append(scored(llama.vocabulary, logits, int(logits.argmax()), 4))
        rows = llama.decode([Piece(0, end, [said[-1].token], parts[-1][1], 1)])
        end += 1
    return said


def tokens_of(llama: Llama, asked: Prompt) -> list[int]:
    vocabulary = llama.vocabulary
    template = ChatTemplate(vocabulary.chat_template, vocabulary.bos, vocabulary.eos)
    return list(template.tokens(asked, lambda text, special: vocabulary.tokenize(text, special=special)).flat)


def last_call(tokens: list[int], call: tuple[int, ...]) -> int:
    return max(i for i in range(len(tokens)) if tuple(tokens[i : i + len(call)]) == call)


# -- activated adapters


@pytest.mark.parametrize("asked", [prompt("Why?"), ONE, AFTER_AN_ANSWER], ids=["no passage", "a passage", "an answer"])
def test_an_activated_adapter_acts_from_its_last_call_on(
    engine: Up, llama: Llama, alora: AdapterUse, asked: Prompt
) -> None:
    tokens = tokens_of(llama, asked)
    adapter = llama.adapters.find(alora.name, 1.0)
    assert adapter.invocation == invocation()
    at = last_call(tokens, invocation())
    expected = by_hand(llama, [(tokens[:at], ()), (tokens[at:], (adapter,))], 8)
    got = engine.run(say(engine.engine, asked, 8, (alora,), GREEDY))
    assert not differ(expected, got.scored, ROUNDING)
    assert differ(by_hand(llama, [(tokens, (adapter,))], 8), got.scored, ROUNDING), "it acts from the start"
    assert differ(by_hand(llama, [(tokens, ())], 8), got.scored, ROUNDING), "it does not act"


def test_an_ordinary_adapter_acts_from_the_start(engine: Up, llama: Llama, lora: AdapterUse) -> None:
    tokens = tokens_of(llama, ONE)
    expected = by_hand(llama, [(tokens, (llama.adapters.find(lora.name, 0.5),))], 8)
    got = engine.run(say(engine.engine, ONE, 8, (AdapterUse(lora.name, 0.5),), GREEDY))
    assert not differ(expected, got.scored, ROUNDING)


def test_an_activated_adapter_beside_an_ordinary_one(
    engine: Up, llama: Llama, lora: AdapterUse, alora: AdapterUse
) -> None:
    tokens = tokens_of(llama, ONE)
    one, other = llama.adapters.find(lora.name, 1.0), llama.adapters.find(alora.name, 1.0)
    at = last_call(tokens, invocation())
    expected = by_hand(llama, [(tokens[:at], (one,)), (tokens[at:], (one, other))], 8)
    got = engine.run(say(engine.engine, ONE, 8, (lora, alora), GREEDY))
    assert not differ(expected, got.scored, ROUNDING)


@pytest.mark.parametrize("last", ["", "<|im_start|>user\nassistant<|im_end|>\n", "<|im_start|>assistant"])
def test_an_activated_adapter_that_is_not_called_never_acts(engine: Up, alora: AdapterUse, last: str) -> None:
    asked = Plain("the name of the file, " * 30 + last)

    async def both() -> None:
        base = await say(engine.engine, asked, 12, (), GREEDY)
        adapted = await say(engine.engine, asked, 12, (alora,), GREEDY)
        assert not differ(base.scored, adapted.scored, ROUNDING)
        assert adapted.end.usage.cached_tokens == base.end.usage.prompt_tokens - 1, "they share the base model's KV"

    engine.run(both())


def test_what_the_model_says_itself_calls_no_adapter(engine: Up, llama: Llama, tmp_path: Path, model: Path) -> None:
    asked = Plain("the name of the file")
    base = engine.run(say(engine.engine, asked, 12, (), GREEDY))
    call = tuple(one.token for one in base.scored[4:6])
    waiting = AdapterUse(str(tiny_adapter(tmp_path / "waiting.gguf", model, seed=5, alora_invocation=call)))
    adapted = engine.run(say(engine.engine, asked, 12, (waiting,), GREEDY))
    assert not differ(base.scored, adapted.scored, ROUNDING)


def test_scores_are_of_the_same_reading(engine: Up, llama: Llama, alora: AdapterUse) -> None:
    tokens = tokens_of(llama, ONE)
    at = last_call(tokens, invocation())
    adapter = llama.adapters.find(alora.name, 1.0)
    llama.clear()
    rows = llama.decode([Piece(0, 0, tokens[:at], (), min(at, 128))])
    expected = [
        scored(llama.vocabulary, llama.logits(row), token, 0).logprob
        for row, token in zip(rows[0], tokens[1 : at + 1], strict=True)
    ]
    rows = llama.decode([Piece(0, at, tokens[at:], (adapter,), len(tokens) - at)])
    expected += [
        scored(llama.vocabulary, llama.logits(row), token, 0).logprob
        for row, token in zip(rows[0][:-1], tokens[at + 1 :], strict=True)
    ]
    got = engine.run(engine.engine.score(ONE, 0, (alora,)))
    np.testing.assert_allclose([one.logprob for one in got], [0.0, *expected], atol=ROUNDING)


# -- whose KV


def test_the_base_model_s_blocks_serve_an_activated_adapter_and_no_other(
    model: Path, home: Home, lora: AdapterUse, alora: AdapterUse
) -> None:
    with up(model, home, kv_disk_mb=1) as fresh:

        async def ask_all() -> None:
            (size,) = await fresh.engine.count([ASKED])
            assert (await say(fresh.engine, ASKED)).end.usage.cached_tokens == 0
            assert (await say(fresh.engine, ASKED, adapters=(lora,))).end.usage.cached_tokens == 0
            adapted = await say(fresh.engine, ASKED, adapters=(alora,))
            assert adapted.end.usage.cached_tokens >= sum(size.passages)
            assert adapted.end.usage.cached_tokens >= size.total - 2 * len(invocation())
            reordered = prompt("When?", PASSAGES[::-1])
            assert (await say(fresh.engine, reordered, adapters=(alora,))).end.usage.cached_tokens >= sum(size.passages)

        fresh.run(ask_all())


def test_an_activated_adapter_s_blocks_serve_the_base_model(model: Path, home: Home, alora: AdapterUse) -> None:
    with up(model, home, kv_disk_mb=1) as fresh:

        async def ask_all() -> None:
            (size,) = await fresh.engine.count([ASKED])
            await say(fresh.engine, ASKED, adapters=(alora,))
            assert (await say(fresh.engine, ASKED)).end.usage.cached_tokens >= sum(size.passages)

        fresh.run(ask_all())


def test_passages_behind_the_call_are_the_adapter_s_own(model: Path, home: Home, llama: Llama, tmp_path: Path) -> None:
    """An adapter may be called before the passages: two of them that wait for the same share no block."""
    call = tuple(tokens_of(llama, ONE)[:3])
    uses = [
        (AdapterUse(str(tiny_adapter(tmp_path / f"{n}.gguf", model, seed=n, alora_invocation=call))),) for n in (8, 9)
    ]
    expected = []
    for use in uses:
        with up(model, home_in(tmp_path / use[0].name[-6]), kv_reuse="off") as cold:
            expected.append(cold.run(say(cold.engine, ONE, 8, use, GREEDY)).scored)
    assert differ(*expected, ROUNDING)
    with up(model, home, kv_disk_mb=1) as fresh:
        for use, cold_one in [*zip(uses, expected, strict=True)] * 2:
            assert not differ(cold_one, fresh.run(say(fresh.engine, ONE, 8, use, GREEDY)).scored, ROUNDING)


# -- in memory


@pytest.fixture(scope="module")
def many(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[AdapterUse]:
    folder = tmp_path_factory.mktemp("many")
    return [AdapterUse(str(tiny_adapter(folder / f"a{n}.gguf", model, seed=20 + n))) for n in range(RESIDENT + 4)]


def names(uses: list[AdapterUse]) -> list[str]:
    return [Path(use.name).stem for use in uses]


def test_a_bounded_set_stays_the_latest_of_them(engine: Up, many: list[AdapterUse]) -> None:
    async def use_all() -> None:
        alone = [(await say(engine.engine, ONE, 6, (use,), GREEDY)).scored for use in many]
        assert list(await engine.engine.loaded()) == names(many)[-RESIDENT:]
        await say(engine.engine, ONE, 1, (many[5],))
        await say(engine.engine, ONE, 1, (many[0],))
        assert list(await engine.engine.loaded()) == names([*many[6:], many[5], many[0]])
        together = await asyncio.gather(*(say(engine.engine, ONE, 6, (use,), GREEDY) for use in many))
        for one, other in zip(alone, together, strict=True):
            assert not differ(one, other.scored, ROUNDING)
        assert len(await engine.engine.loaded()) <= RESIDENT, "more of them only while they are used"

    engine.run(use_all())


def test_an_adapter_is_loaded_and_unloaded(engine: Up, lora: AdapterUse) -> None:
    async def use() -> None:
        name = Path(lora.name).stem
        await engine.engine.load(lora.name)
        assert (await engine.engine.loaded())[-1] == name
        await engine.engine.unload(lora.name)
        assert name not in await engine.engine.loaded()
        await engine.engine.unload(lora.name)
        await say(engine.engine, ONE, 1, (lora,))
        assert (await engine.engine.loaded())[-1] == name

    engine.run(use())


def test_one_that_is_unloaded_while_it_is_used_goes_after_that(engine: Up, lora: AdapterUse) -> None:
    async def use() -> None:
        expected, base = await say(engine.engine, ONE, 100, (lora,)), await say(engine.engine, ONE, 100)
        async with aclosing(engine.engine.generate(ONE, Sampling(), 400, (lora,))) as pieces:
            said = [await anext(pieces)]
            await engine.engine.unload(lora.name)
            assert Path(lora.name).stem in await engine.engine.loaded(), "it is in use"
            assert (await say(engine.engine, ONE, 100)).text[:20] == base.text[:20]
            said += [piece async for piece in pieces]
        assert "".join(one.text for one in said if isinstance(one, Token))[:20] == expected.text[:20]
        assert Path(lora.name).stem not in await engine.engine.loaded()
        assert base.text.startswith((await say(engine.engine, ONE, 8)).text)

    engine.run(use())


@pytest.mark.parametrize("again", ["load", "use"])
def test_one_that_is_unloaded_and_wanted_again_at_once_stays(engine: Up, lora: AdapterUse, again: str) -> None:
    async def use() -> None:
        async with aclosing(engine.engine.generate(ONE, Sampling(), 400, (lora,))) as pieces:
            await anext(pieces)
            await engine.engine.unload(lora.name)
            await (engine.engine.load(lora.name) if again == "load" else say(engine.engine, ONE, 1, (lora,)))
        await say(engine.engine, ONE, 1)
        assert Path(lora.name).stem in await engine.engine.loaded()

    engine.run(use())


def test_a_file_that_changed_is_another_adapter(engine: Up, many: list[AdapterUse], tmp_path: Path) -> None:
    async def use() -> None:
        path = tmp_path / "changing.gguf"
        expected = [(await say(engine.engine, ONE, 6, (use,), GREEDY)).scored for use in many[:2]]
        for n in (0, 1, 0):
            shutil.copyfile(many[n].name, path)
            got = (await say(engine.engine, ONE, 6, (AdapterUse(str(path)),), GREEDY)).scored
            assert not differ(expected[n], got, ROUNDING)
        assert list(await engine.engine.loaded()).count("changing") == 1

    engine.run(use())


def test_what_cannot_be_used_is_told_and_the_engine_goes_on(engine: Up, lora: AdapterUse, tmp_path: Path) -> None:
    async def use() -> None:
        before = await say(engine.engine, ONE, 6)
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(Path(lora.name).read_bytes()[:3000])
        with pytest.raises(NotFound):
            await engine.engine.load("nobody")
        with pytest.raises(NotFound):
            await engine.engine.unload("nobody")
        for work in (engine.engine.load(str(broken)), say(engine.engine, ONE, 6, (AdapterUse(str(broken)),))):
            with pytest.raises(Unusable):
                await work
        with pytest.raises(BadRequest, match="twice"):
            await say(engine.engine, ONE, 6, (lora, AdapterUse(lora.name, 0.5)))
        assert (await say(engine.engine, ONE, 6)).text == before.text
        assert engine.engine.pid

    engine.run(use())


def test_a_scale_of_zero_is_the_base_model(engine: Up, lora: AdapterUse) -> None:
    async def use() -> None:
        base = await say(engine.engine, ONE, 6)
        none = await say(engine.engine, ONE, 6, (AdapterUse(lora.name, 0.0),))
        assert none.text == base.text
        assert none.end.usage.cached_tokens > 0, "it uses the base model's KV"

    engine.run(use())


def test_a_file_that_went_after_it_was_checked_is_unusable(llama: Llama, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="gone"):
        llama.adapters.find(str(tmp_path / "gone.gguf"), 1.0)


def test_those_that_requests_need_are_kept_above_the_bound(model: Path, many: list[AdapterUse]) -> None:
    adapters: Adapters = Llama(model, 256, 1).adapters
    needed: list[AdapterSet] = []
    for use in many:
        needed.append((adapters.find(use.name, 1.0),))
        adapters.bound(needed)
    assert len(adapters.paths) == len(many)
    adapters.bound(needed[-2:])
    assert list(adapters.paths) == [use.name for use in many[-RESIDENT:]]
    adapters.use(needed[-1])
    adapters.drop(many[-1].name)
    assert list(adapters.paths) == [use.name for use in many[-RESIDENT:-1]]
    adapters.use(needed[0])
    assert adapters.paths[-1] == many[0].name


def test_kv_depends_on_content_and_scale_alone() -> None:
    one = Adapter("a.gguf", "digest", 1.0)
    assert one.key == Adapter("elsewhere.gguf", "digest", 1.0).key
    assert one.key != Adapter("a.gguf", "digest", 0.5).key
    assert one.key != Adapter("a.gguf", "another", 1.0).key


def test_a_file_is_read_where_it_is_first_noted_and_again_when_it_has_changed(
    llama: Llama, tiny_lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, readers = tmp_path / "own.gguf", list[threading.Thread]()
    shutil.copy(tiny_lora, path)

    class Watched:
        @staticmethod
        def file_digest(*read: Any) -> Any:
            readers.append(threading.current_thread())
            return hashlib.file_digest(*read)

    monkeypatch.setattr(module, "hashlib", Watched)
    noting = threading.Thread(target=note_versions, args=([str(tmp_path / "nowhere.gguf"), str(path)],))
    noting.start()
    noting.join()
    first = llama.adapters.find(str(path), 1.0)
    assert readers == [noting]
    with path.open("ab") as file:
        file.write(bytes(32))
    assert llama.adapters.find(str(path), 1.0).version != first.version
    assert readers == [noting, threading.current_thread()]
