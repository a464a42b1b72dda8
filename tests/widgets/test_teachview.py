"""`lorebook.examples`: examples to choose from, and the job that teaches them, as a widget and as text."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lorebook
from fake_daemon import JOB, PREVIEW, TAUGHT, FakeDaemon
from fake_page import click, eventually, values
from lorebook.teaching import begin, teach, teach_request
from lorebook.teachview import POINTS_MOST, ROWS_MOST, TeachWidget, thinned
from lorebook_api.errors import BadRequest, Conflict, NotFound
from lorebook_api.indexing import Progress
from lorebook_api.teaching import Metrics, Said, TeachRequest

GOES_WELL = (
    ("metrics", asdict(Metrics(1, 2, 3.5, 3.0, 100.0, 1.0))),
    ("said", asdict(Said("Who?", "Anna.", "Anna.", 1))),
    ("metrics", asdict(Metrics(2, 2, 0.08, 0.11, 120.0, 0.0))),
    ("done", asdict(TAUGHT)),
)


def test_examples_are_looked_at_before_anything_is_taught(fake: FakeDaemon, notebook: Path) -> None:
    shown = lorebook.examples(notebook, cells="2", rank=4).wait()
    assert isinstance(shown, lorebook.TeachWidget) and shown.preview == PREVIEW
    body = fake.of("/api/teach/preview")[0].body
    assert (body["notebooks"], body["cells"], body["settings"]["rank"]) == ([str(notebook)], "2", 4)
    assert values(shown)["phase"] == "choosing" and not fake.of("/api/teach")
    first, second = values(shown)["examples"]
    prompt, answer = (segment.text for segment in PREVIEW.examples[0].segments)
    assert (first["prompt"], first["answer"], first["left_out"]) == (prompt, answer, "")
    assert second["left_out"] == PREVIEW.examples[1].left_out != ""
    assert values(shown)["plan"].startswith("1 example for echo-1b · 1 left out · ")
    assert f"{PREVIEW.steps} steps · about {PREVIEW.seconds:.0f} s" in values(shown)["plan"]
    assert f"tokens, taught: {prompt} → {answer}" in repr(shown)
    assert f"left out: {PREVIEW.examples[1].left_out}" in shown.bundle()["text/markdown"]


def test_what_was_chosen_is_taught_and_shown_to_its_end(fake: FakeDaemon, notebook: Path) -> None:
    fake.scripts.job = list(GOES_WELL)
    shown = lorebook.examples(notebook).wait()
    click(shown, 1, type="teach", without=["e2"])
    shown.wait()
    assert fake.of("/api/teach")[0].body["without"] == ["e2"]
    told = values(shown)
    assert told["phase"] == "ended" and told["job"] == {"id": "j1", "name": TAUGHT.name, "state": "done"}
    assert told["loss"] == [(1, 3.5), (2, 0.08)] and told["held_out"] == [(1, 3.0), (2, 0.11)]
    assert told["last"]["tokens_per_s"] == 120 and told["said"][0]["text"] == "Anna."
    assert shown.job is not None and shown.job.result.status == "active"
    assert repr(shown) == repr(shown.job) and shown.bundle()["text/markdown"] == shown.job.texts()["text/markdown"]


def test_one_thing_at_a_time_and_stop(fake: FakeDaemon, notebook: Path) -> None:
    fake.scripts.job = [("progress", asdict(Progress("loading"))), 30]
    fake.scripts.replies["/api/teach"] = asdict(replace(JOB, state="waiting"))
    shown = lorebook.examples(notebook).wait().teach()
    eventually(lambda: values(shown)["phase"] == "running")
    eventually(lambda: values(shown)["job"]["state"] == "running" and "loading" in values(shown)["told"])
    with pytest.raises(Conflict):
        shown.teach()
    click(shown, 1, type="stop")
    eventually(lambda: values(shown)["phase"] == "ended")
    assert values(shown)["job"]["state"] == "cancelled" and fake.of("/api/jobs/j1/cancel")


def test_a_job_that_was_stopped_goes_on(fake: FakeDaemon, notebook: Path) -> None:
    fake.scripts.job = [("done", asdict(replace(JOB, state="interrupted", reason="the daemon ended")))]
    shown = lorebook.examples(notebook).wait().teach().wait()
    assert values(shown)["phase"] == "ended" and "the daemon ended" in values(shown)["told"]
    fake.scripts.job = list(GOES_WELL)
    click(shown, 1, type="resume")
    shown.wait()
    assert fake.of("/api/jobs/j1/resume") and values(shown)["job"]["state"] == "done"


def test_what_cannot_be_taught_is_told_and_stays_told(fake: FakeDaemon, notebook: Path) -> None:
    fake.scripts.error = BadRequest("No cell was selected.", "Select some.")
    shown = lorebook.examples(notebook).wait()
    assert values(shown)["phase"] == "refused" and values(shown)["failure"]["hint"] == "Select some."
    assert repr(shown) == "No cell was selected. Select some."
    with pytest.raises(BadRequest):
        shown.teach()


def test_where_teaching_cannot_begin_the_examples_stay(fake: FakeDaemon, notebook: Path) -> None:
    shown = lorebook.examples(notebook).wait()
    fake.scripts.error = Conflict("There is an adapter lab already.", "Give another name.")
    shown.teach().wait()
    assert values(shown)["phase"] == "choosing"
    assert values(shown)["failure"]["message"] == "There is an adapter lab already."
    assert repr(shown).endswith("There is an adapter lab already. Give another name.")
    fake.scripts.error = None
    assert values(shown.teach().wait())["failure"] is None


def test_a_page_may_not_ask_for_anything_else(fake: FakeDaemon, notebook: Path) -> None:
    shown = lorebook.examples(notebook).wait()
    heard: list[dict[str, Any]] = []
    shown.channel._send = heard.append
    click(shown, 1, type="sing")
    click(shown, 2, type="stop")
    eventually(lambda: sum("failure" in one.get("message", {}) for one in heard) == 2)
    with pytest.raises(NotFound):
        lorebook.examples(notebook.parent / "none.ipynb")
    with pytest.raises(BadRequest, match="ranks is no setting"):
        lorebook.examples(notebook, ranks=3)


def test_many_examples_are_counted_and_long_ones_cut_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    long = replace(PREVIEW.examples[0].segments[0], text="x" * 5000)
    example = replace(PREVIEW.examples[0], segments=(long,))
    many = replace(PREVIEW, examples=(example,) * ROWS_MOST, taught=ROWS_MOST + 7, held_out=23, left_out=5)
    monkeypatch.setattr("lorebook.teachview.show_examples", lambda request: many)
    shown = TeachWidget(TeachRequest()).look().wait()
    assert len(values(shown)["examples"]) == ROWS_MOST and values(shown)["more"] == 7
    assert values(shown)["plan"].startswith("207 examples for echo-1b · 23 kept back to measure with · 5 left out · ")
    assert "… and 35 more, which are not shown" in repr(shown)
    assert values(shown)["examples"][0]["prompt"].endswith("and 3,000 more characters")


def test_a_job_of_a_kernel_is_shown_as_a_widget_and_kept_as_text(
    fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Shell:
        kernel = object()

    shown: list[dict[str, Any]] = []

    class Handle:
        def update(self, obj: Any, *, raw: bool) -> None:
            shown.append(obj)

    def open_display(bundle: dict[str, Any]) -> Handle:
        shown.append(bundle)
        return Handle()

    fake.scripts.job = list(GOES_WELL)
    monkeypatch.setattr("lorebook.job.current_shell", Shell)
    monkeypatch.setattr("lorebook.job.open_display", open_display)
    job = begin(TeachRequest(pairs=()), wait=True)
    widget = "application/vnd.jupyter.widget-view+json"
    assert widget in shown[0] and shown[0]["text/plain"].startswith(f"teach {JOB.name}: {JOB.state}")
    assert shown[-1] == {"text/plain": ""}, "the job that is returned shows itself"
    kept = job._repr_mimebundle_()
    assert kept[widget] == shown[0][widget] and "held out" in kept["text/markdown"]
    assert job._view is not None and values(job._view)["phase"] == "ended"


def test_arguments_mean_the_same_for_teaching_and_for_looking(fake: FakeDaemon, notebook: Path) -> None:
    teach(notebook, tag="t", id=["a", "b"], pairs={"q": "a"}, keep=["duplicate"], base="m", batch=2, wait=False)
    sent = fake.of("/api/teach")[0].body
    same = teach_request(notebook, tag="t", id=["a", "b"], pairs={"q": "a"}, keep=["duplicate"], base="m", batch=2)
    assert json.loads(json.dumps(asdict(same))) == sent
    assert (sent["tags"], sent["ids"], sent["keep"], sent["settings"]["batch"]) == (["t"], ["a", "b"], ["duplicate"], 2)


@given(st.lists(st.floats(0, 9), max_size=1500))
def test_a_curve_keeps_its_end_its_order_and_its_mean(losses: list[float]) -> None:
    points = [(float(step), loss) for step, loss in enumerate(losses, start=1)]
    thin = thinned(points)
    assert len(thin) <= POINTS_MOST and [step for step, _ in thin] == sorted({step for step, _ in thin})
    assert (not points and not thin) or thin[-1][0] == points[-1][0]
    if len(points) <= POINTS_MOST:
        assert thin == points
    elif points:
        assert min(losses) - 1e-9 <= thin[0][1] <= max(losses) + 1e-9


def test_metrics_are_shown_at_a_pace(fake: FakeDaemon) -> None:
    fake.scripts.job = [*(("metrics", asdict(Metrics(n, 50, 1.0))) for n in range(1, 51)), ("done", asdict(TAUGHT))]
    shown = TeachWidget()
    posted: list[Any] = []
    shown.channel._send = posted.append
    shown._follow(begin(TeachRequest(), wait=False))
    assert len(posted) < 10 and len(values(shown)["loss"]) == 50
