"""How the next token is drawn: a chain of llama.cpp's samplers, a grammar if there is one, and log-probabilities."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

import llama_cpp
import numpy as np
import numpy.typing as npt

from lorebook_api.asking import Sampling
from lorebook_api.errors import BadRequest
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.vocabulary import Vocabulary
from lorebook_daemon.engine.protocol import Alternative, Scored

_PENALTY_WINDOW = 64
"""Tokens back that penalties look, llama.cpp's own default."""

_COLDEST = 1e-6
"""Temperatures below are none: logits divided by less would be infinite."""

_RANDOM_SEED = 2**32 - 1
"""What llama.cpp takes for "any seed"."""

_DEPTH_MOST = 256
"""Parentheses in each other in a grammar: llama.cpp's parser calls itself for each, and thousands end the process."""

_NO_SYNTAX = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*')
"""Literals, characters in brackets, comments."""

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Sampler:
    """Draws tokens for one answer."""

    def __init__(self, llama: Llama, chain: ctypes.c_void_p, grammar: ctypes.c_void_p | None) -> None:
        """Draw by `chain`, only what `grammar` allows."""
        self._llama, self._chain, self._grammar = llama, chain, grammar

    def draw(self, row: int) -> int:
        """Return the next token after a row's logits; raises BadRequest where the grammar allows none or never ends.

        The grammar is asked of the drawn token alone first, and of the whole vocabulary only where it says no.
        """
        if not self._grammar:
            return self._llama.sample(self._chain, row)
        logits = self._llama.logits(row).copy()
        return self._llama.patience.ask(lambda: self._constrained(logits))

    def _constrained(self, logits: npt.NDArray[np.float32]) -> int:
        token = self._pick(_candidates(logits))
        if not self._allows(token):
            candidates = _candidates(logits)
            array = _array(candidates)
            llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(array))
            allowed = candidates[np.isfinite(candidates["logit"])]
            if not len(allowed):
                raise BadRequest("the grammar leads to where no token fits.", "Let every rule come to an end.")
            token = self._pick(allowed)
        llama_cpp.llama_sampler_accept(self._grammar, token)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def _pick(self, candidates: npt.NDArray[np.void]) -> int:
        array = _array(candidates)
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)

    def _allows(self, token: int) -> bool:
        one = np.array([(token, 1.0, 0.0)], _CANDIDATE)
        array = _array(one)
        llama_cpp.llama_sampler_apply(self._grammar, ctypes.byref(array))
        return bool(np.isfinite(array.data[0].logit))


@contextmanager
def sampler(sampling: Sampling, llama: Llama) -> Iterator[Sampler]:
    """Yield a sampler in llama.cpp's usual order: bias, penalties, top-k, top-p, min-p, temperature, draw.

    Raises BadRequest for a grammar that is none, or a bias on what is no token.
    """
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    grammar = None
    try:
        for link in _links(sampling, llama.vocabulary.size):
            llama_cpp.llama_sampler_chain_add(chain, link)
        if sampling.grammar:
            grammar = _grammar(sampling.grammar, llama.vocabulary)
        yield Sampler(llama, chain, grammar)
    finally:
        if not llama.patience.lost:  # else a call that was given up may still be at work with them
            if grammar:
                llama_cpp.llama_sampler_free(grammar)
            llama_cpp.llama_sampler_free(chain)


def _grammar(text: str, vocabulary: Vocabulary) -> ctypes.c_void_p:
    if _depth(text) > _DEPTH_MOST:
        raise BadRequest(f"the grammar nests more than {_DEPTH_MOST} parentheses.", "Make rules of them.")
    grammar = llama_cpp.llama_sampler_init_grammar(vocabulary.handle, text.encode("utf-8", "replace"), b"root")
    if not grammar:
        raise BadRequest("the grammar cannot be read.", "It takes GBNF with a rule `root`.")
    return grammar  # type: ignore[no-any-return]


def _depth(grammar: str) -> int:
    """Return how many parentheses stand in each other."""
    brackets = re.findall("[()]", _NO_SYNTAX.sub("", grammar))
    return max(accumulate(1 if bracket == "(" else -1 for bracket in brackets), default=0)


def _links(sampling: Sampling, n_vocab: int) -> Iterator[ctypes.c_void_p]:
    if sampling.logit_bias:
        if any(not 0 <= token < n_vocab for token, _ in sampling.logit_bias):
            raise BadRequest("logit_bias names a number that is no token.", f"They go up to {n_vocab - 1}.")
        biases = (llama_cpp.llama_logit_bias * len(sampling.logit_bias))(*sampling.logit_bias)
        yield llama_cpp.llama_sampler_init_logit_bias(n_vocab, len(sampling.logit_bias), biases)
    penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
    if penalties != (1.0, 0.0, 0.0):
        yield llama_cpp.llama_sampler_init_penalties(n_vocab, _PENALTY_WINDOW, *penalties)
    if sampling.temperature < _COLDEST:
        yield llama_cpp.llama_sampler_init_greedy()
        return
    yield llama_cpp.llama_sampler_init_top_k(sampling.top_k)
    yield llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1)
    yield llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1)
    yield llama_cpp.llama_sampler_init_temp(sampling.temperature)
    yield llama_cpp.llama_sampler_init_dist(sampling.seed % _RANDOM_SEED)


def _candidates(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.void]:
    candidates = np.zeros(len(logits), _CANDIDATE)
    candidates["id"] = np.arange(len(logits))
    candidates["logit"] = logits
    return candidates


def _array(candidates: npt.NDArray[np.void]) -> llama_cpp.llama_token_data_array:
    """Return llama.cpp's view of the candidates, which must outlive it and may be put in another order by it."""
    pointer = candidates.ctypes.data_as(llama_cpp.llama_token_data_p)
    return llama_cpp.llama_token_data_array(pointer, len(candidates), -1, False)


def scored(vocabulary: Vocabulary, logits: npt.NDArray[np.float32], token: int, top: int) -> Scored:
    """Return `token` with its natural log-probability, and the `top` likeliest tokens, likeliest first."""
    wide = logits.astype(np.float64)
    logs = wide - (wide.max() + np.log(np.exp(wide - wide.max()).sum()))
    best = np.argpartition(-logs, min(top, len(logs) - 1))[:top] if top else np.empty(0, np.int64)
    likeliest = tuple(
        Alternative(int(i), vocabulary.piece(int(i), special=True), float(logs[i]))
        for i in best[np.argsort(-logs[best])]
    )
    return Scored(token, vocabulary.piece(token, special=True), float(logs[token]), likeliest)
