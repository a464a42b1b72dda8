"""The judge beside GPT-4: responses of two models to the same instructions, scored from 0 to 100.

    LOREBOOK_JUDGE_DATA=FOLDER python -m benchmarks.judging

FOLDER holds `judge-100.json` (instruction, input, output, `model 1 response`, `model 2 response`) and
`judge-100-scores.json` (`gpt4-model-1`, `gpt4-model-2`: a score each), from chapter 7 of "Build a Large Language Model
(From Scratch)". The prompt was chosen on the rows of even places; the figure that counts is that of the odd ones.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engine import find_model, parser, running
from benchmarks.verdict import say
from lorebook_api.evaluation import JudgeRequest
from lorebook_daemon.evaluate.judge import Judged, JudgeTask, agreement, read_judged
from lorebook_daemon.evaluate.rows import Row
from lorebook_daemon.evaluate.statistics import bootstrap, pearson
from lorebook_daemon.evaluate.task import Subject, run_task

_FOLDER = "LOREBOOK_JUDGE_DATA"


def main() -> None:
    """Print what the judge reaches."""
    options = parser(__doc__).parse_args()
    folder = os.environ.get(_FOLDER)
    if not folder:
        print(f"{_FOLDER} names no folder with judge-100.json: left out.", file=sys.stderr)
        return
    each = [_judged(Path(folder), model, options.quick) for model in (1, 2)]
    judged = [one for of_model in each for one in of_model]
    scores = asyncio.run(_scores(judged, options.model))
    first, second = scores[: len(each[0])], scores[len(each[0]) :]
    say("responses without a score", len(judged) - len(scores), at_most=0)
    apart = bootstrap([a - b for a, b in zip(first, second, strict=True)])
    print(f"{'mean of model 1 − mean of model 2':64} {apart.value:8.2f}   {apart.low:.2f} to {apart.high:.2f}")
    say("the same", apart.value, at_least=0.01)
    for name, half in (("even rows, on which the prompt was chosen", 0), ("odd rows", 1)):
        places = [place for place, one in enumerate(judged) if one.row % 2 != half]
        _print(name, [judged[place] for place in places], [scores[place] for place in places])
    odd = [place for place, one in enumerate(judged) if one.row % 2 == 0]
    told = agreement([judged[place] for place in odd], [scores[place] for place in odd])
    say("Pearson with GPT-4, odd rows of both models", (told.pearson if told else None) or 0.0, at_least=0.6)


def _judged(folder: Path, model: int, quick: bool) -> list[Judged]:
    rows = json.loads((folder / "judge-100.json").read_text(encoding="utf-8"))
    scores = json.loads((folder / "judge-100-scores.json").read_text(encoding="utf-8"))[f"gpt4-model-{model}"]
    numbered = [Row(n, {**row, "gpt4": score}) for n, (row, score) in enumerate(zip(rows, scores, strict=True), 1)]
    request = JudgeRequest("", f"model {model} response", "output", human="gpt4")
    return read_judged(numbered[:10] if quick else numbered, request)[0]


async def _scores(judged: Sequence[Judged], model: str) -> list[float]:
    """Return a score for each; the ids of a task must differ, so each stands under its place."""
    placed = [_placed(one, place) for place, one in enumerate(judged)]
    async with running(find_model(model)) as engine:
        found = await run_task(
            JudgeTask(placed), Subject(engine), lambda progress: None, {}, lambda name, outcome: None
        )
    return found.values("score")


def _placed(one: Judged, place: int) -> Judged:
    return Judged(place, one.question, one.response, one.reference, one.rubric, one.measure, one.human)


def _print(name: str, judged: Sequence[Judged], scores: Sequence[float]) -> None:
    told = agreement(judged, scores)
    if told is None or told.pearson is None or told.spearman is None:
        print(f"{name}: too few rows that differ")
        return
    pairs = [[score, one.human or 0.0] for one, score in zip(judged, scores, strict=True)]
    around = bootstrap(pairs, lambda drawn: _correlation(drawn[:, 0].tolist(), drawn[:, 1].tolist()))
    print(f"{name}: Pearson {told.pearson:.3f} ({around.low:.3f} to {around.high:.3f}), Spearman {told.spearman:.3f}")
    print(f"  length and (ours − GPT-4's), Spearman {told.length or 0:.3f}")
    print(f"  mean distance to GPT-4's once calibrated on the other half {told.calibrated_error or 0:.1f}")


def _correlation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    found = pearson(ours, theirs)
    return float("nan") if found is None else found


if __name__ == "__main__":
    main()
