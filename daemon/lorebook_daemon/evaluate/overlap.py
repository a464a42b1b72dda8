"""Contamination: what an adapter was taught, word for word, that it is tested on now.

Sequences of words, as GPT-3's authors looked for them (Brown et al., NeurIPS 2020, appendix C): 13 there, over texts
of the web; 8 here, since questions are short. A text of fewer words counts where the whole of it was taught.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorebook_api.asking import AdapterUse
from lorebook_api.errors import LorebookError
from lorebook_api.evaluation import Overlap
from lorebook_api.home import Home
from lorebook_daemon.models.adapters import card_file
from lorebook_daemon.teach.examples import read_examples

N = 8
"""Words in a row."""
_FEWEST = 3
"""Words of a text that is looked for at all: fewer stand everywhere."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Taught:
    """What is known of what an adapter was taught; None where that is not known."""

    adapter: str
    texts: tuple[str, ...] | None


def taught(adapters: Sequence[AdapterUse], home: Home) -> tuple[Taught, ...]:
    """Return what each adapter was taught, by the card beside it. Blocking."""
    return tuple(Taught(adapter.name, _texts(adapter.name, home)) for adapter in adapters)


def _texts(adapter: str, home: Home) -> tuple[str, ...] | None:
    try:
        card = json.loads(card_file(home, adapter).read_text(encoding="utf-8"))
        examples = read_examples(home.state / "jobs" / str(card["job"]) / "examples.jsonl")
    except (OSError, ValueError, KeyError, TypeError, LorebookError):
        return None  # an adapter from elsewhere: `told` says that it is not known
    used = [one for one in examples if not one.left_out and not one.held_out]
    return tuple(text for one in used for text in (one.question, one.answer))


def overlapping(tested: Iterable[str], known: Iterable[str], n: int = N) -> list[bool]:
    """Return of each text whether `n` words in a row of it, or all of a shorter one, stand in `known`."""
    texts = [_words(text) for text in tested]
    lengths = {min(n, len(words)) for words in texts if len(words) >= _FEWEST}
    held = {length: {gram for text in known for gram in _grams(_words(text), length)} for length in lengths}
    return [
        len(words) >= _FEWEST and any(gram in held[min(n, len(words))] for gram in _grams(words, min(n, len(words))))
        for words in texts
    ]


def overlaps(tested: Sequence[str], adapters: Sequence[AdapterUse], home: Home) -> tuple[Overlap, ...]:
    """Return, for each adapter, how much of a test it was taught. Blocking."""
    return tuple(
        Overlap(one.adapter, None if one.texts is None else sum(overlapping(tested, one.texts)), len(tested))
        for one in taught(adapters, home)
    )


def told(overlap: Overlap) -> str:
    """Return it as it is said beside figures."""
    if overlap.shared is None:
        return f"What {overlap.adapter} was taught is not known here; whether it knows the test neither."
    share = f"{overlap.shared} of {overlap.of} items share {N} words in a row"
    return f"{share} with what {overlap.adapter} was taught."


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _grams(words: Sequence[str], n: int) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}
