"""How the next token is drawn: a chain of llama.cpp's samplers."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import llama_cpp

from lorebook_api.schema import Sampling

_PENALTY_WINDOW = 64
"""Tokens back that a repeat penalty looks, llama.cpp's own default."""


@contextmanager
def sampler_chain(sampling: Sampling, n_vocab: int) -> Iterator[ctypes.c_void_p]:
    """Yield a sampler chain in llama.cpp's usual order: penalties, top-k, top-p, min-p, temperature, draw."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    try:
        for link in _links(sampling, n_vocab):
            llama_cpp.llama_sampler_chain_add(chain, link)
        yield chain
    finally:
        llama_cpp.llama_sampler_free(chain)


def _links(sampling: Sampling, n_vocab: int) -> list[ctypes.c_void_p]:
    links = []
    if sampling.repeat_penalty != 1.0:
        links.append(
            llama_cpp.llama_sampler_init_penalties(n_vocab, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0)
        )
    if sampling.temperature <= 0:
        return [*links, llama_cpp.llama_sampler_init_greedy()]
    return [
        *links,
        llama_cpp.llama_sampler_init_top_k(sampling.top_k),
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(sampling.seed),
    ]
