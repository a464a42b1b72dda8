"""How tokens are drawn: a request's parameters, with llama.cpp's defaults for those that are absent."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TypeVar

from lorebook_api.asking import Sampling
from lorebook_daemon.app.v1.requests import Generating

T = TypeVar("T")

_SEEDS = 2**32
_TEMPERATURE = 0.8
"""llama.cpp's server draws so where nothing is said, and so its clients expect it here."""
_ELSE = Sampling()


def samplings(
    body: Generating, grammar: str, top: int | None, more_stops: tuple[str, ...] = ()
) -> tuple[Sampling, ...]:
    """Return one way of drawing for each answer that is wanted: they differ in the seed, which counts up."""
    seed = secrets.randbelow(_SEEDS) if body.seed is None or body.seed < 0 else body.seed
    common = Sampling(
        temperature=_or(body.temperature, _TEMPERATURE),
        top_k=max(0, _or(body.top_k, _ELSE.top_k)),  # all tokens: 0 for llama.cpp, -1 for vLLM
        top_p=_or(body.top_p, _ELSE.top_p),
        min_p=_or(body.min_p, _ELSE.min_p),
        repeat_penalty=_or(body.repeat_penalty, _ELSE.repeat_penalty),
        presence_penalty=_or(body.presence_penalty, _ELSE.presence_penalty),
        frequency_penalty=_or(body.frequency_penalty, _ELSE.frequency_penalty),
        stop=(*body.stops, *more_stops),
        logit_bias=tuple((body.logit_bias or {}).items()),
        grammar=grammar,
        top_logprobs=top,
    )
    return tuple(replace(common, seed=(seed + i) % _SEEDS) for i in range(body.choices))


def _or(value: T | None, otherwise: T) -> T:
    return otherwise if value is None else value
