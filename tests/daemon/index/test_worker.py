"""The indexer as a process: what it says, how it is ended, and what its death costs."""

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict

import psutil
import pytest

from lorebook_api.errors import Conflict, LorebookError, NotFound, StorageFailed, Unusable
from lorebook_api.indexing import IndexReport, Progress
from lorebook_daemon.index import indexer
from lorebook_daemon.index.indexer import Indexer
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.storage import index_folder, lock
from lorebook_daemon.index.update import is_stale, update
from lorebook_daemon.index.worker import MUCH, ORPHANED, Job, Lines


@pytest.fixture
def big(tmp_path):
    """A root that takes a second or more."""
    place = tmp_path / "big"
    place.mkdir()
    for file in range(100):
        functions = (f"def f{file}_{n}(value):\n    return value + {n}" for n in range(40))
        (place / f"m{file}.py").write_text("\n\n".join(functions))
    return place


@pytest.fixture
def run(home):
    return Indexer(home.cache, None, 20)


async def collect(events):
    async with contextlib.aclosing(events) as told:
        return [event async for event in told]


async def until(events, kind):
    """Return the first event of a kind."""
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind}")


def start(*jobs):
    command = [sys.executable, "-W", "ignore", "-m", "lorebook_daemon.index.start"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for job in jobs:
        order(child, job=asdict(job))
    return child


def order(child, **order):
    child.stdin.write(json.dumps(order).encode() + b"\n")
    child.stdin.flush()


def told(child):
    """Yield what a worker says up to the end of its job."""
    for line in child.stdout:
        event = json.loads(line)
        yield event
        if event["event"] in ("done", "error"):
            return


def children():
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or one that ended just now
            found += [child] if "lorebook_daemon.index.start" in child.cmdline() else []
    return found


# the child


def test_it_speaks_one_json_object_a_line(root, tmp_path):
    with start(Job(str(root), str(tmp_path / "index"), 20)) as child:
        lines = [*told(child)]
        child.stdin.close()
        assert child.wait(20) == ORPHANED
    assert [line["event"] for line in lines if line["event"] != "progress"] == ["indexed", "done"]
    assert lines[-1] == {"event": "done", "vectors": 0, "spent": False}
    (report,) = [line["report"] for line in lines if line["event"] == "indexed"]
    assert (report["files"], report["added"], report["skipped"]) == (2, 2, [])


def test_it_does_one_job_after_another(root, tmp_path):
    with start(Job(str(root), str(tmp_path / "index"), 20)) as child:
        assert [*told(child)][-1]["event"] == "done"
        (root / "new.md").write_text("# New\n\nwords\n")
        order(child, job=asdict(Job(str(root), str(tmp_path / "index"), 20, paths=("new.md",))))
        (report,) = [line["report"] for line in told(child) if line["event"] == "indexed"]
        assert [change["path"] for change in report["changes"]] == ["new.md"]
        child.stdin.close()


def test_after_an_error_it_ends(tmp_path):
    with start(Job(str(tmp_path / "nowhere"), str(tmp_path / "index"), 20)) as child:
        assert [line["event"] for line in told(child)] == ["error"]
        assert child.wait(20) == 1


def test_held_it_waits_and_goes_on(big, tmp_path):
    with start(Job(str(big), str(tmp_path / "index"), 20)) as child:
        events = told(child)
        next(events)
        order(child, hold=True)
        time.sleep(1.0)
        used = psutil.Process(child.pid).cpu_times().user
        time.sleep(0.5)
        assert psutil.Process(child.pid).cpu_times().user - used < 0.1
        order(child, hold=False)
        assert [*events][-1]["event"] == "done"
        child.stdin.close()


def test_it_ends_when_its_parent_is_gone(big, tmp_path):
    with start(Job(str(big), str(tmp_path / "index"), 20)) as child:
        child.stdout.readline()
        child.stdin.close()
        assert child.wait(20) == ORPHANED
    assert is_stale(big, tmp_path / "index") > 0
    assert update(big, tmp_path / "index", max_file_mb=20, report=lambda _: None).files == 100


@pytest.mark.skipif(sys.platform == "win32", reason="priorities are classes there")
def test_it_steps_back(big, tmp_path):
    with start(Job(str(big), str(tmp_path / "index"), 20)) as child:
        next(event for event in told(child) if event.get("total", 0) > MUCH)
        assert psutil.Process(child.pid).nice() >= min(19, os.nice(0) + 10)
        child.kill()


def test_progress_is_told_ten_times_a_second_and_at_its_end():
    out = io.StringIO()
    lines = Lines(out)
    for done in range(1001):
        lines.progress(Progress("reading files", done, 1000))
    lines.progress(Progress("indexing words"))
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(told) <= 6
    assert told[-2:] == [
        {"event": "progress", "what": "reading files", "done": 1000, "total": 1000},
        {"event": "progress", "what": "indexing words", "done": 0, "total": 0},
    ]


# the parent


def test_a_run_tells_progress_then_the_report(root, run, home):
    events = asyncio.run(collect(run.run(root)))
    reports = [event for event in events if isinstance(event, IndexReport)]
    assert len(reports) == 1
    assert all(isinstance(event, Progress | IndexReport) for event in events)
    assert (reports[0].files, reports[0].skipped, reports[0].notices) == (2, (), ())
    assert OpenIndex.open(index_folder(home.cache, root), None).search("alpha", 1)


def test_a_reports_skipped_files_come_through(root, run):
    (root / "binary.py").write_bytes(b"\x00" * 100)
    (report,) = [event for event in asyncio.run(collect(run.run(root))) if isinstance(event, IndexReport)]
    assert [(each.path, each.why) for each in report.skipped] == [("binary.py", "binary")]


def test_errors_keep_their_class_and_hint(root, run, home, tmp_path):
    with pytest.raises(NotFound) as caught:
        asyncio.run(collect(run.run(tmp_path / "nowhere")))
    assert caught.value.hint
    with lock(index_folder(home.cache, root), root), pytest.raises(Conflict, match="another process"):
        asyncio.run(collect(run.run(root)))
    (home.cache / "index").rename(home.cache / "aside")
    (home.cache / "index").write_text("")
    with pytest.raises(StorageFailed):
        asyncio.run(collect(run.run(root)))


def test_an_embedder_that_is_not_there_costs_the_vectors_only(root, home, tmp_path):
    events = []

    async def listen():
        async with contextlib.aclosing(Indexer(home.cache, tmp_path / "no-embedder", 20).run(root)) as told:
            async for event in told:
                events.append(event)

    with pytest.raises(Unusable):
        asyncio.run(listen())
    assert isinstance(events[-1], IndexReport)
    assert OpenIndex.open(index_folder(home.cache, root), None).search("alpha", 1)


def test_closing_the_iterator_ends_the_worker(big, run):
    async def give_up():
        async with contextlib.aclosing(run.run(big)) as events:
            await until(events, Progress)
            assert children()
        assert not children()
        return await collect(run.run(big))

    events = asyncio.run(give_up())
    assert [event.files for event in events if isinstance(event, IndexReport)] == [100]


def test_cancelling_the_task_ends_the_worker(big, run):
    async def cancel():
        task = asyncio.create_task(collect(run.run(big)))
        while not children():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not children()

    asyncio.run(cancel())


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_worker_that_is_killed_is_told_and_the_next_run_is_whole(big, run, home):
    async def kill():
        async with contextlib.aclosing(run.run(big)) as events:
            await until(events, Progress)
            (child,) = children()
            beside = child.children(recursive=True)
            child.kill()
            try:
                async for _ in events:
                    pass
            finally:
                psutil.wait_procs(beside, 20)  # they hold its pipes for a moment longer, and so must the loop
                await asyncio.sleep(0.05)

    with pytest.raises(LorebookError, match="signal 9") as caught:
        asyncio.run(kill())
    assert "lorebook index" in caught.value.hint
    assert is_stale(big, index_folder(home.cache, big)) > 0
    events = asyncio.run(collect(run.run(big)))
    assert [event.files for event in events if isinstance(event, IndexReport)] == [100]
    assert OpenIndex.open(index_folder(home.cache, big), None).search("f7_7", 1)[0].passage.path == "m7.py"


def test_two_roots_are_indexed_side_by_side_and_one_root_in_turn(root, big, run):
    async def both():
        most = 0

        async def watch():
            nonlocal most
            while True:
                most = max(most, len(children()))
                await asyncio.sleep(0.02)

        watcher = asyncio.create_task(watch())
        runs = await asyncio.gather(*(collect(run.run(place)) for place in (big, root, root)))
        watcher.cancel()
        return most, [event for told in runs for event in told if isinstance(event, IndexReport)]

    most, reports = asyncio.run(both())
    assert most >= 2
    assert sorted((report.files, report.added) for report in reports) == [(2, 0), (2, 2), (100, 100)]


def test_a_second_run_takes_over_while_only_vectors_are_made(root, run, monkeypatch):
    """The first one's second stage is made to last for ever."""
    real = indexer._Worker.do
    begun = []

    async def lingering(worker, job):
        begun.append(worker)
        async with contextlib.aclosing(real(worker, job)) as events:
            async for event in events:
                yield event
        if worker is begun[0]:
            await worker.process.wait()
            worker.done = False

    monkeypatch.setattr(indexer._Worker, "do", lingering)

    async def overtake():
        async with contextlib.aclosing(run.run(root)) as first:
            await until(first, IndexReport)
            rest = asyncio.create_task(anext(first, None))
            await asyncio.sleep(0.05)
            second = await collect(run.run(root))
            assert await rest is None, "ends without a word"
        return second

    assert [event.files for event in asyncio.run(overtake()) if isinstance(event, IndexReport)] == [2]


def test_a_worker_that_was_started_ahead_takes_the_next_job_and_the_one_after(root, run):
    async def two():
        run.stay_ready(True)
        while not children():
            await asyncio.sleep(0.01)
        (ahead,) = children()
        seen = []
        for n in range(2):
            (root / "a.py").write_text(f"x = {n}\n")
            async with contextlib.aclosing(run.run(root, paths=["a.py"])) as events:
                async for event in events:
                    seen += [child.pid for child in children()]
                    if isinstance(event, IndexReport):
                        assert event.files
        assert set(seen) == {ahead.pid}
        await run.close()
        assert not children()

    asyncio.run(two())


def test_much_work_spends_a_worker(big, run):
    async def index():
        run.stay_ready(True)
        await collect(run.run(big))
        (one,) = children()
        (big / "m0.py").write_text("x = 1\n")
        await collect(run.run(big, paths=["m0.py"]))
        assert [child.pid for child in children()] == [one.pid], "not the one that had stepped back"
        assert psutil.Process(one.pid).nice() == os.nice(0)
        await run.close()

    asyncio.run(index())


def test_a_run_is_narrowed_to_where_something_happened(root, run):
    async def index():
        await collect(run.run(root))
        (root / "a.py").write_text("changed = 1\n")
        (root / "b.md").write_text("# Changed too\n")
        return await collect(run.run(root, paths=["a.py/nothing-here"]))

    (report,) = [event for event in asyncio.run(index()) if isinstance(event, IndexReport)]
    assert report.changes == (), "neither lies in a folder a.py"
