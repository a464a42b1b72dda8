"""The whole system on questions about samples/, by `lorebook eval rag`: is what nothing answers left unanswered.

The 25 questions of `samples/questions.jsonl`, five of which nothing answers, and the 13 of `unanswerable.jsonl`, which
sound as if something did: 20 that can be answered and 18 that cannot. The thresholds were chosen on the 25; the 13 were
written afterwards, and nothing was tuned on them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.engine import SAMPLES, parser
from benchmarks.verdict import say
from lorebook_api.client import Client
from lorebook_api.discovery import connect
from lorebook_api.evaluation import EvalReport, RagRequest
from lorebook_api.home import find_home

_MORE = Path(__file__).with_name("unanswerable.jsonl")


def main() -> None:
    """Print the figures, and the F1 of abstaining."""
    options = parser(__doc__).parse_args()
    lines = [line for file in (SAMPLES / "questions.jsonl", _MORE) for line in file.read_text("utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "questions.jsonl"
        path.write_text("\n".join(lines[::6] if options.quick else lines), encoding="utf-8")
        request = RagRequest(str(path), (str(SAMPLES),), model=options.model)
        events = Client(connect(find_home())).measure(request)
        report = next(event for event in events if isinstance(event, EvalReport))
    for name, figure in report.figures.items():
        print(f"{name:24} {figure.value:10.3f}   {figure.low:.3f} to {figure.high:.3f}, {figure.n} questions")
    say("F1 of abstaining where nothing answers", report.figures["abstention_f1"].value, at_least=0.8)


if __name__ == "__main__":
    main()
