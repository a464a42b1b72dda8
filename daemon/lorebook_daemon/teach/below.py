"""What the frozen layers below the first trained one make of samples: computed once for those that are seen again.

Which samples are kept, and which of them are computed in one row, is decided before the first step from the batches and
the bound alone. So a training that was killed, with nothing kept any more, computes the same numbers again bit by bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from lorebook_daemon.teach.samples import Sample

Read = Callable[[Sequence[Sample]], list[Tensor]]
"""Computes samples in one row: the states [1, tokens, width] of each, from where the adapter acts on."""
_Key = tuple[int, tuple[int, ...]]


class Below:
    """The states that enter the first trained layer, in 32 bits."""

    def __init__(self, batches: Iterable[Sequence[Sample]], read: Read, token_bytes: int, most_bytes: int) -> None:
        """Keep what the batches of a training hold more than once, the most frequent first, up to `most_bytes`."""
        counts: Counter[_Key] = Counter()
        first: dict[_Key, tuple[int, Sample]] = {}
        for number, batch in enumerate(batches):
            for side in _sides(batch):
                counts[_key(side)] += 1
                first.setdefault(_key(side), (number, side))
        chosen = _chosen(counts, most_bytes // token_bytes)
        self._read = read
        self._row_of = {key: number for key, (number, _) in first.items() if key in chosen}
        self._rows: dict[int, list[Sample]] = {}
        for key, number in self._row_of.items():
            self._rows.setdefault(number, []).append(first[key][1])
        self._kept: dict[_Key, Tensor] = {}

    def of(self, samples: Sequence[Sample]) -> list[Tensor] | None:
        """Return the states of each of some samples; None where none of them is kept.

        Those that are not kept are computed now, in one row.
        """
        keys = [_key(sample) for sample in samples]
        if not any(key in self._row_of for key in keys):
            return None
        for key in keys:
            if key in self._row_of and key not in self._kept:
                self._fill(self._rows[self._row_of[key]])
        others = [sample for sample, key in zip(samples, keys, strict=True) if key not in self._row_of]
        now = iter(self._read(others) if others else ())
        return [self._kept[key] if key in self._row_of else next(now) for key in keys]

    def _fill(self, row: Sequence[Sample]) -> None:
        """Compute what was first seen together, as it would be without this: the first pass takes no longer."""
        for sample, states in zip(row, self._read(row), strict=True):
            self._kept[_key(sample)] = states


def _sides(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yield samples, and those that are pairs with either answer."""
    for sample in samples:
        yield sample
        if sample.rejected:
            yield replace(sample, tokens=sample.rejected)


def _key(sample: Sample) -> _Key:
    """Return what is read of a sample: its last token is only predicted."""
    return sample.acts, sample.tokens[:-1]


def _chosen(counts: Counter[_Key], room: int) -> set[_Key]:
    """Return what is seen more than once and fits into so many tokens."""
    chosen: set[_Key] = set()
    for key, times in counts.most_common():  # of equals the first seen is the first
        acts, tokens = key
        if times > 1 and len(tokens) - acts <= room:
            room -= len(tokens) - acts
            chosen.add(key)
    return chosen
