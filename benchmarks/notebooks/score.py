"""Scores the results of any system over the notebooks: `python benchmarks/notebooks/score.py RESULTS.jsonl`.

A line of the file is `{"id": "n001", "found": [["sales.ipynb", "1f2e3d4c"], ...]}`: notebooks and ids of cells, best
first. A cell may be named twice, once for each of its passages. It needs nothing beside Python.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

K = 10
QUERIES = Path(__file__).resolve().parent / "queries.jsonl"


def ndcg(found: Sequence[tuple[str, str]], notebook: str, cells: Iterable[str], k: int = K) -> float:
    """Return 1 / log2(1 + the rank, from 1, of the first right cell), 0 where none is among the first `k`."""
    right = {(notebook, cell) for cell in cells}
    rank = next((rank for rank, one in enumerate(found[:k], 1) if one in right), None)
    return 0.0 if rank is None else 1 / math.log2(1 + rank)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return the objects of a file with one in each line."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def score(queries: Iterable[dict[str, Any]], results: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return the mean NDCG of all queries, of each split and of each kind; a query without a result scores 0."""
    found = {row["id"]: [(notebook, cell) for notebook, cell in row["found"]] for row in results}
    gains: dict[str, list[float]] = {}
    for query in queries:
        gain = ndcg(found.get(query["id"], ()), query["notebook"], query["cells"])
        split = _split(int(query["id"][1:]))
        for group in ("all", split, query["kind"], f"{split}, {query['kind']}"):
            gains.setdefault(group, []).append(gain)
    return {group: statistics.fmean(gains[group]) for group in sorted(gains)}


def _split(number: int) -> str:
    if number % 3 == 0:
        return "development"
    return "test" if number <= 150 else "second"


def main() -> None:
    """Print the scores of the file that is named."""
    if len(sys.argv) != 2:
        sys.exit("Which results? Type: python benchmarks/notebooks/score.py RESULTS.jsonl")
    for group, mean in score(read_lines(QUERIES), read_lines(Path(sys.argv[1]))).items():
        print(f"{group:28} {mean:.3f}")


if __name__ == "__main__":
    main()
