"""Why indexing waits: a person paused it, or the battery is spared; whichever it is, it is told and it ends."""

import asyncio
import functools
from pathlib import Path

import pytest

import lorebook_daemon.app.holding as holding_module
from fake_app import FakeIndexes, eventually
from lorebook_api.errors import Conflict
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.holding import BATTERY, PAUSED, Holding
from lorebook_daemon.app.roots import Roots

soon = functools.partial(eventually, within_s=20)  # on a busy machine a thread may wait for seconds
ROOT, OTHER = Path("/a"), Path("/b")


class Run:
    """As much of an IndexRun as holding sees."""

    def __init__(self, searchable):
        self.searchable = searchable
        self.held = ""


class Scene:
    def __init__(self, draining=False, spare=True):
        self.draining = draining
        self.told = []
        self.runs = {ROOT: Run(searchable=False), OTHER: Run(searchable=True)}
        self.holding = Holding(lambda root, held: self.told.append((root, held)), spare, lambda: self.draining)

    def held(self):
        return [run.held for run in self.runs.values()]


def test_a_pause_holds_every_run_and_is_told_once():
    scene = Scene()
    scene.holding.paused = True
    scene.holding.apply(scene.runs)
    scene.holding.apply(scene.runs)
    assert scene.held() == [PAUSED, PAUSED] and scene.told == [(ROOT, True), (OTHER, True)]
    scene.holding.paused = False
    scene.holding.apply(scene.runs)
    assert scene.held() == ["", ""] and scene.told[2:] == [(ROOT, False), (OTHER, False)]


def minded(scene, acts, monkeypatch):
    monkeypatch.setattr(holding_module, "_LOOK_S", 0.01)

    async def whole():
        minding = asyncio.create_task(scene.holding.mind(lambda: scene.runs))
        try:
            await acts(scene)
        finally:
            minding.cancel()
            await asyncio.gather(minding, return_exceptions=True)

    asyncio.run(whole())


def test_on_battery_words_are_indexed_and_vectors_wait_until_it_is_on_mains_again(monkeypatch):
    async def acts(scene):
        await soon(lambda: scene.held() == ["", BATTERY])
        scene.runs[ROOT].searchable = True  # its words are done
        await soon(lambda: scene.held() == [BATTERY, BATTERY])
        scene.draining = False
        await soon(lambda: scene.held() == ["", ""])
        assert scene.told == [(OTHER, True), (ROOT, True), (ROOT, False), (OTHER, False)]

    minded(Scene(draining=True), acts, monkeypatch)


def test_a_pause_comes_before_the_battery_and_outlasts_it(monkeypatch):
    async def acts(scene):
        await soon(lambda: scene.held() == ["", BATTERY])
        scene.holding.paused = True
        await soon(lambda: scene.held() == [PAUSED, PAUSED])
        scene.draining = False
        await asyncio.sleep(0.05)
        assert scene.held() == [PAUSED, PAUSED]
        scene.holding.paused = False
        await soon(lambda: scene.held() == ["", ""])

    minded(Scene(draining=True), acts, monkeypatch)


def test_who_wants_vectors_on_battery_has_them(monkeypatch):
    async def acts(scene):
        await asyncio.sleep(0.05)
        assert scene.held() == ["", ""] and scene.told == []

    minded(Scene(draining=True, spare=False), acts, monkeypatch)


@pytest.fixture
def roots():
    indexes = FakeIndexes()
    return indexes, Roots(indexes.parts(), Activity(), lambda root: None)


def play(roots, acts):
    async def whole():
        try:
            await acts(*roots)
        finally:
            await roots[1].close()

    asyncio.run(whole())


def nobody(progress):
    """Hear nothing."""


def test_paused_indexing_begins_nothing_and_a_search_says_so(roots, notes):
    async def acts(indexes, roots):
        await roots.open([notes], nobody)
        roots.pause(True)
        (notes / "c.txt").write_text("a new finding")
        opened = await roots.open([notes], nobody)
        assert "lorebook index --resume" in " ".join(opened.notices)
        assert await opened.search("finding", 5) == () and len(indexes.runs) == 1
        with pytest.raises(Conflict) as caught:
            await roots.start(notes)
        assert caught.value.hint == "Let it go on: lorebook index --resume"
        roots.pause(False)
        assert (await (await roots.open([notes], nobody)).search("finding", 5))[0].passage.path == "c.txt"

    play(roots, acts)


def test_a_folder_that_was_never_indexed_waits_for_the_end_of_a_pause(roots, notes):
    async def acts(indexes, roots):
        roots.pause(True)
        with pytest.raises(Conflict):
            await roots.open([notes], nobody)
        assert indexes.runs == []

    play(roots, acts)


def test_a_run_in_hand_is_held_and_who_waits_for_its_vectors_goes_on_without(roots, notes):
    indexes, _ = roots
    indexes.may_embed.clear()

    async def acts(indexes, roots):
        opening = asyncio.create_task(roots.open([notes], nobody))
        await soon(lambda: notes in indexes.committed)
        roots.pause(True)
        opened = await asyncio.wait_for(opening, 20)
        assert opened.retrieval == "lexical" and indexes.held[notes] is True
        (work,) = roots.work()
        assert (work.held, work.seconds_left) == (PAUSED, None)
        roots.pause(False)
        assert indexes.held[notes] is False
        indexes.may_embed.set()

    play(roots, acts)
