"""How a prompt is read: segments in order, each under its adapters, and which of them are passages read apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lorebook_daemon.engine.child.adapters import AdapterSet, acting
from lorebook_daemon.engine.child.chat import PromptTokens
from lorebook_daemon.engine.child.lanes import Entry

_TOKEN_BITS, _BLOCK_BITS = 24, 20
"""Of an entry's 63: tokens of a vocabulary, passages of a prompt; the others number half a million adapter sets."""


@dataclass(frozen=True)
class Segment:
    """Consecutive tokens under one adapter set, with the text of the passage that they are, if they are one.

    `block` numbers the passages that are read apart, from 1 on; 0 is for what is read after all that stands before it.
    """

    start: int
    tokens: tuple[int, ...]
    adapters: AdapterSet
    block: int = 0
    text: str = ""
    soft: bool = False
    """Whether it is a soft prompt's vectors, after which no logits are wanted."""

    @property
    def end(self) -> int:
        """Where the next segment begins."""
        return self.start + len(self.tokens)


class Layout:
    """Divides prompts, and numbers the adapter sets that it meets."""

    def __init__(self, *, apart: bool) -> None:
        """Let passages be read apart, or not."""
        self._apart = apart
        self._sets: dict[tuple[object, ...], int] = {}

    def segments(self, prompt: PromptTokens, adapters: AdapterSet) -> list[Segment]:
        """Return the prompt's segments in order, none of them empty.

        Passages are read apart only between a head, after which each is read, and a tail, after which is answered.
        """
        apart = self._apart and prompt.head and prompt.tail
        parts = [(prompt.head, 0, "")]
        parts += [(tokens, n, text) for n, (tokens, text) in enumerate(prompt.labelled, start=1)]
        parts.append((prompt.tail, 0, ""))
        changes = acting(adapters, prompt.flat)
        segments = _soft(prompt.soft, changes)
        start = len(prompt.soft)
        for tokens, n, text in parts:
            segments += _divided(start, tokens, n if apart else 0, text, changes)
            start += len(tokens)
        return segments

    def entries(self, segments: Sequence[Segment]) -> list[Entry]:
        """Return the tokens, each with the number of its adapter set and of its block.

        Two sequences that begin with the same entries hold the same KV there.
        """
        return [entry for segment in segments for entry in self.entries_of(segment, segment.tokens)]

    def entries_of(self, like: Segment, tokens: Sequence[int]) -> Iterator[Entry]:
        """Return the entries of tokens that are read as those of the segment `like` are."""
        mark = (self._number(like.adapters) << _BLOCK_BITS | like.block) << _TOKEN_BITS
        return (mark | token for token in tokens)

    def _number(self, adapters: AdapterSet) -> int:
        return self._sets.setdefault(tuple(one.key for one in adapters), len(self._sets))


def _soft(numbers: tuple[int, ...], changes: Sequence[tuple[int, AdapterSet]]) -> list[Segment]:
    """Return the segment of a soft prompt, which stands before everything; none where there is none."""
    return [Segment(0, numbers, changes[0][1], soft=True)] if numbers else []


def _divided(
    start: int, tokens: tuple[int, ...], block: int, text: str, changes: Sequence[tuple[int, AdapterSet]]
) -> list[Segment]:
    """Return the tokens as segments, cut where other adapters begin to act; a passage that is cut is no block."""
    inside = [place for place, _ in changes if start < place < start + len(tokens)]
    segments = []
    for left, right in zip([start, *inside], [*inside, start + len(tokens)], strict=True):
        adapters = next(these for place, these in reversed(changes) if place <= left)
        if right > left:
            segments.append(Segment(left, tokens[left - start : right - start], adapters, 0 if inside else block, text))
    return segments
