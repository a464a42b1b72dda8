"""What was read of a passage goes when the passage goes, whoever is killed on the way, and not before its readers."""

import asyncio
from pathlib import Path

import pytest

from fakes import FakeEngine
from lorebook_api.errors import EngineDied
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.app.forgetting import Forgetter, text_of
from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks, passage_digest
from lorebook_daemon.engine.kvplace import kv_root
from lorebook_daemon.index import store
from lorebook_daemon.index.lately import gone_passages, passages_of
from lorebook_daemon.index.storage import DATABASE, index_folder, lock
from lorebook_daemon.index.store import Store
from lorebook_daemon.index.update import update
from lorebook_daemon.models.shelf import LocalModel

MODEL = LocalModel("tiny", Path("/models/tiny"), None, "lorebook")


def nobody(progress):
    """Hear nothing."""


class Scene:
    """An indexed root whose passages were all read: an engine keeps them in memory, two models' folders on disk."""

    def __init__(self, home, root):
        self.home, self.root = home, root
        self.folder = index_folder(home.cache, root)
        self.engine = FakeEngine()
        self.engines = Engines(self._load)
        self.forgetter = Forgetter(self.engines, home)
        self.update()
        self.texts = {
            path.name: [text_of(one) for one in passages_of(self.folder, path.name)] for path in root.iterdir()
        }
        for model in ("one", "other"):
            disk = DiskBlocks(kv_root(home) / model, 10**6)
            for text in self.all:
                disk.put(BlockKey(bytes(20), passage_digest(text)), text.encode())
            assert disk.flush()
            disk.close()
        self.engine.kept = set(self.all)

    async def _load(self, model, report):
        return self.engine

    @property
    def all(self):
        return [text for texts in self.texts.values() for text in texts]

    def update(self, **options):
        update(self.root, self.folder, max_file_mb=20, report=nobody, **options)

    def on_disk(self):
        """Return the texts whose blocks are there, those of each model in its own set."""
        return [
            {text for text in self.all if list(model.glob(f"{passage_digest(text).hex()}-*"))}
            for model in sorted(kv_root(self.home).iterdir())
        ]

    def forget(self, loaded=True):
        """Forget, as the daemon does after an update."""

        async def whole():
            if loaded:
                async with self.engines.using(MODEL, nobody):
                    pass
            return await self.forgetter.forget()

        return asyncio.run(whole())


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "root"
    top.mkdir()
    (top / "secret.md").write_text("The password is swordfish.")
    paragraphs = (f"Paragraph {n}. " + "It says nothing of note. " * 25 for n in range(5))
    (top / "notes.md").write_text("\n\n".join(paragraphs))
    return top


@pytest.fixture
def scene(home, root):
    return Scene(home, root)


@pytest.mark.parametrize("loaded", [True, False])
def test_nothing_of_a_deleted_file_stays(scene, loaded):
    assert len(scene.all) > 3
    (scene.root / "secret.md").unlink()
    scene.update()
    scene.forgetter.indexed(scene.root)
    assert scene.forgetter.pending
    assert scene.forget(loaded)
    left = set(scene.texts["notes.md"])
    assert scene.on_disk() == [left, left]
    if loaded:
        assert scene.engine.kept == left
    assert not scene.forgetter.pending and gone_passages(scene.folder) is None
    assert not scene.forget(loaded)
    assert b"swordfish" not in b"".join(file.read_bytes() for file in kv_root(scene.home).rglob("*.kv"))


def test_of_a_changed_file_only_what_changed_goes(scene):
    text = (scene.root / "notes.md").read_text()
    (scene.root / "notes.md").write_text(text.replace("Paragraph 4", "The last paragraph"))
    scene.update()
    assert scene.forget()
    now = {text_of(passage) for passage in passages_of(scene.folder, "notes.md")}
    left = {text for text in scene.all if text in now or text in scene.texts["secret.md"]}
    assert scene.on_disk() == [left, left] and scene.engine.kept == left
    assert len(left) == len(scene.all) - 1


def test_nothing_goes_where_nothing_went(scene):
    scene.update(full=True)
    assert not scene.forget()
    assert scene.engine.kept == set(scene.all)


def test_what_an_earlier_daemon_did_not_come_to_is_done_by_the_next(scene):
    (scene.root / "secret.md").unlink()
    scene.update()
    scene.forgetter = Forgetter(scene.engines, scene.home)
    assert scene.forget(loaded=False)
    left = set(scene.texts["notes.md"])
    assert scene.on_disk() == [left, left]


def test_many_go_in_parts(scene, monkeypatch):
    monkeypatch.setattr("lorebook_daemon.index.lately._GONE_AT_ONCE", 2)
    for file in scene.root.iterdir():
        file.unlink()
    scene.update()
    assert scene.forget()
    assert scene.on_disk() == [set(), set()] and not scene.engine.kept


def test_where_it_is_not_known_what_went_everything_on_disk_goes(scene):
    (scene.folder / DATABASE).write_bytes(b"no database" * 1000)
    scene.update()
    assert scene.forget()
    assert scene.on_disk() == [set(), set()]
    assert gone_passages(scene.folder) is None


def test_a_request_in_hand_may_still_read_what_it_found(scene):
    (scene.root / "secret.md").unlink()
    scene.update()

    async def whole():
        async with scene.engines.using(MODEL, nobody):
            assert not await scene.forgetter.forget()
            assert scene.engine.kept == set(scene.all) and scene.forgetter.pending
        assert await scene.forgetter.forget()
        assert scene.engine.kept == set(scene.texts["notes.md"]) and not scene.forgetter.pending

    asyncio.run(whole())


def test_an_engine_that_dies_has_forgotten(scene, monkeypatch, caplog):
    async def dies(texts):
        raise EngineDied("it died")

    monkeypatch.setattr(scene.engine, "forget", dies)
    (scene.root / "secret.md").unlink()
    scene.update()
    assert scene.forget()
    assert scene.on_disk() == [set(scene.texts["notes.md"])] * 2
    assert "it died" in caplog.text


def test_an_index_that_is_being_written_is_settled_later(scene, monkeypatch):
    connect = store._connect

    def impatient(folder, mode):
        connection = connect(folder, mode)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    monkeypatch.setattr(store, "_connect", impatient)
    (scene.root / "secret.md").unlink()
    scene.update()
    with lock(scene.folder, scene.root):
        writer = Store.create(scene.folder)
        with writer.transaction():
            assert not scene.forget()
            assert scene.forgetter.pending
        writer.close()
    assert scene.forget()
    assert gone_passages(scene.folder) is None
