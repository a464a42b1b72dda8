"""The widgets of evaluation in a real JupyterLab: a leaderboard and a comparison, a blind vote, no barriers."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from playwright.sync_api import expect

from browser.axe import find_barriers
from browser.jupyter import ask_chat, run_command, wait_for_kernel, write_notebook
from lorebook_api.arena import Battle, Revealed, Standing, Standings
from lorebook_api.evaluation import Compared, Comparison, EvalRun, Figure

pytestmark = pytest.mark.browser

BOTH = """\
import lorebook
from IPython.display import display
display(lorebook.evaluate(), lorebook.arena('auto', '+mine'))"""
RIGHT = {"right": Figure(0.5, 0.4, 0.6, 40)}
TIME = "2030-01-01T00:00:00+00:00"
RUN = EvalRun("aaaa1111", "rag", "questions.jsonl", "done", TIME, TIME, {"k": 6}, {}, RIGHT, 40)
WIDER = replace(RUN, id="bbbb2222", config={"k": 12}, figures={"right": Figure(0.7, 0.6, 0.8, 40)})
BETTER = Compared("right", 0.5, 0.7, Figure(0.2, 0.05, 0.35, 40), "better")
STANDING = Standing("+mine", 1002.0, Figure(1020.0, 980.0, 1060.0, 4), None, 3, 1, 0)
REPLIES = {
    "/api/eval/runs": {"runs": [asdict(WIDER), asdict(RUN)]},
    "/api/eval/compare": asdict(Comparison(RUN, WIDER, (BETTER,), ("k: 6, then 12",))),
    "/api/eval/arena/battle": [("done", asdict(Battle("b1", "Why?", "Because **it** is.", "It rained.")))],
    "/api/eval/arena/vote": asdict(Revealed("b1", "auto", "+mine", "b")),
    "/api/eval/arena": asdict(Standings((STANDING,), 4, False, ("Too few votes.",))),
}


def test_two_runs_are_compared_and_two_answers_voted_on(open_lab, daemon, lab):
    daemon.scripts.replies = REPLIES
    page = open_lab(write_notebook(lab, BOTH))
    wait_for_kernel(page)
    run_command(page, "notebook:run-cell")
    board = page.get_by_role("region", name="What was measured")
    for name in ("Compare k 12", "Compare k 6"):
        board.get_by_role("checkbox", name=name, exact=True).check(timeout=30_000)
    board.get_by_role("button", name="Compare two").click()
    expect(board).to_contain_text("What differs: k: 6, then 12", timeout=15_000)
    ring = page.get_by_role("region", name="Two answers, one vote")
    ask_chat(ring, "Why?")
    expect(ring.get_by_role("heading", name="A", exact=True)).to_be_visible(timeout=15_000)
    ring.get_by_role("button", name="B is better").click()
    expect(ring.get_by_role("heading", name="B · +mine · your choice")).to_be_visible(timeout=15_000)
    expect(ring).to_contain_text("980 to 1060", timeout=15_000)
    assert find_barriers(page, ".lb-widget") == []
