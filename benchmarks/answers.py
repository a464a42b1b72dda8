"""Answers to samples/questions.jsonl by the product itself: right passages, right facts, abstaining.

A fact is right where one of the accepted spellings stands in the answer, apart from digits before or after it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
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


def main() -> None:
    """Print a line a question, and the shares."""
    arguments = parser(__doc__)
    arguments.add_argument("--json", type=Path, help="write every answer to this file")
    options = arguments.parse_args()
    client = Client(connect(find_home()))
    rows = sample_rows()
    told = [_asked(client, row, options.model) for row in (rows[::5] if options.quick else rows)]
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


def _asked(client: Client, row: dict[str, Any], model: str) -> dict[str, Any]:
    found = client.search(SearchRequest(row["question"], (str(SAMPLES),), 10)).results
    start = time.perf_counter()
    events = client.ask(AskRequest(row["question"], (str(SAMPLES),), model))
    answer = next(event for event in events if isinstance(event, Answer))
    seconds = time.perf_counter() - start
    fact = right(row["answer"], answer.answer)
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
    }
    mark = ("ok" if told["fact"] else "--") if row["answerable"] else ("ok" if answer.abstained else "--")
    print(f"{mark} {row['id']} {told['searched']}→{told['read']} {seconds:5.1f} s  {answer.answer[:110]!r}", flush=True)
    return told


def _rank(row: dict[str, Any], passages: Iterable[Source | SearchResult]) -> int | None:
    """Return the place, from 1, of the first passage that holds lines where the answer stands."""
    return next((rank for rank, passage in enumerate(passages, start=1) if _right(row, passage)), None)


def _right(row: dict[str, Any], passage: Any) -> bool:
    return any(
        passage.path == place["path"]
        and passage.cell_index == place["cell_index"]
        and passage.start_line <= place["end_line"]
        and passage.end_line >= place["start_line"]
        for place in [row, *row.get("also", [])]
        if place["path"]
    )


if __name__ == "__main__":
    main()
