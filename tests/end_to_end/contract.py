"""The shapes of CONTRACT's JSON, written down a second time, and read against the files on disk."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

KINDS = {"code", "notebook", "doc", "data"}
PLACE = {"path": str, "start_line": int, "end_line": int, "cell_id": (str, type(None))}
CELL = {"cell_index": (int, type(None)), "execution_count": (int, type(None))}
CITATION = {"n": int, **PLACE, **CELL, "quote": str, "sha256": str, "support": float}
CLAIM = {"text": str, "citations": list, "support": float}
SOURCE = {**PLACE, "kind": str, "score": float, "text": str}
RESULT = {"rank": int, **PLACE, "cell_index": (int, type(None)), "kind": str, "score": float, "text": str}
CUT = {"path": str, "start_line": int, "end_line": int, "tokens": int, "why": str}
ANSWER = {
    **{"answer": str, "abstained": bool, "grounded": float, "citations": list, "claims": list, "sources": list},
    **{"model": str, "adapters": list, "usage": dict, "timings": dict, "context": dict},
}
USAGE = {"prompt_tokens": int, "cached_tokens": int, "completion_tokens": int}
TIMINGS = {"retrieve_ms": float, "ttft_ms": float, "total_ms": float}
CONTEXT = {"budget": int, "used": int, "cut": list}
REPORT = {
    **{"root": str, "files": int, "passages": int, "added": int, "changed": int, "removed": int},
    **{"skipped": list, "seconds": float},
}

_MARK = re.compile(r"(?<!\S)\[(\d+)\](?!\S)")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def has(body: Any, shape: dict[str, Any]) -> None:
    """Fail where a key is missing or its value is of another type; more keys are allowed, booleans are no numbers."""
    assert isinstance(body, dict)
    for key, kind in shape.items():
        assert key in body, f"{key} is missing in {sorted(body)}"
        value = body[key]
        wanted = (int, float) if kind is float else kind
        assert isinstance(value, wanted), f"{key} is {value!r}"
        assert isinstance(value, bool) == (kind is bool), f"{key} is {value!r}"


def check_answer(body: Any, roots: list[Path]) -> None:
    """Fail where `body` is not what `lorebook ask --json` prints about `roots`."""
    has(body, ANSWER)
    check_account(body)
    for source in body["sources"]:
        check_source(source, roots)
    assert 0 <= body["grounded"] <= 1
    assert [citation["n"] for citation in body["citations"]] == list(range(1, len(body["citations"]) + 1))
    for citation in body["citations"]:
        check_citation(citation, roots)
    check_claims(body)
    if body["abstained"]:
        assert body["answer"] and not body["citations"] and body["grounded"] == 0


def check_account(body: Any) -> None:
    """Fail where tokens, milliseconds or the budget contradict each other."""
    has(body["usage"], USAGE)
    has(body["timings"], TIMINGS)
    has(body["context"], CONTEXT)
    for adapter in body["adapters"]:
        has(adapter, {"name": str, "scale": float})
    for cut in body["context"]["cut"]:
        has(cut, CUT)
        assert cut["why"] and cut["tokens"] > 0
    assert 0 <= body["usage"]["cached_tokens"] <= body["usage"]["prompt_tokens"]
    assert 0 <= body["context"]["used"] <= body["context"]["budget"] or not body["sources"]
    timings = body["timings"]
    assert 0 <= timings["retrieve_ms"] <= timings["total_ms"] and timings["ttft_ms"] <= timings["total_ms"]
    if not body["abstained"]:
        assert body["usage"]["completion_tokens"] > 0 and timings["ttft_ms"] > 0


def check_claims(body: Any) -> None:
    """Fail where claims, citations and the marks in the text do not go together."""
    for claim in body["claims"]:
        has(claim, CLAIM)
        assert claim["text"].strip() and 0 <= claim["support"] <= 1
    cited = {n for claim in body["claims"] for n in claim["citations"]}
    assert cited == {citation["n"] for citation in body["citations"]}
    marked = {int(mark) for mark in _MARK.findall(body["answer"])}
    assert marked == cited, body["answer"]
    # The sentences stand in the text, in their order.
    at, text = 0, _MARK.sub("", body["answer"])
    for claim in body["claims"]:
        words = claim["text"].split()[0]
        at = text.find(words, at)
        assert at >= 0, (claim["text"], body["answer"])


def check_citation(citation: Any, roots: list[Path]) -> None:
    """Fail where the quote is not the very lines that it names, or its hash is another's."""
    has(citation, CITATION)
    assert 0 <= citation["support"] <= 1
    assert citation["sha256"] == hashlib.sha256(citation["quote"].encode()).hexdigest()
    check_lines(citation, citation["quote"], roots)


def check_source(source: Any, roots: list[Path]) -> None:
    """Fail where a passage is not the lines that it names."""
    has(source, SOURCE)
    assert source["kind"] in KINDS
    check_lines(source, source["text"], roots)


def check_search(body: Any, roots: list[Path]) -> None:
    """Fail where `body` is not what `lorebook search --json` prints about `roots`."""
    has(body, {"results": list, "took_ms": float})
    assert [result["rank"] for result in body["results"]] == list(range(1, len(body["results"]) + 1))
    for result in body["results"]:
        has(result, RESULT)
        assert result["kind"] in KINDS
        check_lines(result, result["text"], roots)
    scores = [result["score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)


def check_index(body: Any, roots: list[Path]) -> None:
    """Fail where `body` is not what `lorebook index --json` prints about `roots`."""
    has(body, {"roots": list})
    assert [report["root"] for report in body["roots"]] == [str(root) for root in roots]
    for report in body["roots"]:
        has(report, REPORT)
        assert all(report[count] >= 0 for count in ("files", "passages", "added", "changed", "removed", "seconds"))
        for skipped in report["skipped"]:
            has(skipped, {"path": str, "why": str})


def check_lines(place: Any, text: str, roots: list[Path]) -> None:
    """Fail where `text` is not what stands on disk at `place`."""
    path = PurePosixPath(place["path"])
    assert not path.is_absolute() and ".." not in path.parts and "\\" not in place["path"]
    start, end = place["start_line"], place["end_line"]
    assert 1 <= start <= end and end - start == text.count("\n")
    file = next(root / path for root in roots if (root / path).is_file() and place["root"] == str(root))
    if file.suffix == ".ipynb":
        check_cell(place, text, json.loads(file.read_text(encoding="utf-8"))["cells"])
    elif file.suffix not in (".sqlite", ".pdf", ".html"):  # their lines count in the text that was made of them
        assert place["cell_index"] is place["cell_id"] is None
        assert text.split("\n") == file.read_text(encoding="utf-8").split("\n")[start - 1 : end]


def check_cell(place: Any, text: str, cells: list[Any]) -> None:
    """Fail where a cell's lines are not those on disk: its source exactly, its outputs line by line."""
    cell = cells[place["cell_index"]]
    assert place["cell_id"] == cell.get("id", f"cell-{place['cell_index']}")
    assert place["execution_count"] == cell.get("execution_count")
    source = "".join(cell["source"]).removesuffix("\n").split("\n")
    lines = text.split("\n")
    inside = source[place["start_line"] - 1 : place["end_line"]]
    assert lines[: len(inside)] == inside
    shown = {line.strip() for output in cell.get("outputs", []) for line in _texts(output)}
    for line in lines[len(inside) :]:
        assert line.strip() in shown or line.startswith("[image/") or "[… " in line, line


def _texts(output: Any) -> list[str]:
    """Return every line that an output holds as plain text, an error's summary among them."""
    parts = ["".join(output.get("text", ""))]
    parts += ["".join(value) for mime, value in output.get("data", {}).items() if mime.startswith("text/")]
    parts += [*output.get("traceback", []), f"{output.get('ename')}: {output.get('evalue')}"]
    return [line.rstrip() for part in parts for line in _ANSI.sub("", part).split("\n")]
