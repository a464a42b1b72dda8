"""A judge's votes in the arena: interrupted anywhere, nothing is answered and nothing voted on twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_app import parse_events
from fakes import Call, FakeEngine
from frail_daemon import Frail, daemon, ended, interrupted
from lorebook_api.errors import TooLong
from lorebook_daemon.evaluate.arenastore import Fought

N = 6
"""Prompts; each takes two answers and, where these differ, two single votes."""
SIDES = [{"name": "plain"}, {"name": "kind", "system": "Be kind."}]


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"question": f"Is {n} kind?"}) + "\n" for n in range(N)))
    return {"path": str(path), "sides": SIDES, "max_tokens": 2 + N}


@pytest.fixture(autouse=True)
def _differing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a side with a system prompt answer otherwise."""
    monkeypatch.setattr(
        FakeEngine, "_reply", lambda self, prompt: f"{len(prompt.messages)} {prompt.messages[-1].content}"
    )


def judged(client: TestClient, asked: dict[str, Any]) -> dict[str, Any]:
    name, data = parse_events(client.post("/api/eval/arena/judge", json=asked).text)[-1]
    assert name == "done", data
    return dict(data)


def made(calls: list[Call]) -> Counter[str]:
    """Return how often an engine did what."""
    return Counter(call.what for call in calls)


def votes(fought: tuple[Fought, ...]) -> list[tuple[object, ...]]:
    return [(one.question, one.sides, one.answers, one.winner) for one in fought]


def test_a_judge_s_votes_are_a_run_like_any_other(asked: dict[str, Any]) -> None:
    with daemon(engine := FakeEngine()) as (client, bench):
        told = judged(client, asked)
        assert (told["votes"], told["skipped"], told["notices"]) == (N, [], [])
        run = client.get(f"/api/eval/runs/{told['run']}").json()
        assert (run["kind"], run["state"], run["n"]) == ("arena", "done", N)
        assert run["figures"]["first_shown"]["value"] == pytest.approx(told["first_shown"])
        assert run["figures"]["consistent"]["value"] == pytest.approx(1 - told["inconsistent"] / N)
        assert [side["system"] for side in run["config"]["sides"]] == ["", "Be kind."]
        assert made(engine.calls) == {"generate": 2 * N, "continuations": 2 * N}
        judged(client, asked)
        assert len(bench.parts.evaluations.arena.fought()) == 2 * N, "what was finished is voted on anew, as asked"


@pytest.mark.parametrize("answered", [1, N - 1, N, N + 2])
def test_after_some_answers_the_same_command_goes_on(asked: dict[str, Any], answered: int) -> None:
    with daemon(engine := Frail(left=answered)) as (client, bench):
        arena = bench.parts.evaluations.arena
        run = interrupted(client, "arena/judge", asked)
        assert arena.fought() == ()
        before = engine.mended()
        told = judged(client, asked)
        assert (told["run"], told["votes"], told["skipped"]) == (run, N, [])
        assert made(before + engine.calls) == {"generate": 2 * N, "continuations": 2 * N}, "nothing is answered twice"
        whole = votes(arena.fought())
        assert len(whole) == arena.clear() == N
        judged(client, asked)
        assert votes(arena.fought()) == whole, "as if it never had been interrupted"


@pytest.mark.parametrize("single", [2, 5, 2 * N - 1])
def test_after_some_votes_the_same_command_goes_on(asked: dict[str, Any], single: int) -> None:
    with daemon(engine := Frail(left=2 * N + single)) as (client, bench):
        run = interrupted(client, "arena/judge", asked)
        given = votes(bench.parts.evaluations.arena.fought())
        assert len(given) == single // 2 and made(engine.mended())["generate"] == 2 * N
        told = judged(client, asked)
        fought = bench.parts.evaluations.arena.fought()
    assert (told["run"], told["votes"]) == (run, N)
    assert told["notices"] == [f"{len(given)} votes were given before this was interrupted."]
    assert made(engine.calls) == {"continuations": 2 * (N - len(given))}, "nothing is voted on twice"
    assert votes(fought)[: len(given)] == given and len({one.question for one in fought}) == len(fought) == N


def test_a_vote_that_the_run_holds_alone_is_put_into_the_arena_once(asked: dict[str, Any]) -> None:
    with daemon(engine := Frail(left=2 * N + 4)) as (client, bench):
        run, arena = interrupted(client, "arena/judge", asked), bench.parts.evaluations.arena
        with arena._open() as db:  # as if it was killed between the two files
            db.execute("UPDATE battles SET winner = '', judge = '' WHERE id = ?", (f"{run}-2",))
        assert len(arena.fought()) == 1
        engine.mended()
        assert judged(client, asked)["votes"] == N == len(arena.fought())
        assert made(engine.calls) == {"continuations": 2 * (N - 2)}


def test_it_is_resumed_as_a_job_of_an_earlier_daemon(asked: dict[str, Any]) -> None:
    with daemon(Frail(left=2 * N + 4)) as (client, _):
        run = interrupted(client, "arena/judge", asked)
    with daemon(engine := FakeEngine()) as (client, bench):
        assert client.post(f"/api/jobs/{run}/resume").json()["name"] == "arena prompts.jsonl"
        assert ended(client, run)["result"]["n"] == N == len(bench.parts.evaluations.arena.fought())
        assert made(engine.calls) == {"continuations": 2 * (N - 2)}


OTHER = [SIDES[0], {**SIDES[1], "system": "Be."}]


@pytest.mark.parametrize("change", [{"limit": 3}, {"max_tokens": 3}, {"sides": OTHER}])
def test_another_contest_begins_anew(asked: dict[str, Any], change: dict[str, Any]) -> None:
    with daemon(engine := Frail(left=2 * N)) as (client, _):
        run = interrupted(client, "arena/judge", asked)
        engine.mended()
        told = judged(client, {**asked, **change})
        assert told["run"] != run and made(engine.calls)["generate"] == 2 * told["votes"] == 2 * change.get("limit", N)


def test_a_side_that_looks_things_up_goes_on_over_the_same_files_alone(asked: dict[str, Any], notes: Path) -> None:
    asked = {**asked, "sides": [SIDES[0], {"name": "notes", "roots": [str(notes)]}]}
    with daemon(engine := Frail(left=N + 1)) as (client, _):
        run = interrupted(client, "arena/judge", asked)
        (notes / "c.txt").write_text("more of it")
        engine.mended()
        assert "what changed: sides" in ended(client, client.post(f"/api/jobs/{run}/resume").json()["id"])["reason"]
        assert judged(client, asked)["run"] != run and made(engine.calls)["generate"] == 2 * N


def test_what_is_forgotten_is_not_gone_on_with(asked: dict[str, Any]) -> None:
    with daemon(engine := Frail(left=2 * N + 4)) as (client, _):
        run = interrupted(client, "arena/judge", asked)
        assert client.delete("/api/eval/arena").json() == {"forgotten": N}
        assert client.get(f"/api/eval/runs/{run}").status_code == 404
        engine.mended()
        assert judged(client, asked)["run"] != run and made(engine.calls)["generate"] == 2 * N


def test_a_run_that_is_forgotten_takes_its_answers_along_and_leaves_its_votes(asked: dict[str, Any]) -> None:
    with daemon(Frail(left=2 * N + 4)) as (client, bench):
        run, arena = interrupted(client, "arena/judge", asked), bench.parts.evaluations.arena
        assert len(arena.answers(run)) == N
        client.delete(f"/api/eval/runs/{run}")
        assert len(arena.answers(run)) == len(arena.fought()) == 2


def test_nothing_is_forgotten_while_a_judge_votes(asked: dict[str, Any]) -> None:
    with daemon(engine := Frail(left=2 * N)) as (client, _):
        run = interrupted(client, "arena/judge", asked)
        engine.mended()
        engine._pause_s = 0.1
        client.post(f"/api/jobs/{run}/resume")
        refused = client.delete("/api/eval/arena")
        assert refused.status_code == 409 and f"jobs cancel {run}" in refused.text
        client.post(f"/api/jobs/{run}/cancel")
        assert client.delete("/api/eval/arena").json() == {"forgotten": N}


def test_an_answer_that_cannot_be_given_is_listed(asked: dict[str, Any]) -> None:
    class Short(FakeEngine):
        def _note(self, call: Call) -> None:
            if call.what == "generate" and call.prompts[0].messages[-1].content == "Is 2 kind?":  # type: ignore
                raise TooLong("it does not fit.", "Shorten it.")
            super()._note(call)

    with daemon(Short()) as (client, bench):
        told = judged(client, asked)
        assert told["votes"] == N - 1 and [one["row"] for one in told["skipped"]] == [3, 3]
        assert len(bench.parts.evaluations.arena.answers(told["run"])) == N - 1
        Path(asked["path"]).write_text(json.dumps({"question": "Is 2 kind?"}))
        name, failed = parse_events(client.post("/api/eval/arena/judge", json=asked).text)[-1]
        assert name == "error" and "by both sides: it does not fit" in failed["error"]["message"]
