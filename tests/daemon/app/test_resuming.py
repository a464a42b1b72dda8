"""`POST /api/jobs/ID/resume` of a measurement: what was measured is not measured again, and what changed is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fake_app import parse_events
from fakes import FakeEngine
from frail_daemon import Frail, daemon, ended, interrupted
from lorebook_daemon.app.jobbing import _MEASURES
from lorebook_daemon.evaluate.store import Begun

N = 12
"""Items of the data."""


@pytest.fixture
def data(tmp_path: Path, notes: Path) -> Path:
    """Rows that every measurement can read."""
    row = {
        "question": "rate?",
        "answer": "42",
        "a": "42",
        "b": "43",
        "said": "yes",
        "sent_more": "a b",
        "sent_less": "b",
    }
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({**row, "sent_more": f"a b {n}"}) + "\n" for n in range(N)))
    (tmp_path / "data.csv").write_text("question,a,b,answer\n" + "".join(f"Is {n} ice?,ice,fire,a\n" for n in range(N)))
    return path


BODIES: dict[str, dict[str, Any]] = {
    "mc": {"format": "csv"},
    "judge": {"response": "said"},
    "exact": {},
    "diversity": {"samples": 2},
    "bias": {},
    "rag": {},
}


def body(route: str, data: Path) -> dict[str, Any]:
    path = data.with_suffix(".csv") if route == "mc" else data
    roots = {"roots": [str(data.parent / "notes")]} if route == "rag" else {}
    return {"path": str(path), **BODIES[route], **roots}


def test_everything_that_measures_is_tried_here() -> None:
    assert {*BODIES, "arena/judge"} == _MEASURES.keys(), "the arena's judge is tried in test_arena_judging"


@pytest.mark.parametrize("route", BODIES)
def test_what_was_interrupted_is_gone_on_with(route: str, data: Path) -> None:
    with daemon(engine := Frail()) as (client, bench):
        runs = bench.parts.evaluations.runs
        response = client.post(f"/api/eval/{route}", json=body(route, data))
        assert parse_events(response.text)[-1][0] == "done", response.text
        (wanted,) = runs.all()
        runs.delete(wanted.id)
        of_one = len(engine.calls) // N
        engine.mended(left=of_one * N // 2)
        run = interrupted(client, route, body(route, data))
        engine.mended()
        begun = client.post(f"/api/jobs/{run}/resume").json()
        assert (begun["id"], begun["state"]) == (run, "running")
        done = ended(client, run)
        assert (done["state"], done["result"]["n"]) == ("done", N), done
        (found,) = runs.all()
        again = client.post(f"/api/jobs/{run}/resume")
        assert again.status_code == 409 and "done its work" in again.text
    kept = next(int(told.split()[0]) for told in found.notices if "before this was interrupted" in told)
    assert 0 < kept < N
    assert len(engine.calls) == (N - kept) * of_one, "what was measured is not measured again"
    assert {name: one for name, one in found.figures.items() if name != "latency_ms"} == {
        name: one for name, one in wanted.figures.items() if name != "latency_ms"
    }
    assert (found.config, found.skipped) == (wanted.config, wanted.skipped)


def test_what_an_earlier_daemon_began_is_gone_on_with(data: Path) -> None:
    with daemon(Frail(left=5)) as (client, _):
        run = interrupted(client, "exact", body("exact", data))
    with daemon(engine := FakeEngine()) as (client, bench):
        before = client.get(f"/api/jobs/{run}").json()
        assert before["state"] == "interrupted" and "resume" in before["reason"]
        kept = len(bench.parts.evaluations.runs.outcomes(run))
        client.post(f"/api/jobs/{run}/resume")
        assert ended(client, run)["result"]["n"] == N and len(engine.calls) == N - kept < N


def test_what_is_another_measurement_by_now_is_refused(data: Path) -> None:
    with daemon(engine := Frail(left=5)) as (client, bench):
        run = interrupted(client, "exact", body("exact", data))
        engine.mended()
        data.write_text(data.read_text() + json.dumps({"question": "?", "answer": "x"}) + "\n")
        client.post(f"/api/jobs/{run}/resume")
        failed = ended(client, run)
        assert failed["state"] == "failed" and "what changed: data" in failed["reason"]
        assert len(bench.parts.evaluations.runs.all()) == 1 and engine.calls == []
        data.unlink()
        client.post(f"/api/jobs/{run}/resume")
        assert "cannot be read" in ended(client, run)["reason"]


def test_one_that_is_running_is_not_begun_twice_and_can_be_cancelled(data: Path) -> None:
    with daemon(engine := Frail(left=5, pause_s=0.02)) as (client, bench):
        run = interrupted(client, "exact", body("exact", data))
        engine.mended()
        assert client.post(f"/api/jobs/{run}/resume").status_code == 200
        assert client.post(f"/api/jobs/{run}/resume").status_code == 409
        assert bench.parts.activity.idle_s == 0.0, "the daemon does not end meanwhile"
        assert [job["id"] for job in client.get("/api/jobs").json()["jobs"]] == [run]
        assert client.post(f"/api/jobs/{run}/cancel").json()["state"] == "cancelled"
        client.post(f"/api/jobs/{run}/resume")
        assert ended(client, run)["result"]["n"] == N


def test_a_leaderboard_s_run_is_gone_on_with_though_the_same_was_finished_before(data: Path) -> None:
    asked = {**body("rag", data), "reuse": True}
    with daemon(engine := Frail(left=5)) as (client, bench):
        run = interrupted(client, "rag", asked)
        engine.mended()
        runs = bench.parts.evaluations.runs
        call, begun = runs.call(run), runs.get(run)
        runs.finish(run, {}, 1, (), ())
        second = runs.begin(Begun("rag", begun.name, begun.config, begun.versions), call)
        client.post(f"/api/jobs/{second}/resume")
        assert ended(client, second)["result"]["n"] == N


def test_what_a_daemon_of_long_ago_began_is_gone_on_with_by_its_command(data: Path) -> None:
    with daemon(FakeEngine()) as (client, bench):
        run = bench.parts.evaluations.runs.begin(Begun("mc", "quiz.csv", {}))
        refused = client.post(f"/api/jobs/{run}/resume")
        assert refused.status_code == 409 and "Type its command again" in refused.text
