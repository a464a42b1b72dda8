"""`POST /api/jobs/ID/resume` of a measurement: what was measured is not measured again, and what changed is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench, parse_events
from fakes import Call, FakeEngine
from lorebook_api.errors import EngineFailed
from lorebook_daemon.app.application import create_app
from lorebook_daemon.app.jobbing import _MEASURES
from lorebook_daemon.evaluate.store import Begun

N = 12
"""Items of the data."""


class Frail(FakeEngine):
    """Dies at the call after so many; `asked` are the calls that it answered."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def _note(self, call: Call) -> None:
        if not self.left:
            raise EngineFailed("The engine died.", "Ask again.")
        self.left -= 1
        super()._note(call)


@contextmanager
def daemon(engine: FakeEngine) -> Iterator[tuple[TestClient, Bench]]:
    """Run a daemon of the test's home, in which every model is this engine."""
    bench = Bench()
    bench.engine = engine
    with TestClient(create_app(bench.parts), base_url=f"http://{HOST}", headers=AUTHORIZED) as client:
        yield client, bench


def ended(client: TestClient, job: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = client.get(f"/api/jobs/{job}").json()
        if found["state"] != "running":
            return dict(found)
        time.sleep(0.01)
    raise AssertionError(f"{job} does not end")


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


def interrupted(client: TestClient, route: str, asked: dict[str, Any]) -> str:
    """Ask for what the engine does not live to the end of; return the run."""
    name, told = parse_events(client.post(f"/api/eval/{route}", json=asked).text)[-1]
    assert name == "error" and "died" in told["error"]["message"]
    return str(client.get("/api/jobs").json()["jobs"][0]["id"])


def test_everything_that_measures_is_tried_here() -> None:
    assert BODIES.keys() == _MEASURES.keys()


@pytest.mark.parametrize("route", BODIES)
def test_what_an_earlier_daemon_began_is_gone_on_with(route: str, data: Path) -> None:
    with daemon(whole := FakeEngine()) as (client, bench):
        response = client.post(f"/api/eval/{route}", json=body(route, data))
        assert parse_events(response.text)[-1][0] == "done", response.text
        (wanted,) = bench.parts.evaluations.runs.all()
        bench.parts.evaluations.runs.delete(wanted.id)
    with daemon(frail := Frail(left=len(whole.calls) // 2)) as (client, _):
        run = interrupted(client, route, body(route, data))
    with daemon(engine := FakeEngine()) as (client, bench):
        before = client.get(f"/api/jobs/{run}").json()
        assert before["state"] == "interrupted" and "resume" in before["reason"]
        kept = len(bench.parts.evaluations.runs.outcomes(run))
        assert 0 < kept < N
        begun = client.post(f"/api/jobs/{run}/resume").json()
        assert (begun["id"], begun["state"]) == (run, "running")
        done = ended(client, run)
        assert (done["state"], done["result"]["n"]) == ("done", N), done
        (found,) = bench.parts.evaluations.runs.all()
        again = client.post(f"/api/jobs/{run}/resume")
        assert again.status_code == 409 and "done its work" in again.text
    of_one = len(whole.calls) // N
    assert len(engine.calls) == (N - kept) * of_one, "what was measured is not measured again"
    assert len(frail.calls) >= kept * of_one
    assert {name: one for name, one in found.figures.items() if name != "latency_ms"} == {
        name: one for name, one in wanted.figures.items() if name != "latency_ms"
    }
    assert (found.config, found.skipped) == (wanted.config, wanted.skipped)


def test_what_is_another_measurement_by_now_is_refused(data: Path) -> None:
    with daemon(Frail(left=5)) as (client, _):
        run = interrupted(client, "exact", body("exact", data))
    data.write_text(data.read_text() + json.dumps({"question": "?", "answer": "x"}) + "\n")
    with daemon(engine := FakeEngine()) as (client, bench):
        client.post(f"/api/jobs/{run}/resume")
        failed = ended(client, run)
        assert failed["state"] == "failed" and "what changed: data" in failed["reason"]
        assert len(bench.parts.evaluations.runs.all()) == 1 and engine.calls == []
        data.unlink()
        client.post(f"/api/jobs/{run}/resume")
        assert "cannot be read" in ended(client, run)["reason"]


def test_one_that_is_running_is_not_begun_twice_and_can_be_cancelled(data: Path) -> None:
    with daemon(Frail(left=5)) as (client, _):
        run = interrupted(client, "exact", body("exact", data))
    with daemon(FakeEngine(pause_s=0.05)) as (client, bench):
        assert client.post(f"/api/jobs/{run}/resume").status_code == 200
        assert client.post(f"/api/jobs/{run}/resume").status_code == 409
        assert bench.parts.activity.idle_s == 0.0, "the daemon does not end meanwhile"
        assert [job["id"] for job in client.get("/api/jobs").json()["jobs"]] == [run]
        assert client.post(f"/api/jobs/{run}/cancel").json()["state"] == "cancelled"
        client.post(f"/api/jobs/{run}/resume")
        assert ended(client, run)["result"]["n"] == N


def test_a_leaderboard_s_run_is_gone_on_with_though_the_same_was_finished_before(data: Path) -> None:
    asked = {**body("rag", data), "reuse": True}
    with daemon(Frail(left=5)) as (client, _):
        run = interrupted(client, "rag", asked)
    with daemon(FakeEngine()) as (client, bench):
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
