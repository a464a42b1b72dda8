"""NDCG@10 of ours with and without links between files, over notebooks that import, run and are paired; in one run.

The queries and the files are those of `benchmarks/linked/`. Without links a notebook's references are taken out, and
no script is known to be one of a pair; then the signal and each step that looks into other files are left out alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.corpora import Corpus, ours
from benchmarks.engine import parser
from benchmarks.linked.queries import KINDS, corpus, read_queries
from benchmarks.notebook_retrieval import Gains, interval
from benchmarks.searches import dense, okapi
from lorebook_api.home import find_home
from lorebook_daemon.index.embed import MiniLM
from lorebook_daemon.index.neighbourhood import STEPS
from lorebook_daemon.index.pairs import notebook_of
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.models.pull import ensure_embedder

K = 10
OURS = "ours"
LINKING = ("links", *STEPS)
_ALONE = ".script.py"


def main() -> None:
    """Print a table by kind, and how many of the first ten repeat what a notebook among them says."""
    options = parser(__doc__).parse_args()
    embedder = MiniLM(ensure_embedder(find_home(), report=lambda progress: None).path)
    asked = corpus(embedder)
    searches = {
        "BM25Okapi, \\w+ tokens": okapi(asked),
        "MiniLM alone": dense(asked, embedder),
        "ours without links": ours(_unlinked(asked), embedder),
        **{f"ours without {name} alone": ours(asked, embedder, {name}) for name in LINKING},
        OURS: ours(asked, embedder),
    }
    found = {name: [search(one.text, K) for one in asked.questions] for name, search in searches.items()}
    gains = {name: _gains(asked, lists) for name, lists in found.items()}
    kinds = np.array([query.kind for query in read_queries()])
    print(f"  {'NDCG@10':28} {f'all {len(kinds)}':22} " + " ".join(f"{kind:8}" for kind in KINDS) + " repeated")
    for name, each in gains.items():
        mean, low, high = interval(each)
        by_kind = " ".join(f"{each[kinds == kind].mean():<8.3f}" for kind in KINDS)
        print(f"  {name:28} {mean:.3f} ({low:.3f} to {high:.3f})  {by_kind} {sum(map(_repeated, found[name]))}")
    mean, low, high = interval(gains[OURS] - gains["ours without links"])
    print(f"  links bring {mean:+.3f} ({low:+.3f} to {high:+.3f})")
    if not options.quick:
        _print_losses(found[OURS], gains[OURS])


def _gains(asked: Corpus, found: Sequence[Sequence[Passage]]) -> Gains:
    return np.array([one.ndcg(passages, K) for one, passages in zip(asked.questions, found, strict=True)])


def _repeated(found: Sequence[Passage]) -> int:
    """Return how many passages are of a script whose notebook is among them as well."""
    paths = {passage.path for passage in found}
    return sum(notebook_of(replace(one, path=one.path.replace(_ALONE, ".py"))) in paths for one in found)


def _unlinked(asked: Corpus) -> Corpus:
    """Return the corpus as it is without references, and with scripts under names that no notebook has."""
    paths = {passage.path for passage in asked.passages}
    passages = [replace(one, uses=(), path=_alone(one, paths)) for one in asked.passages]
    return Corpus(passages, asked.matrix, asked.questions)


def _alone(passage: Passage, paths: set[str]) -> str:
    return passage.path.replace(".py", _ALONE) if notebook_of(passage) in paths else passage.path


def _print_losses(found: Sequence[Sequence[Passage]], gains: Gains) -> None:
    """Print the queries that are not answered by the first passage, and what came first."""
    for query, passages, gain in zip(read_queries(), found, gains, strict=True):
        if gain < 1:
            first = f"{passages[0].path}: {' '.join(passages[0].text.split())[:80]}" if passages else "nothing"
            print(f"  {query.id} {gain:.2f} {query.text}\n    first came {first}")


if __name__ == "__main__":
    main()
