import asyncio

import pytest

from fake_app import FakeIndexes, eventually
from lorebook_api.errors import Conflict, StorageFailed
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.roots import SOON, Roots


def nobody(progress):
    """Hear nothing."""


class Scene:
    def __init__(self):
        self.indexes = FakeIndexes()
        self.activity = Activity()
        self.indexed = []
        self.roots = Roots(self.indexes.parts(), self.activity, self.indexed.append)

    def play(self, acts):
        async def whole():
            try:
                return await acts(self)
            finally:
                await self.roots.close()

        return asyncio.run(whole())


@pytest.fixture
def scene():
    return Scene()


def test_the_first_search_indexes_and_says_so(scene, notes):
    async def acts(scene):
        heard = []
        opened = await scene.roots.open([notes], heard.append)
        assert opened.notices == (f"Indexed {notes}: 2 files.",)
        assert [progress.what for progress in heard][:2] == ["looking for the embedder", "reading files"]
        return [(hit.root, hit.passage.path) for hit in await opened.search("rate", 5)]

    assert scene.play(acts) == [(str(notes), "a.txt")]


def test_a_changed_file_is_seen_and_said_and_only_once(scene, notes):
    async def acts(scene):
        await scene.roots.open([notes], nobody)
        (notes / "c.txt").write_text("a new finding")
        opened = await scene.roots.open([notes], nobody)
        assert opened.notices == ("Index updated: 1 file changed.",)
        assert [hit.passage.path for hit in await opened.search("finding", 5)] == ["c.txt"]
        (notes / "a.txt").unlink()
        (notes / "c.txt").write_text("an old finding")
        assert (await scene.roots.open([notes], nobody)).notices == ("Index updated: 2 files changed.",)
        assert (await scene.roots.open([notes], nobody)).notices == ()
        assert len(scene.indexes.runs) == 3

    scene.play(acts)


def test_many_vectors_to_make_are_not_waited_for(scene, notes):
    for n in range(SOON):
        (notes / f"{n}.txt").write_text(f"file number {n}")
    scene.indexes.may_embed.clear()

    async def acts(scene):
        first = await scene.roots.open([notes], nobody)
        assert first.retrieval == "lexical"
        assert first.notices[-1] == f"Search by meaning covers 0 of {SOON + 2} passages of {notes} so far."
        assert not scene.activity.idle_s  # the vectors still come
        scene.indexes.may_embed.set()
        await eventually(lambda: notes in scene.indexes.vectors)
        second = await scene.roots.open([notes], nobody)
        assert (second.retrieval, second.notices) == ("hybrid", ())

    scene.play(acts)


def test_few_vectors_to_make_are_waited_for(scene, notes):
    scene.indexes.may_embed.clear()

    async def acts(scene):
        opening = asyncio.create_task(scene.roots.open([notes], nobody))
        await eventually(lambda: notes in scene.indexes.committed)
        await asyncio.sleep(0.02)
        assert not opening.done()
        scene.indexes.may_embed.set()
        assert (await opening).retrieval == "hybrid"

    scene.play(acts)


def test_vectors_that_an_end_cut_off_are_made_later(scene, notes):
    scene.indexes.committed[notes] = {file.name: file.read_text() for file in notes.glob("*.txt")}

    async def acts(scene):
        assert (await scene.roots.open([notes], nobody)).retrieval == "hybrid"
        assert len(scene.indexes.runs) == 1

    scene.play(acts)


def test_partly_made_vectors_are_said(scene, notes):
    scene.indexes.committed[notes] = {f"{n}.txt": "x" for n in range(600)}
    scene.indexes.vectors[notes] = 120
    for name, text in scene.indexes.committed[notes].items():
        (notes / name).write_text(text)
    (notes / "a.txt").unlink()
    (notes / "b.txt").unlink()
    scene.indexes.may_embed.clear()

    async def acts(scene):
        opened = await scene.roots.open([notes], nobody)
        assert opened.retrieval == "hybrid"
        assert opened.notices == (f"Search by meaning covers 120 of 600 passages of {notes} so far.",)

    scene.play(acts)


def test_without_an_embedder_it_goes_by_words_and_says_so_each_time(scene, notes):
    scene.indexes.why_not = "Search goes by words alone: offline."

    async def acts(scene):
        first = await scene.roots.open([notes], nobody)
        second = await scene.roots.open([notes], nobody)
        assert first.retrieval == second.retrieval == "lexical"
        assert first.notices[-1] == second.notices[-1] == "Search goes by words alone: offline."
        assert len(scene.indexes.runs) == 1  # no vain runs for vectors

    scene.play(acts)


def test_indexes_are_opened_again_once_there_is_an_embedder(scene, notes):
    async def acts(scene):
        scene.indexes.why_not = "not here yet"
        await scene.roots.open([notes], nobody)

        async def bring(report):
            scene.indexes.why_not = ""

        object.__setattr__(scene.roots._indexes, "prepare", bring)
        opened = await scene.roots.open([notes], nobody)
        assert opened.retrieval == "hybrid"
        assert len(scene.indexes.opened) == 2

    scene.play(acts)
    assert all(index.closed for index in scene.indexes.opened)


def test_hits_of_several_roots_are_merged_by_score(scene, notes, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "best.txt").write_text("null age rows were dropped by hand")
    (other / "worst.txt").write_text("age")

    async def acts(scene):
        opened = await scene.roots.open([notes, other], nobody)
        hits = await opened.search("null age rows by hand", 3)
        assert [hit.passage.path for hit in hits] == ["best.txt", "b.txt", "worst.txt"]
        assert [hit.root for hit in hits] == [str(other), str(notes), str(other)]
        found = await opened.retrieve("null age rows by hand", 2)
        assert (found.hits, found.retrieval) == (hits[:2], "hybrid")
        assert [info.passages for info in scene.roots.infos()] == [2, 2]

    scene.play(acts)


def test_an_empty_root_is_said(scene, tmp_path):
    root = tmp_path / "empty"
    root.mkdir()

    async def acts(scene):
        opened = await scene.roots.open([root], nobody)
        assert any(notice.startswith(f"{root} holds nothing that can be indexed.") for notice in opened.notices)
        assert await opened.search("anything", 5) == ()
        await scene.roots.open([root], nobody)
        assert len(scene.indexes.runs) == 1

    scene.play(acts)


def test_many_askers_share_one_run(scene, notes):
    scene.indexes.may_read.clear()

    async def acts(scene):
        opening = [asyncio.create_task(scene.roots.open([notes], nobody)) for _ in range(8)]
        await eventually(lambda: bool(scene.indexes.runs))
        opening[0].cancel()
        scene.indexes.may_read.set()
        results = await asyncio.gather(*opening, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert {result.retrieval for result in results[1:]} == {"hybrid"}
        assert (len(scene.indexes.runs), scene.indexes.ended_early) == (1, 0)

    scene.play(acts)


def test_two_roots_are_indexed_side_by_side(scene, notes, tmp_path):
    scene.indexes.may_read.clear()

    async def acts(scene):
        opening = [asyncio.create_task(scene.roots.open([root], nobody)) for root in (notes, tmp_path)]
        await eventually(lambda: len(scene.indexes.runs) == 2)
        scene.indexes.may_read.set()
        await asyncio.gather(*opening)

    scene.play(acts)


def test_a_failed_run_is_told_and_the_next_one_works(scene, notes):
    async def acts(scene):
        scene.indexes.fails = StorageFailed("The disk is full.")
        with pytest.raises(StorageFailed):
            await scene.roots.open([notes], nobody)
        scene.indexes.fails = None
        assert (await scene.roots.open([notes], nobody)).retrieval == "hybrid"
        assert scene.activity.idle_s >= 0

    scene.play(acts)


def test_a_full_run_while_another_reads_is_refused(scene, notes):
    scene.indexes.may_read.clear()

    async def acts(scene):
        run = await scene.roots.start(notes)
        assert await scene.roots.start(notes) is run
        with pytest.raises(Conflict):
            await scene.roots.start(notes, full=True)

    scene.play(acts)


def test_a_run_that_only_makes_vectors_gives_way(scene, notes):
    scene.indexes.may_embed.clear()

    async def acts(scene):
        first = await scene.roots.start(notes)
        await first.report()
        second = await scene.roots.start(notes)
        assert second is not first
        assert scene.indexes.ended_early == 1
        await second.report()

    scene.play(acts)


def test_closing_ends_what_runs(scene, notes):
    scene.indexes.may_read.clear()

    async def acts(scene):
        opening = asyncio.create_task(scene.roots.open([notes], nobody))
        await eventually(lambda: bool(scene.indexes.runs))
        assert scene.roots.running() == (str(notes),)
        await scene.roots.close()
        assert scene.roots.running() == ()
        (result,) = await asyncio.gather(opening, return_exceptions=True)
        assert type(result).__name__ == "Cancelled"
        assert scene.indexes.ended_early == 1

    scene.play(acts)


def test_who_waits_for_vectors_goes_on_when_their_run_is_ended(scene, notes):
    scene.indexes.may_embed.clear()

    async def acts(scene):
        opening = asyncio.create_task(scene.roots.open([notes], nobody))
        await eventually(lambda: notes in scene.indexes.committed)
        await asyncio.sleep(0.02)
        await scene.roots.start(notes)
        async with asyncio.timeout(1):
            assert (await opening).retrieval == "lexical"

    scene.play(acts)


def test_whoever_follows_the_indexes_is_told_as_soon_as_words_can_be_searched(scene, notes):
    async def acts(scene):
        assert not await scene.roots.knows(notes)
        scene.indexes.may_embed.clear()
        run = await scene.roots.start(notes)
        await run.report()
        assert scene.indexed == [notes] and scene.roots.running() == (str(notes),)
        assert await scene.roots.knows(notes)
        scene.indexes.may_embed.set()
        await run.finished()
        assert scene.indexed == [notes]

    scene.play(acts)


def test_a_run_that_fails_tells_nobody(scene, notes):
    async def acts(scene):
        scene.indexes.fails = StorageFailed("full")
        with pytest.raises(StorageFailed):
            await scene.roots.open([notes], nobody)
        assert scene.indexed == []

    scene.play(acts)
