"""The jobs room: one piece of work at a time, each watched, ended, and gone on with."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from fake_app import eventually
from lorebook_api.errors import BadRequest, Conflict, NotFound, StorageFailed
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.jobs import Jobs, new_job
from lorebook_daemon.app.jobstore import JobStore


class Works:
    """Work that tells of what it does, and ends when it may."""

    def __init__(self):
        self.began, self.together, self.most = [], 0, 0
        self.may_end = asyncio.Event()
        self.error = None

    async def __call__(self, job, tell):
        self.began.append(job.name)
        self.together += 1
        self.most = max(self.most, self.together)
        try:
            tell("progress", {"what": f"doing {job.name}"})
            await self.may_end.wait()
            if self.error:
                raise self.error
            tell("progress", {"what": "done"})
            return {"name": job.name}
        finally:
            self.together -= 1


class FullDisk(JobStore):
    """A store that has room for everything but what it is told to refuse, so many times."""

    def __init__(self, folder, **refused):
        super().__init__(folder)
        self.refused = refused

    def _refuse(self, what):
        if self.refused.get(what, 0):
            self.refused[what] -= 1
            raise StorageFailed("jobs.sqlite cannot be used (disk full).", "Free some space.")

    def begin(self, job_id):
        self._refuse("begin")
        return super().begin(job_id)

    def end(self, job):
        self._refuse("end")
        super().end(job)


@asynccontextmanager
async def room(folder, works=None, store=None):
    """The room, at work; yields it, and what it does."""
    works = works or Works()
    activity = Activity()
    jobs = Jobs(store or JobStore(folder), {"teach": works}, activity, again_s=0.01)
    running = asyncio.create_task(jobs.run())
    try:
        yield jobs, works
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert activity.idle_s >= 0
        jobs.close()


def submit(jobs, name):
    return jobs.submit(new_job("teach", name))


def states(jobs):
    return {job.name: job.state for job in jobs.all()}


def run(work):
    asyncio.run(asyncio.wait_for(work, 20))


def test_two_jobs_at_once_the_second_waits(tmp_path):
    async def work():
        async with room(tmp_path) as (jobs, works):
            one, two = submit(jobs, "one"), submit(jobs, "two")
            await eventually(lambda: works.began == ["one"])
            assert states(jobs) == {"one": "running", "two": "waiting"}
            works.may_end.set()
            await eventually(lambda: states(jobs) == {"one": "done", "two": "done"})
            assert works.began == ["one", "two"] and works.most == 1
            assert jobs.get(one.id).result == {"name": "one"} and jobs.get(two.id).started

    run(work())


def test_a_job_is_watched_from_its_beginning_and_from_where_one_was(tmp_path):
    async def work():
        async with room(tmp_path) as (jobs, works):
            job = submit(jobs, "one")
            seen = []

            async def watch():
                seen.extend([(event.n, event.data["what"]) async for event in jobs.follow(job.id)])

            watching = asyncio.create_task(watch())
            await eventually(lambda: works.began)
            works.may_end.set()
            await watching
            assert seen == [(1, "doing one"), (2, "done")]
            assert [event.n async for event in jobs.follow(job.id, after=1)] == [2]

    run(work())


@pytest.mark.parametrize("which", ["one", "two"])
def test_a_job_is_ended_whether_it_runs_or_waits_and_gone_on_with(tmp_path, which):
    async def work():
        async with room(tmp_path) as (jobs, works):
            ids = {name: submit(jobs, name).id for name in ("one", "two")}
            await eventually(lambda: works.began)
            assert (await jobs.cancel(ids[which])).state == "cancelled"
            works.may_end.set()
            other = "two" if which == "one" else "one"
            await eventually(lambda: states(jobs)[other] == "done")
            with pytest.raises(Conflict, match="has ended already"):
                await jobs.cancel(ids[which])
            assert jobs.resume(ids[which]).state == "waiting"
            await eventually(lambda: states(jobs)[which] == "done")
            with pytest.raises(Conflict, match="has done its work"):
                jobs.resume(ids[which])

    run(work())


def test_a_job_that_fails_says_why_and_the_next_one_begins(tmp_path):
    async def work():
        async with room(tmp_path) as (jobs, works):
            works.error = BadRequest("It became nan.", "Learn more slowly.")
            job = submit(jobs, "one")
            submit(jobs, "two")
            works.may_end.set()
            await eventually(lambda: states(jobs) == {"one": "failed", "two": "failed"})
            assert "It became nan." in jobs.get(job.id).reason and "slowly" in jobs.get(job.id).reason

    run(work())


def test_an_unforeseen_error_ends_the_job_alone(tmp_path):
    async def work():
        async with room(tmp_path) as (jobs, works):
            works.error = ZeroDivisionError("oh")
            submit(jobs, "one")
            works.may_end.set()
            await eventually(lambda: states(jobs) == {"one": "failed"})
            works.error = None
            submit(jobs, "two")
            await eventually(lambda: states(jobs)["two"] == "done")

    run(work())


def test_a_daemon_that_ended_and_came_back_knows_its_jobs(tmp_path):
    async def before():
        async with room(tmp_path) as (jobs, works):
            submit(jobs, "running")
            submit(jobs, "waiting")
            await eventually(lambda: works.began)

    async def after():
        works = Works()
        works.may_end.set()
        async with room(tmp_path, works) as (jobs, _):
            assert states(jobs) == {"running": "interrupted", "waiting": "interrupted"}
            assert works.began == []  # nothing goes on that nobody asked for
            (waiting, running) = jobs.all()
            assert "daemon ended" in running.reason
            jobs.resume(running.id)
            await eventually(lambda: states(jobs)["running"] == "done")
            told = [event.data["what"] async for event in jobs.follow(running.id)]
            assert told == ["doing running", "doing running", "done"]
            assert waiting.state == "interrupted"

    run(before())
    run(after())


def test_a_killed_daemon_leaves_jobs_that_can_be_gone_on_with(tmp_path):
    store = JobStore(tmp_path)
    job = new_job("teach", "one")
    store.add(job)
    store.begin(job.id)
    store.close()  # as a kill does: nothing more was written

    async def work():
        async with room(tmp_path) as (jobs, works):
            assert states(jobs) == {"one": "interrupted"}
            jobs.resume(job.id)
            works.may_end.set()
            await eventually(lambda: states(jobs) == {"one": "done"})

    run(work())


def test_two_jobs_do_not_make_the_same_adapter(tmp_path):
    async def work():
        async with room(tmp_path) as (jobs, works):
            one = submit(jobs, "lab")
            await eventually(lambda: works.began)
            await jobs.cancel(one.id)
            submit(jobs, "lab")
            await eventually(lambda: works.together == 1)
            with pytest.raises(Conflict, match="makes lab already"):
                jobs.resume(one.id)

    run(work())


@pytest.mark.parametrize("times", [1, 5])
def test_an_end_that_cannot_be_written_is_told_and_written_later(tmp_path, times):
    async def work():
        store = FullDisk(tmp_path, end=times)
        async with room(tmp_path, store=store) as (jobs, works):
            one, two = submit(jobs, "one"), submit(jobs, "two")
            works.may_end.set()
            told = [event async for event in jobs.follow(one.id)]
            assert told and jobs.get(one.id).state == "done" and jobs.get(one.id).result == {"name": "one"}
            await eventually(lambda: states(jobs) == {"one": "done", "two": "done"})
            await eventually(lambda: [job.state for job in store.all()] == ["done", "done"])
            assert store.get(one.id).result == {"name": "one"} and store.get(one.id) == jobs.get(one.id)
            assert jobs.get(two.id).ended and works.began == ["one", "two"]

    run(work())


def test_while_an_end_is_not_written_the_store_says_running_and_the_room_the_truth(tmp_path):
    async def work():
        store = FullDisk(tmp_path, end=10**6)
        async with room(tmp_path, store=store) as (jobs, works):
            works.error = BadRequest("It became nan.", "Learn more slowly.")
            works.may_end.set()
            one = submit(jobs, "one")
            await eventually(lambda: jobs.get(one.id).state == "failed")
            assert store.get(one.id).state == "running" and states(jobs) == {"one": "failed"} and not jobs.unfinished()
            with pytest.raises(Conflict, match="has ended already"):
                await jobs.cancel(one.id)
            works.error = None
            jobs.resume(one.id)
            await eventually(lambda: jobs.get(one.id).state == "done")
            store.refused["end"] = 0
            await eventually(lambda: store.get(one.id).state == "done")

    run(work())


def test_a_beginning_that_cannot_be_written_is_tried_again(tmp_path):
    async def work():
        async with room(tmp_path, store=FullDisk(tmp_path, begin=2)) as (jobs, works):
            works.may_end.set()
            submit(jobs, "one")
            submit(jobs, "two")
            await eventually(lambda: states(jobs) == {"one": "done", "two": "done"})
            assert works.began == ["one", "two"]

    run(work())


def test_what_nobody_knows_is_told(tmp_path):
    async def work():
        async with room(tmp_path) as (jobs, _):
            for deed in (jobs.get, jobs.resume):
                with pytest.raises(NotFound, match="no job"):
                    deed("none")
            with pytest.raises(NotFound):
                await jobs.cancel("none")

    run(work())


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "jobs.sqlite").mkdir()
    with pytest.raises(StorageFailed, match=r"jobs\.sqlite"):
        JobStore(tmp_path)
