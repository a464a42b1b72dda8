"""How tokens are drawn: greedy, by seed, under penalties, biases and grammars; and their log-probabilities."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorebook_api.asking import Sampling
from lorebook_api.errors import BadRequest
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.patience import Patience
from lorebook_daemon.engine.child.sampler import sampler, scored
from lorebook_daemon.engine.child.work import Piece
from lorebook_daemon.engine.protocol import Plain
from tiny_engine import PASSAGES, Up, home_in, prompt, say, up
from tiny_models import token

ROUNDING = 0.03
"""See test_serving.py."""
ASKED = prompt("Why?", PASSAGES[:1])
SETTINGS = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def llama(tiny_gguf: Path) -> Llama:
    return Llama(tiny_gguf, 512, 1)


@pytest.fixture(scope="module")
def engine(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(tiny_gguf, home_in(tmp_path_factory.mktemp("home")), kv_disk_mb=1) as one:
        yield one


def draw(llama: Llama, sampling: Sampling, tokens: int = 30, begin: int = 5) -> list[int]:
    """Return what is drawn after a beginning, up to the end of a turn."""
    llama.clear()
    drawn: list[int] = []
    with sampler(sampling, llama) as one:
        rows = llama.decode([Piece(0, 0, [begin, 6, 7], logits=1)])
        while len(drawn) < tokens:
            drawn.append(one.draw(rows[0][0]))
            if llama.vocabulary.ends(drawn[-1]):
                break
            rows = llama.decode([Piece(0, 2 + len(drawn), [drawn[-1]], logits=1)])
    return drawn


def text(llama: Llama, sampling: Sampling, tokens: int = 30, begin: int = 5) -> str:
    drawn = [one for one in draw(llama, sampling, tokens, begin) if not llama.vocabulary.ends(one)]
    return b"".join(map(llama.vocabulary.piece, drawn)).decode("utf-8", "replace")


# -- drawing


def test_the_likeliest_token_is_drawn_by_default(llama: Llama) -> None:
    (first,) = draw(llama, Sampling(), 1)
    ((row,),) = llama.decode([Piece(1, 0, [5, 6, 7], logits=1)])
    assert first == int(llama.logits(row).argmax())


@pytest.mark.parametrize("temperature", [1e-38, 1e-9])
def test_a_temperature_next_to_nothing_is_greedy(llama: Llama, temperature: float) -> None:
    assert draw(llama, Sampling(temperature=temperature, seed=3)) == draw(llama, Sampling())


@given(seed=st.sampled_from([0, 1, 2, 2**31, 2**32 - 1]), temperature=st.sampled_from([0.1, 0.8, 2.0, 100.0]))
@SETTINGS
def test_a_seed_draws_the_same_again(llama: Llama, seed: int, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, seed=seed, top_k=0, top_p=1.0, min_p=0.0)
    assert draw(llama, sampling, 12) == draw(llama, sampling, 12)


def test_another_seed_draws_something_else(llama: Llama) -> None:
    assert len({tuple(draw(llama, Sampling(temperature=1.0, seed=seed), 12)) for seed in range(8)}) > 6


def test_the_hotter_the_more_varied(llama: Llama) -> None:
    def varied(temperature: float) -> int:
        sampling = [Sampling(temperature=temperature, seed=seed, top_k=0, top_p=1.0, min_p=0.0) for seed in range(30)]
        return len({draw(llama, one, 1)[0] for one in sampling})

    assert varied(0.05) < varied(0.7) < varied(2.0)


def test_each_bound_leaves_the_likeliest(llama: Llama) -> None:
    greedy = draw(llama, Sampling(), 8)
    for bound in ({"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}):
        assert draw(llama, Sampling(temperature=1.5, seed=2, **bound), 8) == greedy


def test_a_bias_forces_and_forbids(llama: Llama) -> None:
    assert draw(llama, Sampling(logit_bias=((42, 100.0),)), 5) == [42] * 5
    greedy = draw(llama, Sampling(), 5)
    assert greedy[0] not in draw(llama, Sampling(logit_bias=((greedy[0], -100.0),)), 20)
    everything = tuple((one, -100.0) for one in range(llama.vocabulary.size))
    assert draw(llama, Sampling(logit_bias=everything), 5) == greedy


@pytest.mark.parametrize("bad", [-1, 10**6, 2**31 - 1])
def test_a_bias_on_what_is_no_token_is_refused(llama: Llama, bad: int) -> None:
    with pytest.raises(BadRequest, match="no token"), sampler(Sampling(logit_bias=((bad, 1.0),)), llama):
        pass


def test_penalties_keep_from_repeating(llama: Llama) -> None:
    few = tuple((one, 20.0) for one in range(97, 103))
    common = Counter(draw(llama, Sampling(logit_bias=few), 60)).most_common(1)[0][1]
    for penalty in ({"frequency_penalty": 2.0}, {"presence_penalty": 2.0, "repeat_penalty": 1.5}):
        assert Counter(draw(llama, Sampling(logit_bias=few, **penalty), 60)).most_common(1)[0][1] < common


# -- grammars

VALUE = r"""
root ::= object
value ::= object | list | "true" | "false" | "null" | number | string
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
list ::= "[" (value ("," value)*)? "]"
string ::= "\"" [a-z ]{0,8} "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,5})
"""
GRAMMARS = {
    r"yes|no": 'root ::= "yes" | "no"',
    r"[0-9]{3}-[0-9]{4}\n": 'root ::= [0-9]{3} "-" [0-9]{4} "\\n"',
    r"(a|bc)*!": 'root ::= ("a" | "bc")* "!"',
    r"é+ü": 'root ::= "é"+ "ü"',
    r"the( file| name)?\.": 'root ::= "the" (" file" | " name")? "."',
    r"": 'root ::= ""',
    r"((((x))))": "root ::= ((((" + '"x"' + "))))",
}
HOW = st.sampled_from([Sampling(), Sampling(temperature=1.0, seed=1), Sampling(temperature=3.0, seed=9, top_k=0)])


@given(pattern=st.sampled_from(list(GRAMMARS)), how=HOW, begin=st.integers(0, 255))
@SETTINGS
def test_an_answer_follows_its_grammar(llama: Llama, pattern: str, how: Sampling, begin: int) -> None:
    drawn = draw(llama, Sampling(**{**vars(how), "grammar": GRAMMARS[pattern]}), 60, begin)
    ended = llama.vocabulary.ends(drawn[-1])
    said = b"".join(llama.vocabulary.piece(one) for one in drawn if not llama.vocabulary.ends(one))
    assert ended or len(drawn) == 60
    if ended:
        assert re.fullmatch(pattern, said.decode())


@given(how=HOW, begin=st.integers(0, 255))
@SETTINGS
def test_json_is_json(llama: Llama, how: Sampling, begin: int) -> None:
    # A bias for what closes: without it such a model opens for ever.
    closing = tuple((token(mark), 6.0) for mark in ']}",0')
    said = text(llama, Sampling(**{**vars(how), "grammar": VALUE, "logit_bias": closing}), 300, begin)
    assert isinstance(json.loads(said), dict)


BAD = {
    "nothing": " ",
    "no rule": "hello",
    "another root": 'start ::= "a"',
    "unknown rule": "root ::= other",
    "left recursion": 'root ::= root "a"',
    "open": 'root ::= "a',
    "too often": 'root ::= "a"{1000000}',
    "too deep": "root ::= " + "(" * 60_000,
    "broken text": 'root ::= "\ud800',
    "binary": "\x01\x02\x03",
}


@pytest.mark.parametrize("grammar", BAD.values(), ids=BAD)
def test_what_is_no_grammar_is_refused(llama: Llama, grammar: str) -> None:
    with pytest.raises(BadRequest, match="grammar"), sampler(Sampling(grammar=grammar), llama):
        pass


def test_parentheses_in_texts_and_comments_are_no_depth(llama: Llama) -> None:
    many = "(" * 1000
    assert text(llama, Sampling(grammar=f'root ::= "{many[:3]}" [(]? # {many}'), 20).startswith("(((")
    assert text(llama, Sampling(grammar="root ::= " + "(" * 200 + '"x"' + ")" * 200)) == "x"


def test_a_grammar_without_a_way_on_is_refused(llama: Llama) -> None:
    """No token holds a NUL: llama.cpp would end the process."""
    with pytest.raises(BadRequest, match="no token"):
        draw(llama, Sampling(grammar=r'root ::= "a" "\x00"'))


def test_the_engine_goes_on_after_bad_grammars(engine: Up) -> None:
    async def ask() -> None:
        before = await say(engine.engine, ASKED, 20)
        bad = [*BAD.values(), r'root ::= "the" "\x00"']
        asked = [say(engine.engine, ASKED, 20, sampling=Sampling(grammar=one)) for one in bad]
        good = [say(engine.engine, ASKED, 20) for _ in range(3)]
        *refused, one, other, third = await asyncio.gather(*asked, *good, return_exceptions=True)
        assert [type(error) for error in refused] == [BadRequest] * len(bad)
        pid = engine.engine.pid
        assert (await say(engine.engine, ASKED, 20)).text == before.text
        assert engine.engine.pid == pid
        assert not any(isinstance(said, BaseException) for said in (one, other, third))

    engine.run(ask())


def test_a_grammar_that_keeps_llama_cpp_busy_is_given_up(tiny_gguf: Path) -> None:
    llama = Llama(tiny_gguf, 512, 1)
    llama.patience = Patience(0.05)
    (a,) = llama.vocabulary.tokenize("a", special=False)
    with pytest.raises(BadRequest, match="leaves so many ways open"):
        draw(llama, Sampling(grammar='root ::= ("a"?){300} "c"', logit_bias=((a, 100.0),)))
    assert llama.patience.lost
    assert text(llama, Sampling(grammar='root ::= "x"')) == "x"


def test_a_grammar_and_log_probabilities_and_a_stop_word(engine: Up) -> None:
    sampling = Sampling(grammar='root ::= "abc" [a-z]{10,20}', top_logprobs=2)
    said = engine.run(say(engine.engine, ASKED, 40, sampling=sampling))
    assert re.fullmatch("abc[a-z]{10,20}", said.text)
    assert b"".join(one.raw for one in said.scored).decode() == said.text
    assert said.end.reason == "stop"
    stopped = engine.run(say(engine.engine, ASKED, 40, sampling=Sampling(grammar=sampling.grammar, stop=("c",))))
    assert (stopped.text, stopped.end.reason) == ("ab", "stop")


# -- log-probabilities


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=394), st.integers(0, 500), st.data())
@SETTINGS
def test_scores_are_those_of_a_softmax(llama: Llama, logits: list[float], top: int, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(logits) - 1))
    told = scored(llama.vocabulary, np.array(logits, np.float32), which, top)
    exact = np.array(logits, np.float64)
    exact -= np.logaddexp.reduce(exact)
    assert told.logprob == pytest.approx(exact[which], abs=1e-6)
    assert len({one.token for one in told.top}) == len(told.top) == min(top, len(logits))
    assert [one.logprob for one in told.top] == pytest.approx(sorted(exact, reverse=True)[:top], abs=1e-6)
    assert all(one.raw == llama.vocabulary.piece(one.token, special=True) for one in told.top)


@pytest.mark.parametrize("sampling", [Sampling(top_logprobs=5), Sampling(temperature=1.2, seed=4, top_logprobs=3)])
def test_an_answer_s_scores_are_those_of_the_text_read_again(engine: Up, llama: Llama, sampling: Sampling) -> None:
    asked = Plain("the name of the file is")

    async def ask() -> None:
        said = await say(engine.engine, asked, 20, sampling=sampling)
        assert len(said.scored) == said.end.usage.completion_tokens == 20
        assert b"".join(one.raw for one in said.scored).decode() == said.text
        tokens = [*llama.vocabulary.tokenize(asked.text, special=True), *(one.token for one in said.scored)]
        again = await engine.engine.score(Plain(tokens=tuple(tokens)), 5)
        assert [one.token for one in again] == tokens
        assert again[0].logprob == 0.0
        assert not again[0].top
        for one, other in zip(said.scored, again[-20:], strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=ROUNDING)
            assert [t.logprob for t in one.top] == pytest.approx(
                [t.logprob for t in other.top][: len(one.top)], abs=ROUNDING
            )
            assert [t.logprob for t in one.top] == sorted((t.logprob for t in one.top), reverse=True)
            assert one.logprob <= one.top[0].logprob

    engine.run(ask())


def test_no_scores_are_told_where_none_are_asked_for(engine: Up) -> None:
    assert engine.run(say(engine.engine, ASKED, 5)).scored == ()
    none = engine.run(say(engine.engine, ASKED, 5, sampling=Sampling(top_logprobs=0)))
    assert [one.top for one in none.scored] == [()] * 5


def test_scores_of_a_long_text_are_those_of_its_parts(engine: Up, llama: Llama) -> None:
    """It is scored in several batches; what was scored, or read, before does not matter."""
    whole = Plain("".join(PASSAGES) * 3)
    tokens = llama.vocabulary.tokenize(whole.text, special=True)
    assert len(tokens) > 250

    async def ask() -> None:
        expected = await engine.engine.score(whole, 1)
        for n in (1, 2, 95, 96, 97, 192, 200):
            got = await engine.engine.score(Plain(tokens=tuple(tokens[:n])), 1)
            np.testing.assert_allclose([s.logprob for s in got], [s.logprob for s in expected[:n]], atol=ROUNDING)
        many = await asyncio.gather(*(engine.engine.score(Plain(tokens=tuple(tokens[:n]))) for n in range(1, 30)))
        for n, got in enumerate(many, start=1):
            np.testing.assert_allclose([s.logprob for s in got], [s.logprob for s in expected[:n]], atol=ROUNDING)

    engine.run(ask())
