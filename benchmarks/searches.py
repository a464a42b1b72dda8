"""Simple searches to compare with: by any word, by BM25, by nearness in meaning alone."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from rank_bm25 import BM25Okapi

from benchmarks.corpora import Corpus, Search
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.passage import Passage


def grep(corpus: Corpus) -> Search:
    """Order passages by how many of the question's words stand in them, as `grep -i` would find them."""
    texts = [passage.text.lower() for passage in corpus.passages]

    def search(query: str, k: int) -> list[Passage]:
        asked = set(re.findall(r"\w+", query.lower()))
        return _best(corpus, [float(sum(word in text for word in asked)) for text in texts], k)

    return search


def okapi(corpus: Corpus) -> Search:
    """Order passages by BM25Okapi over their runs of letters and digits, in lower case."""
    index = BM25Okapi([re.findall(r"\w+", passage.text.lower()) or [""] for passage in corpus.passages])
    return lambda query, k: _best(corpus, index.get_scores(re.findall(r"\w+", query.lower())), k)


def dense(corpus: Corpus, embedder: Embedder) -> Search:
    """Order passages by the cosine of their vectors and the question's."""
    return lambda query, k: _best(corpus, corpus.matrix @ embedder.embed([query])[0], k)


def _best(corpus: Corpus, scores: npt.ArrayLike, k: int) -> list[Passage]:
    return [corpus.passages[place] for place in np.argsort(-np.asarray(scores), kind="stable")[:k]]
