"""What stands in other files and belongs to what was found: where names are set, the notebook of a pair."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lorebook_daemon.index.links import led_to, references, unlinked
from lorebook_daemon.index.pairs import mainly, notebook_of, twins
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.rank import best_first
from lorebook_daemon.index.signals import Scores

FOLLOWED = 10
"""The best passages, whose references are followed: as many as an answer is shown, and each costs a look-up."""
_MOST_FILES = 32
"""Files that are looked up by their path for what no passage is marked to define: they are read whole."""

FOLLOWING, PAIRING = "following", "pairing"
STEPS = (FOLLOWING, PAIRING)
"""What it does, each of which an ablation may leave out: follow references, and fold scripts into their notebooks."""

Pool = dict[int, Passage]


@dataclass(frozen=True)
class Neighbourhood:
    """Looks into the files beside those of the passages that were found."""

    defining: Callable[[Sequence[str]], Mapping[int, Passage]]
    """Returns passages that define any of these names."""
    in_files: Callable[[Collection[str]], Mapping[int, Passage]]
    """Returns all passages of the files at these paths; those that are not there are passed over."""
    steps: Collection[str] = STEPS

    def complete(self, pool: Mapping[int, Passage], score: Callable[[Sequence[int]], Scores]) -> tuple[Pool, Scores]:
        """Return the pool with what its best passages lead to, without scripts that only repeat their notebook.

        `score` returns what passages are worth, by their ids. A cell is worth as much of the script's passage as it
        holds, where it is not worth more by itself; what a script mainly repeats comes in, so that it can be found.
        """
        whole = {**pool, **self._set_elsewhere(pool, score(list(pool)))}
        notebooks = self._notebooks(whole)
        repeated = twins(whole, notebooks)
        for cells in repeated.values():
            whole.update((key, notebooks[key]) for key in mainly(cells))
        return _folded(whole, score(list(whole)), repeated)

    def _set_elsewhere(self, pool: Mapping[int, Passage], scores: Scores) -> Pool:
        """Return what sets the names that the best of the pool take from other files, where it is not in the pool."""
        passages = list(pool.values())
        if FOLLOWING not in self.steps:
            return {}
        best = [passages[place] for place in best_first(scores)[:FOLLOWED].tolist()]
        missing = unlinked(passages, (one for passage in best for one in references(passage)))
        if not missing:
            return {}
        marked = self.defining(list(dict.fromkeys(one.name for one in missing)))
        found = {key: marked[key] for key in led_to(missing, marked)}
        missing = unlinked(list(found.values()), missing)
        places = dict.fromkeys(place for one in missing for place in one.places())
        if places:
            beside = self.in_files(list(places)[:_MOST_FILES])
            found.update((key, beside[key]) for key in led_to(missing, beside))
        return found

    def _notebooks(self, pool: Mapping[int, Passage]) -> Mapping[int, Passage]:
        if PAIRING not in self.steps:
            return {}
        paths = {path for passage in pool.values() if (path := notebook_of(passage)) is not None}
        return self.in_files(sorted(paths)) if paths else {}


def _folded(
    pool: Mapping[int, Passage], scores: Scores, repeated: Mapping[int, Mapping[int, float]]
) -> tuple[Pool, Scores]:
    """Return the pool without the scripts' passages that cells of it stand for, which take over what these had."""
    worth = dict(zip(pool, scores.tolist(), strict=True))
    gone = set()
    for script, cells in repeated.items():
        for cell in worth.keys() & cells.keys():
            worth[cell] = max(worth[cell], cells[cell] * worth[script])
            gone.add(script)
    kept = {key: passage for key, passage in pool.items() if key not in gone}
    return kept, np.array([worth[key] for key in kept], np.float64)
