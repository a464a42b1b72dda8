"""Answers by the product itself: right passages, right facts, abstaining.

The questions are those of samples/questions.jsonl, or, with `--about development` or `--about test`, those of
`code_questions.jsonl` about the four repositories of either half, in the folder that LOREBOOK_BENCH names. A fact is
right where one of the accepted spellings stands in the answer, apart from digits before or after it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.engine import SAMPLES, parser
from benchmarks.questions import right, sample_rows
from lorebook_api.asking import Answer, AskRequest, Source
from lorebook_api.client import Client
from lorebook_api.discovery import connect
from lorebook_api.home import find_home
from lorebook_api.retrieval import SearchRequest, SearchResult

NEAR = 5
CODE = Path(__file__).with_name("code_questions.jsonl")
HALVES = {
    "development": ("aiohttp", "pydantic", "express", "cobra"),
    "test": ("fastapi", "model2vec", "gin", "gson"),
}
"""The repositories whose questions something may be tuned on, and those that say what came of it."""


def main() -> None:
    """Print a line a question, and the shares."""
    arguments = parser(__doc__)
    arguments.add_argument("--about", choices=("samples", *HALVES), default="samples", help="what is asked about")
    arguments.add_argument("--k", type=int, default=AskRequest("").k, help="passages that are read at the most")
    arguments.add_argument("--json", type=Path, help="write every answer to this file")
    options = arguments.parse_args()
    client = Client(connect(find_home()))
    rows = sample_rows() if options.about == "samples" else _code_rows(options.about)
    told = [_asked(client, row, options) for row in (rows[::5] if options.quick else rows)]
    answerable = [one for one in told if one["answerable"]]
    others = [one for one in told if not one["answerable"]]
    for name, of in (("right passage first, search", "searched"), ("right passage first, ask", "read")):
        firsts = sum(one[of] == 1 for one in answerable)
        near = sum(one[of] is not None and one[of] <= NEAR for one in answerable)
        print(f"{name:34} {firsts} of {len(answerable)}, within {NEAR}: {near} of {len(answerable)}")
    print(f"{'right fact in the answer':34} {sum(one['fact'] for one in answerable)} of {len(answerable)}")
    print(f"{'right fact, cited where it stands':34} {sum(one['cited'] for one in answerable)} of {len(answerable)}")
    print(f"{'abstained, nothing answers':34} {sum(one['abstained'] for one in others)} of {len(others)}")
    print(f"{'abstained, though answerable':34} {sum(one['abstained'] for one in answerable)} of {len(answerable)}")
    seconds = sorted(one["seconds"] for one in told)
    print(f"{'seconds a question, median and most':34} {seconds[len(seconds) // 2]:.1f}, {seconds[-1]:.1f}")
    if options.json:
        options.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _code_rows(half: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in CODE.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["repo"] in HALVES[half]]


def _root(row: dict[str, Any]) -> str:
    return str(Path(os.environ["LOREBOOK_BENCH"]) / "repos" / row["repo"] if "repo" in row else SAMPLES)


def _asked(client: Client, row: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    roots = (_root(row),)
    found = client.search(SearchRequest(row["question"], roots, 20)).results
    start = time.perf_counter()
    events = client.ask(AskRequest(row["question"], roots, options.model, k=options.k))
    answer = next(event for event in events if isinstance(event, Answer))
    seconds = time.perf_counter() - start
    fact = right(row.get("answer", ()), answer.answer)
    told = {
        "id": row["id"],
        "question": row["question"],
        "answerable": row["answerable"],
        "answer": answer.answer,
        "abstained": answer.abstained,
        "grounded": answer.grounded,
        "fact": fact and not answer.abstained,
        "cited": fact and any(_right(row, citation) for citation in answer.citations),
        "searched": _rank(row, found),
        "read": _rank(row, answer.sources),
        "seconds": round(seconds, 1),
        "sources": [
            {"score": one.score, "right": _right(row, one), "place": _place(one, found)} for one in answer.sources
        ],
    }
    mark = ("ok" if told["fact"] else "--") if row["answerable"] else ("ok" if answer.abstained else "--")
    print(f"{mark} {row['id']} {told['searched']}→{told['read']} {seconds:5.1f} s  {answer.answer[:110]!r}", flush=True)
    return told


def _rank(row: dict[str, Any], passages: Iterable[Source | SearchResult]) -> int | None:
    """Return the place, from 1, of the first passage that holds lines where the answer stands."""
    return next((rank for rank, passage in enumerate(passages, start=1) if _right(row, passage)), None)


def _place(source: Source, found: Sequence[SearchResult]) -> int | None:
    """Return where a passage that was read stands in the search, from 1."""
    lines = (source.path, source.start_line, source.end_line)
    places = (n for n, one in enumerate(found, 1) if (one.path, one.start_line, one.end_line) == lines)
    return next(places, None)


def _right(row: dict[str, Any], passage: Any) -> bool:
    return any(
        passage.path == place["path"]
        and passage.cell_index == place.get("cell_index")
        and passage.start_line <= place["end_line"]
        and passage.end_line >= place["start_line"]
        for place in [row, *row.get("also", [])]
        if place.get("path")
    )


if __name__ == "__main__":
    main()
