"""What an answer cost: `usage` as OpenAI tells it, `timings` as llama.cpp's server does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lorebook_daemon.engine.protocol import Finished

JSON = dict[str, Any]


def usage(ends: Sequence[Finished], choices: int) -> JSON:
    """Return the tokens of all answers; the prompt of each `choices` of them is one, and counts once."""
    firsts = ends[::choices]
    prompt = sum(end.usage.prompt_tokens for end in firsts)
    completion = sum(end.usage.completion_tokens for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(end.usage.cached_tokens for end in firsts)},
    }


def timings(ends: Sequence[Finished], choices: int) -> JSON:
    """Return milliseconds and tokens a second, of reading what was not cached and of writing.

    Of several answers the milliseconds are the longest ones': they are written side by side.
    """
    firsts = ends[::choices]
    cached = sum(end.usage.cached_tokens for end in firsts)
    read = sum(end.usage.prompt_tokens for end in firsts) - cached
    written = sum(end.usage.completion_tokens for end in ends)
    return {
        "cache_n": cached,
        **_pace("prompt", read, max(end.prompt_ms for end in firsts)),
        **_pace("predicted", written, max(end.generate_ms for end in ends)),
        "draft_n": sum(end.drafted for end in ends),
        "draft_n_accepted": sum(end.accepted for end in ends),
    }


def _pace(what: str, tokens: int, ms: float) -> JSON:
    return {
        f"{what}_n": tokens,
        f"{what}_ms": ms,
        f"{what}_per_token_ms": ms / tokens if tokens else 0.0,
        f"{what}_per_second": tokens / ms * 1000 if ms else 0.0,
    }
