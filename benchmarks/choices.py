"""Multiple choice beside lm-eval, over our own endpoint and over the same weights in transformers: items a second, acc.

    python -m benchmarks.choices [--lm-eval PYTHON] [--model NAME]

PYTHON, or what LOREBOOK_LM_EVAL names, is the interpreter of an environment of its own with `lm-eval[api]`, torch,
transformers and gguf. The items are the sixty questions of `benchmarks/facts`. Of lm-eval's time counts what its own
bar says of its requests: its start and the loading of the model are left out. Ours is from the request to a daemon
with the model in memory until the report, the best of three; once with the file as it is, and once, as lm-eval over the
endpoint, with its weights written out in 16 bits, as `lorebook models unpack` does: then nothing is rounded that
transformers does not round.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine import find_model, parser
from benchmarks.lm_eval_scores import FACTS, SAVE_TOKENIZER, Harness, Scores, daemon_at, over_http
from benchmarks.verdict import say
from lorebook_api.client import Client
from lorebook_api.evaluation import McReport, McRequest
from lorebook_daemon.teach.merge import unpacked

_ROUNDS = 3
_FEW = 4


@dataclass(frozen=True)
class _Ours:
    """Items a second, the report over all, and which questions were answered right."""

    pace: float
    report: McReport
    right: tuple[bool, ...]


def main() -> None:
    """Print items a second of the three, and where their answers differ."""
    arguments = parser(__doc__)
    here = os.environ.get("LOREBOOK_LM_EVAL", sys.executable)
    arguments.add_argument("--lm-eval", default=here, metavar="PYTHON", help="the interpreter with lm-eval")
    arguments.set_defaults(model="qwen2.5-coder-0.5b-instruct-q4_k_m")
    options = arguments.parse_args()
    limit = 12 if options.quick else 60
    model = find_model(options.model).path
    harness = Harness(options.lm_eval, ("--limit", str(limit)))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tokenizer = folder / "tokenizer"
        harness.run([options.lm_eval, "-c", SAVE_TOKENIZER, str(model.parent), model.name, str(tokenizer)])
        with daemon_at(folder / "home") as daemon:
            client = Client(daemon)
            data, wide_file = _as_csv(folder / "facts.csv"), folder / "unpacked.gguf"
            unpacked(wide_file, model, lambda progress: None)
            packed, wide = _ours(client, data, model, limit), _ours(client, data, wide_file, limit)
            endpoint = over_http(harness, daemon, wide_file, tokenizer)
    local = {"pretrained": model.parent, "gguf_file": model.name, "dtype": "float32"}
    transformers = harness.scores("hf", local)
    paces = [limit / theirs.seconds for theirs in (endpoint, transformers)]
    print(f"items a second: ours {packed.pace:.2f}, unpacked {wide.pace:.2f}; ", end="")
    print(f"lm-eval over /v1 {paces[0]:.2f}, transformers {paces[1]:.2f}")
    say("items a second ÷ lm-eval over our endpoint, unpacked weights", wide.pace / paces[0], at_least=3)
    say("items a second ÷ lm-eval with transformers, unpacked weights", wide.pace / paces[1], at_least=2)
    say("the same with the weights packed as in the file", packed.pace / paces[1], at_least=2)
    _compare("over our endpoint, unpacked weights", wide, endpoint, 0)
    _compare("with transformers, unpacked weights", wide, transformers, 0)
    _compare("with transformers, packed weights", packed, transformers, None)


def _compare(name: str, ours: _Ours, theirs: Scores, at_most: int | None) -> None:
    differ = [one for one, right in enumerate(ours.right) if right != theirs.right(one, _key(one))]
    print(f"acc: ours {ours.report.acc:.4f}, lm-eval {name} {theirs.metrics['acc']:.4f}")
    for question in differ:
        print(f"question {question}: lm-eval's likeliest answer leads by {theirs.lead(question):.3f} nats")
    say(f"items right here and wrong there, {name}", len(differ), at_most=at_most)


def _as_csv(path: Path) -> Path:
    """Write the questions as a person's own table, and return where."""
    rows = _facts()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "a", "b", "c", "d", "answer"])
        writer.writerows([row["question"], *row["choices"], "abcd"[row["answer"]]] for row in rows)
    return path


def _facts() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FACTS / "facts.jsonl").read_text(encoding="utf-8").splitlines()]


def _key(question: int) -> int:
    return int(_facts()[question]["answer"])


def _ours(client: Client, data: Path, model: Path, limit: int) -> _Ours:
    _timed(client, McRequest(str(data), "csv", 0, _FEW, str(model)))  # the model comes into memory
    runs = []
    for _ in range(_ROUNDS):
        seconds, report = _timed(client, McRequest(str(data), "csv", 0, limit, str(model)))
        runs.append((limit / seconds, report))
    pace, report = max(runs, key=lambda run: run[0])
    items = client.evaluation_items(report.run)
    right = {str(item["id"]): bool(item["scores"]["acc"]) for item in items}
    return _Ours(pace, report, tuple(right[str(n)] for n in range(1, limit + 1)))


def _timed(client: Client, request: McRequest) -> tuple[float, McReport]:
    begun = time.perf_counter()
    report = next(event for event in client.evaluate_choices(request) if isinstance(event, McReport))
    return time.perf_counter() - begun, report


if __name__ == "__main__":
    main()
