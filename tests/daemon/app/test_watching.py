"""Roots that are watched: by whom and how long, what is told of each change, and what a failure costs."""

import asyncio
import functools

import pytest

import lorebook_daemon.app.roots as roots_module
import lorebook_daemon.app.watching as watching_module
from fake_app import FakeIndexes, eventually
from lorebook_api.errors import StorageFailed
from lorebook_api.indexing import IndexReport, RootNotice
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.roots import Roots
from lorebook_daemon.app.watching import Watching

soon = functools.partial(eventually, within_s=20)  # on a busy machine a thread may wait for seconds


class Events:
    """A watch whose batches a test sends; an exception that is sent is raised."""

    def __init__(self):
        self.sent = {}
        self.begun = []
        self.ended = []

    def send(self, root, batch):
        self.sent[root].put_nowait(batch)

    async def watch(self, root, say):
        self.begun.append(root)
        queue = self.sent[root] = asyncio.Queue()
        try:
            while True:
                batch = await queue.get()
                if isinstance(batch, Exception):
                    raise batch
                if isinstance(batch, str):
                    say(batch)
                    continue
                yield batch
        finally:
            self.ended.append(root)


class Scene:
    def __init__(self, root):
        self.root = root
        self.indexes = FakeIndexes()
        self.events = Events()
        self.roots = Roots(self.indexes.parts(), Activity(), lambda root: None)
        self.watching = Watching(self.roots, self.events.watch)
        self.heard = []

    def reports(self):
        told = [what for what in self.heard if isinstance(what, IndexReport)]
        return [[(change.path, change.how) for change in report.changes] for report in told]

    def notices(self):
        return [told.text for told in self.heard if isinstance(told, RootNotice)]

    async def begin(self):
        self.watching.keep(self.root)
        await soon(lambda: self.root in self.events.sent)

    def send(self, *paths):
        self.events.send(self.root, frozenset(paths) if paths else None)


@pytest.fixture
def scene(notes):
    return Scene(notes)


def play(scene, acts):
    async def whole():
        await scene.begin()
        with scene.watching.heard_by(scene.root, scene.heard.append):
            await acts(scene)
        await scene.watching.close()
        await scene.roots.close()

    asyncio.run(whole())
    assert scene.events.ended == scene.events.begun, "no watch is left behind"


def test_each_change_is_followed_where_it_happened_and_told(scene):
    async def acts(scene):
        scene.send()
        await soon(lambda: len(scene.reports()) == 1)
        (scene.root / "c.txt").write_text("a new finding")
        scene.send("c.txt")
        await soon(lambda: len(scene.reports()) == 2)
        (scene.root / "a.txt").unlink()
        scene.send("a.txt")
        await soon(lambda: len(scene.reports()) == 3)
        assert scene.reports()[1:] == [[("c.txt", "added")], [("a.txt", "removed")]]
        assert scene.indexes.narrowed == [None, {"c.txt"}, {"a.txt"}]

    play(scene, acts)


def test_what_changed_nothing_is_not_told(scene):
    async def acts(scene):
        scene.send()
        await soon(lambda: len(scene.reports()) == 1)
        scene.send("a.txt")
        await soon(lambda: len(scene.indexes.runs) == 2)
        await asyncio.sleep(0.05)
        assert len(scene.reports()) == 1

    play(scene, acts)


def test_what_ignore_files_leave_out_starts_no_run(scene):
    (scene.root / ".gitignore").write_text("build/\n")
    (scene.root / "build").mkdir()

    async def acts(scene):
        scene.send("build/out.txt")
        scene.send("a.txt")
        await soon(lambda: bool(scene.indexes.runs))
        assert scene.indexes.narrowed == [{"a.txt"}]

    play(scene, acts)


def test_a_root_is_watched_until_as_many_have_left_it_as_wanted_it(scene):
    async def acts(scene):
        scene.watching.keep(scene.root)
        assert scene.watching.roots() == (str(scene.root),) and scene.indexes.ready
        assert scene.events.begun == [scene.root], "once, for both"
        await scene.watching.leave(scene.root)
        assert scene.watching.roots() == (str(scene.root),) and scene.indexes.ready
        await scene.watching.leave(scene.root)
        assert scene.watching.roots() == () and not scene.indexes.ready
        await scene.watching.leave(scene.root)  # nobody wants it: nothing happens

    play(scene, acts)


def test_a_change_that_cannot_be_followed_is_said_once_and_made_up_for(scene, monkeypatch):
    monkeypatch.setattr(watching_module, "_AGAIN_S", 0.01)

    async def acts(scene):
        scene.indexes.fails = StorageFailed("The disk is full.", "Free some space.")
        scene.send("a.txt")
        await soon(lambda: len(scene.indexes.runs) > 3)
        assert scene.notices() == ["The disk is full. Free some space."]
        scene.indexes.fails = None
        await soon(lambda: bool(scene.reports()))
        assert scene.indexes.narrowed[0] == {"a.txt"} and scene.indexes.narrowed[-1] is None, "everywhere"

    play(scene, acts)


def test_a_watch_that_fails_begins_again(scene, monkeypatch, caplog):
    monkeypatch.setattr(watching_module, "_AGAIN_S", 0.01)

    async def acts(scene):
        scene.events.send(scene.root, ValueError("what nobody foresaw"))
        await soon(lambda: len(scene.events.begun) == 2)
        scene.send()
        await soon(lambda: len(scene.reports()) == 1)
        assert "what nobody foresaw" in caplog.text

    play(scene, acts)


def test_a_root_that_went_away_is_said_and_keeps_its_index(scene):
    async def acts(scene):
        scene.send()
        await soon(lambda: len(scene.reports()) == 1)
        moved = scene.root.rename(scene.root.with_name("moved"))
        scene.events.send(scene.root, "it is not what it was")
        scene.send("a.txt")
        await soon(lambda: len(scene.notices()) == 2)
        assert scene.notices()[0] == "it is not what it was" and str(scene.root) in scene.notices()[1]
        assert scene.indexes.committed[scene.root]
        moved.rename(scene.root)
        (scene.root / "c.txt").write_text("written elsewhere")
        scene.send()
        await soon(lambda: len(scene.reports()) == 2)
        assert scene.reports()[1] == [("c.txt", "added")]

    def gone(root, full, paths=None):
        return run(root, full, paths) if root.is_dir() else fail(root)

    async def fail(root):
        raise watching_module.NotFound(f"{root} does not exist.")
        yield

    run = scene.indexes.run
    scene.indexes.run = gone
    scene.roots = Roots(scene.indexes.parts(), Activity(), lambda root: None)
    scene.watching = Watching(scene.roots, scene.events.watch)
    play(scene, acts)


def test_one_hearer_that_left_hears_no_more(scene):
    async def acts(scene):
        early = []
        with scene.watching.heard_by(scene.root, early.append):
            scene.send()
            await soon(lambda: len(early) == 1)
        (scene.root / "c.txt").write_text("late")
        scene.send("c.txt")
        await soon(lambda: len(scene.reports()) == 2)
        assert len(early) == 1

    play(scene, acts)


def test_a_root_that_changes_all_the_time_gets_half_of_the_attention(scene, monkeypatch):
    pauses = []
    sleep = asyncio.sleep

    async def noting(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(watching_module.asyncio, "sleep", noting)

    async def acts(scene):
        for n in range(4):
            (scene.root / "c.txt").write_text(f"version {n}")
            scene.send("c.txt")
        while len(scene.indexes.runs) < 4:
            await sleep(0.005)
        await sleep(0.02)
        assert [pause for pause in pauses if pause > 0], "the first is followed at once, the others are not"

    play(scene, acts)


def test_searches_trust_a_watch_that_looked_lately(scene, monkeypatch):
    monkeypatch.setattr(roots_module, "TRUSTED_FROM", 1)
    looked = []
    stale = scene.indexes.stale
    scene.indexes.stale = lambda root: looked.append(root) or stale(root)
    scene.roots = Roots(scene.indexes.parts(), Activity(), lambda root: None)
    scene.watching = Watching(scene.roots, scene.events.watch)

    async def acts(scene):
        scene.send()
        await soon(lambda: len(scene.reports()) == 1)
        await scene.roots.open([scene.root], lambda progress: None)
        looked.clear()  # until it was opened, it was not known how many files it holds
        await scene.roots.open([scene.root], lambda progress: None)
        assert looked == []
        await scene.watching.leave(scene.root)
        await scene.roots.open([scene.root], lambda progress: None)
        assert looked == [scene.root], "nobody watches it now"

    play(scene, acts)
