"""The indexer as a process: what it says, how it is ended, and what its death costs."""

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import asdict

import psutil
import pytest

from lorebook_api.errors import Conflict, LorebookError, NotFound, StorageFailed, Unusable
from lorebook_api.schema import IndexReport, Progress
from lorebook_daemon.index import indexer
from lorebook_daemon.index.indexer import Indexer
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.storage import index_folder, lock
from lorebook_daemon.index.update import is_stale, update
from lorebook_daemon.index.worker import ORPHANED, Job, Lines


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


def start(job):
    command = [sys.executable, "-W", "ignore", "-m", "lorebook_daemon.index.worker", json.dumps(asdict(job))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def children():
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, or one that ended just now
            found += [child] if "lorebook_daemon.index.worker" in child.cmdline() else []
    return found


# the child


def test_it_speaks_one_json_object_a_line(root, tmp_path):
    with start(Job(str(root), str(tmp_path / "index"), 20)) as child:
        lines = [json.loads(line) for line in child.stdout]
        assert child.wait(20) == 0
    assert [line["event"] for line in lines if line["event"] != "progress"] == ["indexed", "done"]
    assert lines[-1] == {"event": "done", "vectors": 0}
    (report,) = [line["report"] for line in lines if line["event"] == "indexed"]
    assert (report["files"], report["added"], report["skipped"]) == (2, 2, [])


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
        child.stdout.readline()
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
            child.kill()
            async for _ in events:
                pass

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
    real = Indexer._start

    async def lingering(self, place, folder, full):
        if monkeypatched:
            return await real(self, place, folder, full)
        monkeypatched.append(True)
        code = "import json,sys; print(json.dumps({'event': 'indexed', 'report': json.loads(sys.argv[1])}), flush=True)"
        report = asdict(IndexReport(str(place), 0, 0, 0, 0, 0, (), 0.0))
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", f"{code}; sys.stdin.read()", json.dumps(report)),
            **dict.fromkeys(("stdin", "stdout", "stderr"), asyncio.subprocess.PIPE),
        )

    monkeypatched = []
    monkeypatch.setattr(indexer.Indexer, "_start", lingering)

    async def overtake():
        async with contextlib.aclosing(run.run(root)) as first:
            await until(first, IndexReport)
            second = await collect(run.run(root))
            assert [event async for event in first] == [], "ends without a word"
        return second

    assert [event.files for event in asyncio.run(overtake()) if isinstance(event, IndexReport)] == [2]
