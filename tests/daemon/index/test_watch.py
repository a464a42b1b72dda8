"""Watching a real folder: what the system tells of, a root that is renamed and comes back, disks that tell nothing."""

import asyncio
import contextlib
import os
import time
import unicodedata
from collections import namedtuple

import psutil
import pytest
from watchfiles import Change

import lorebook_daemon.index.watch as watch_module
from lorebook_daemon.index.watch import _matters, by_looking, kind_of, watch

Part = namedtuple("Part", "mountpoint fstype")


class Scene:
    """Follows a root while `acts` runs."""

    def __init__(self, root):
        self.root = root
        self.batches = []
        self.said = []

    def paths(self):
        return {path for batch in self.batches if batch is not None for path in batch}

    async def follow(self):
        async with contextlib.aclosing(watch(self.root, self.said.append)) as batches:
            async for batch in batches:
                self.batches.append(batch)


async def until(holds, within_s=30.0):
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


def play(scene, acts):
    async def whole():
        following = asyncio.create_task(scene.follow())
        try:
            await until(lambda: scene.batches)
            await acts(scene)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    asyncio.run(whole())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(watch_module, "_BACK_S", 0.05)
    monkeypatch.setattr(watch_module, "_LOOK_S", 0.05)
    monkeypatch.setattr(watch_module, "_GLANCE_MS", 100)


def test_what_happens_is_told_within_a_moment(root):
    async def acts(scene):
        assert scene.batches == [None], "first anything may have happened"
        (root / "new.py").write_text("x = 1\n")
        await until(lambda: "new.py" in scene.paths())
        (root / "new.py").rename(root / "moved.py")
        await until(lambda: "moved.py" in scene.paths())
        (root / "sub").mkdir()
        (root / "sub" / "deep.md").write_text("# Deep\n")
        await until(lambda: scene.paths() & {"sub", "sub/deep.md"})
        (root / "a.py").unlink()
        await until(lambda: "a.py" in scene.paths())
        assert scene.said == []

    play(Scene(root), acts)


def test_what_no_index_reads_is_not_told(root):
    async def acts(scene):
        (root / "__pycache__").mkdir()
        (root / "__pycache__" / "a.pyc").write_bytes(b"x")
        (root / "film.mkv").write_bytes(b"x")
        (root / "last.py").write_text("x = 1\n")
        await until(lambda: "last.py" in scene.paths())
        assert scene.paths() <= {"last.py", "__pycache__"}

    play(Scene(root), acts)


def test_very_many_changes_mean_anything_anywhere(root, monkeypatch):
    monkeypatch.setattr(watch_module, "_MANY", 5)

    async def acts(scene):
        for n in range(60):
            (root / f"n{n}.py").write_text("x = 1\n")
        await until(lambda: scene.batches.count(None) > 1)

    play(Scene(root), acts)


def test_a_root_that_is_renamed_is_said_and_followed_again_once_it_is_back(root):
    async def acts(scene):
        moved = root.rename(root.with_name("elsewhere"))
        await until(lambda: len(scene.said) == 1)
        assert "renamed, deleted or unmounted" in scene.said[0] and "index is kept" in scene.said[0]
        count = len(scene.batches)
        (moved / "meanwhile.py").write_text("x = 1\n")
        await asyncio.sleep(0.2)
        assert len(scene.batches) == count, "what happens elsewhere is nobody's concern"
        moved.rename(root)
        await until(lambda: len(scene.said) == 2)
        assert scene.said[1] == f"{root} is back."
        await until(lambda: len(scene.batches) > count)
        assert scene.batches[-1] is None, "it may have changed while it was away"
        (root / "later.py").write_text("x = 1\n")
        await until(lambda: "later.py" in scene.paths())

    play(Scene(root), acts)


def test_another_folder_in_its_place_is_noticed(root):
    async def acts(scene):
        root.rename(root.with_name("old"))
        root.mkdir()
        (root / "other.py").write_text("x = 1\n")
        await until(lambda: scene.batches.count(None) > 1)

    play(Scene(root), acts)


def test_a_disk_that_does_not_tell_is_looked_through(root, monkeypatch):
    monkeypatch.setattr(watch_module, "kind_of", lambda place: "nfs4")

    async def acts(scene):
        assert "does not tell of changes" in scene.said[0]
        await until(lambda: len(scene.batches) > 2)
        assert set(scene.batches) == {None}

    play(Scene(root), acts)


def test_where_the_system_watches_no_more_folders_it_is_looked_through_and_said(root, monkeypatch):
    async def refuse(place):
        raise OSError(28, "inotify watch limit reached")
        yield

    monkeypatch.setattr(watch_module, "by_events", refuse)

    async def acts(scene):
        assert "cannot be watched" in scene.said[0] and "watch limit" in scene.said[0]
        await until(lambda: len(scene.batches) > 2)

    play(Scene(root), acts)


def test_looking_ends_with_the_root(root):
    async def look():
        seen = 0
        async for _ in by_looking(root):
            seen += 1
            if seen == 2:
                root.rename(root.with_name("gone"))
        return seen

    assert asyncio.run(asyncio.wait_for(look(), 30)) == 2


def test_the_nearest_mount_decides_which_file_system_it_is(tmp_path, monkeypatch):
    parts = [Part("/", "ext4"), Part(str(tmp_path), "NFS4"), Part(str(tmp_path / "deep"), "btrfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: parts)
    assert [kind_of(place) for place in (tmp_path / "a", tmp_path / "deep" / "b", tmp_path.parent)] == [
        "nfs4",
        "btrfs",
        "ext4",
    ]

    def refuse(all):
        raise OSError("no such file")

    monkeypatch.setattr(psutil, "disk_partitions", refuse)
    assert kind_of(tmp_path) == ""


MATTER = [
    ("a.py", Change.modified, True),
    ("film.mkv", Change.modified, False),
    ("film.mkv", Change.deleted, True),
    (".gitignore", Change.modified, True),
    (".git/index", Change.modified, False),
    (".git/info/exclude", Change.modified, True),
    ("node_modules/a.js", Change.added, False),
    ("new folder", Change.added, True),
    (".", Change.modified, True),
]


@pytest.mark.parametrize(("path", "change", "matters"), MATTER)
def test_which_changes_matter(root, path, change, matters):
    (root / "film.mkv").write_bytes(b"x")
    assert _matters(root, change, os.path.normpath(root / path)) is matters


def test_a_name_comes_in_the_spelling_of_the_index_however_the_disk_writes_it(root):
    decomposed = unicodedata.normalize("NFD", "café.py")

    async def acts(scene):
        (root / decomposed).write_text("x = 1\n")
        await until(lambda: "café.py" in scene.paths())

    play(Scene(root), acts)
