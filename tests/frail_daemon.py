"""A daemon whose engine dies, and another one after it: for what is to go on where it was."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench, parse_events
from fakes import Call, FakeEngine
from lorebook_api.errors import EngineFailed
from lorebook_daemon.app.application import create_app


class Frail(FakeEngine):
    """Fails at the call after so many, until it is `mended`; then `calls` are those of its second life alone."""

    def __init__(self, left: int = -1, pause_s: float = 0.0) -> None:
        super().__init__(pause_s=pause_s)
        self._left = left

    def mended(self, left: int = -1) -> list[Call]:
        """Go on for so many calls, for ever by default; return what was called before."""
        before, self.calls, self._left = self.calls, [], left
        return before

    def _note(self, call: Call) -> None:
        if not self._left:
            raise EngineFailed("The engine died.", "Ask again.")
        self._left -= 1
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


def interrupted(client: TestClient, route: str, asked: dict[str, Any]) -> str:
    """Ask for what the engine does not live to the end of; return the run."""
    name, told = parse_events(client.post(f"/api/eval/{route}", json=asked).text)[-1]
    assert name == "error" and "died" in told["error"]["message"]
    return str(client.get("/api/jobs").json()["jobs"][0]["id"])
