"""Are unsupported sentences found out: claims about samples/, each true once and once with one fact swapped.

The 49 pairs in `claims.jsonl` were written by hand, in other words than the passages'. Each claim is checked against
its passage as a sentence of an answer is. AUROC: how often a true one gets more support than a swapped one, over all
pairs of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from benchmarks.engine import SAMPLES, find_model, parser, running
from benchmarks.verdict import say
from lorebook_api.asking import AdapterUse
from lorebook_daemon.answer.assemble import Sheet
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.answer.verify import verify
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import ASKING, Engine, Prompt, Turn
from lorebook_daemon.evaluate.statistics import bootstrap, ranks
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.split import read_passages

_CLAIMS = Path(__file__).with_name("claims.jsonl")


def main() -> None:
    """Print the AUROC of the whole check, of the model alone, and by what was swapped."""
    options = parser(__doc__).parse_args()
    rows = [json.loads(line) for line in _CLAIMS.read_text(encoding="utf-8").splitlines()]
    checked = asyncio.run(_checked(rows[::6] if options.quick else rows, options.model))
    for kind in ("number", "name"):
        of_kind = [one for one in checked if one["kind"] == kind]
        print(f"{f'AUROC, {kind} swapped':64} {_auroc(of_kind, 'support'):8.3f}   {len(of_kind)} pairs")
    print(f"{'AUROC of the model alone':64} {_auroc(checked, 'model'):8.3f}")
    interval = bootstrap(
        [[*one["support"]] for one in checked], lambda drawn: auroc(drawn[:, 0].tolist(), drawn[:, 1].tolist())
    )
    print(f"{'95% of the pairs drawn anew':64} {interval.low:.3f} to {interval.high:.3f}")
    say("AUROC of the check, one fact swapped", _auroc(checked, "support"), at_least=0.85)


async def _checked(rows: Sequence[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    async with running(find_model(model)) as engine:
        return [await _checked_one(row, engine) for row in rows]


async def _checked_one(row: dict[str, Any], engine: EngineProcess) -> dict[str, Any]:
    hit = RootHit("", _passage(row), 1.0)
    sheet = Sheet(hit, passage_text(hit), 0)
    claims, question = (row["true"], row["swapped"]), row["question"]
    judge = _Remembering(engine)
    support = [(await verify(question, claim, [sheet], cast(Engine, judge), ASKING)).grounded for claim in claims]
    told = "ok" if support[0] > support[1] else "--"
    print(f"{told} {support[0]:.2f} {support[1]:.2f}  {row['swapped']}", flush=True)
    return {"kind": row["kind"], "support": support, "model": judge.scores}


@dataclass
class _Remembering:
    """An engine as the check uses it, which remembers what the model said."""

    engine: EngineProcess
    scores: list[float] = field(default_factory=list)

    async def judge(
        self, prompts: Sequence[Prompt], adapters: tuple[AdapterUse, ...] = (), turn: Turn = ASKING
    ) -> list[float]:
        """Return what the engine says."""
        told = await self.engine.judge(prompts, adapters, turn)
        self.scores += told
        return told


def _passage(row: dict[str, Any]) -> Passage:
    """Return the passage that holds the line of a claim."""
    for passage in read_passages(SAMPLES / row["path"], row["path"]):
        cell = passage.cell.index if passage.cell else None
        if cell == row["cell_index"] and passage.start_line <= row["line"] <= passage.end_line:
            return passage
    raise LookupError(f"no passage holds {row['path']}:{row['line']}")


def _auroc(checked: Sequence[dict[str, Any]], name: str) -> float:
    return auroc([one[name][0] for one in checked], [one[name][1] for one in checked])


def auroc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Return the share of pairs in which the one of `higher` is above the one of `lower`; equal ones count half."""
    place = ranks([*higher, *lower])
    count = len(higher)
    return (sum(place[:count]) - count * (count + 1) / 2) / (count * len(lower))


if __name__ == "__main__":
    main()
