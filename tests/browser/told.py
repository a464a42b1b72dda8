"""Answers about samples/ for a fake daemon to give: their citations point at lines that are really there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fake_daemon import answering
from lorebook_api.asking import Answer, Citation, Claim, Context, Cut, Source, Timings, Usage

CLOCK = "notebooks/04_clock_trouble.ipynb"
CLEANING = "notebooks/01_cleaning.ipynb"
CHECKS = "wellwatch/checks.py"
TEXT = """The March readings do not localize because of the **clock change**: [1]

```python
logger["utc"] = logger.time.dt.tz_localize("Etc/GMT-1")
```

- `flag_columns` looks at the readings afterwards. [2]
- The loggers were moved to the attic."""


def cell_citation(folder: Path, path: str, n: int, index: int, first: int, last: int) -> Citation:
    """Cite lines of a cell as they stand there."""
    cell = json.loads((folder / path).read_text(encoding="utf-8"))["cells"][index]
    quote = "\n".join("".join(cell["source"]).splitlines()[first - 1 : last])
    return Citation(
        n, path, first, last, quote, _sha(quote), 0.93, cell["id"], index, cell.get("execution_count"), str(folder)
    )


def file_citation(folder: Path, path: str, n: int, wanted: str) -> Citation:
    """Cite the first line of a file that begins with `wanted`."""
    lines = (folder / path).read_text(encoding="utf-8").splitlines()
    at = next(number for number, line in enumerate(lines, start=1) if line.startswith(wanted))
    return Citation(n, path, at, at, lines[at - 1], _sha(lines[at - 1]), 0.81, root=str(folder))


def clock_answer(folder: Path) -> Answer:
    """Return an answer with two citations and one sentence that nothing supports."""
    citations = (cell_citation(folder, CLOCK, 1, 3, 1, 1), file_citation(folder, CHECKS, 2, "def flag_columns"))
    sources = tuple(
        Source(one.path, one.start_line, one.end_line, "notebook" if one.cell_id else "code", one.support, one.quote,
               one.cell_id, one.cell_index, one.execution_count, one.root)
        for one in citations
    )  # fmt: skip
    cut = Cut("docs/design.md", 71, 75, 180, "does not fit the budget", root=str(folder))
    return Answer(
        answer=TEXT,
        abstained=False,
        grounded=0.67,
        citations=citations,
        claims=(
            Claim("The March readings do not localize because of the **clock change**:", (1,), 0.93),
            Claim("`flag_columns` looks at the readings afterwards.", (2,), 0.81),
            Claim("The loggers were moved to the attic.", (), 0.04),
        ),
        sources=sources,
        model="qwen2.5-coder-1.5b-instruct-q4_k_m",
        usage=Usage(812, 790, 41),
        timings=Timings(6.1, 410.0, 2300.0),
        context=Context(4096, 812, (cut,)),
        retrieval="hybrid",
    )


def clock_script(folder: Path, pause_s: float = 0.0) -> list[Any]:
    """Return the events of that answer, word by word, with pauses between them."""
    words = [f"{word} " for word in TEXT.split(" ")]
    head, *middle, last = answering(clock_answer(folder), tuple(words))
    return [head, *(part for event in middle for part in (event, pause_s)), last]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
