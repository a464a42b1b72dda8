"""An app that teaches, with a trainer that learns nothing, and what asks it over HTTP"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace

from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, Bench
from lorebook_api.home import find_home
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.application import create_app
from lorebook_daemon.app.jobs import Jobs
from lorebook_daemon.app.jobstore import JobStore
from lorebook_daemon.app.modelroom import models_at
from lorebook_daemon.app.teachroom import Room, Teaching
from lorebook_daemon.models.shelf import LocalModel, resolve

PAIRS = [
    {"question": "Who wrote it?", "answer": "Anna did.", "cell": "c1", "path": "/work/lab.ipynb"},
    {"question": "When was it?", "answer": "It was in May.", "cell": "c2", "path": "/work/lab.ipynb"},
]


class App:
    """A client of an app whose jobs are done, and its parts."""

    def __init__(self, client, bench):
        self.client, self.parts = client, bench.parts

    def post(self, path, /, **body):
        return self.client.post(path, json=body)

    def teach(self, **body):
        response = self.post("/api/teach", **{"pairs": PAIRS, "name": "lab", **body})
        assert response.status_code == 200, response.text
        return response.json()

    def job(self, job_id):
        return self.client.get(f"/api/jobs/{job_id}").json()

    def until(self, job_id, state):
        deadline = time.monotonic() + 10
        while (job := self.job(job_id))["state"] != state:
            assert time.monotonic() < deadline, job
            time.sleep(0.01)
        return job

    def taught(self, **body):
        return self.until(self.teach(**body)["id"], "done")

    def adapters(self):
        return {one["name"]: one for one in self.client.get("/api/adapters").json()["adapters"]}


@contextmanager
def serving(files, trainer):
    """Serve with this trainer, until the block ends; then the daemon is gone."""
    home = find_home()

    async def find(name, report):
        if name == plain.parts.settings.model:
            return LocalModel("base", files / "base.gguf", None, "lorebook")
        return resolve(name, home)

    plain = Bench()
    room = Room(home, plain.parts.settings, find, plain.parts.engines, plain.parts.adapters, trainer)
    teaching = Teaching(room)
    here = models_at(home, plain.parts.settings)
    bench = Bench(
        engines=plain.parts.engines,
        models=replace(plain.parts.models, file=here.file, remove=here.remove),
        adapters=plain.parts.adapters,
        teaching=teaching,
        jobs=Jobs(JobStore(home.state), {"teach": teaching.work}, Activity()),
    )
    bench.parts.adapters.finish_changes()  # as `serve` does
    with TestClient(create_app(bench.parts), base_url=f"http://{HOST}", headers=AUTHORIZED) as client:
        running = client.portal.start_task_soon(bench.parts.jobs.run)
        try:
            yield App(client, bench)
        finally:
            running.cancel()
            time.sleep(0.05)
            bench.parts.jobs.close()


def refused(response, status):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["message"] and error["hint"]
    return error["message"]
