"""An open index: searches what was committed last, from any thread, whatever indexers do meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes import HashEmbedder
from lorebook_api.errors import NotFound, Unusable
from lorebook_api.retrieval import Filters
from lorebook_daemon.index.embedding import embed_missing
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.storage import DATABASE
from lorebook_daemon.index.update import update


def silent(progress):
    pass


def bring_up(root, folder):
    return update(root, folder, max_file_mb=20, report=silent)


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "root"
    place.mkdir()
    (place / "a.py").write_text("def alpha():\n    return 1\n")
    (place / "b.md").write_text("# Beta\n\nSome words on alpha and beta.\n")
    return place


@pytest.fixture
def folder(root, tmp_path):
    bring_up(root, tmp_path / "index")
    return tmp_path / "index"


def test_what_was_never_indexed_is_not_found(tmp_path):
    with pytest.raises(NotFound) as caught:
        OpenIndex.open(tmp_path / "nowhere", None)
    assert "lorebook index" in caught.value.hint


def test_a_search_finds_and_keeps_to_the_kind(folder):
    opened = OpenIndex.open(folder, None)
    assert [hit.passage.path for hit in opened.search("alpha", 5)] == ["a.py", "b.md"]
    assert [hit.passage.path for hit in opened.search("alpha", 5, Filters(kinds=("doc",)))] == ["b.md"]
    assert opened.search("alpha", 1)[0].passage.text == "def alpha():\n    return 1"


def test_info_says_what_it_holds(root, folder):
    info = OpenIndex.open(folder, None).info()
    assert (info.root, info.files, info.vectors) == (str(root.resolve()), 2, 0)
    assert info.passages >= 2
    assert info.updated.startswith("20")


def test_an_open_index_follows_both_stages(root, folder):
    embedder = HashEmbedder(16)
    opened = OpenIndex.open(folder, embedder)
    assert opened.retrieval == "lexical"
    embed_missing(root, folder, embedder, silent)
    opened.refresh()
    assert opened.retrieval == "hybrid"
    assert opened.info().vectors == opened.info().passages
    (root / "c.py").write_text("def gamma():\n    return 3\n")
    bring_up(root, folder)
    assert opened.search("gamma", 1)[0].passage.path == "c.py"
    assert opened.retrieval == "hybrid", "the others keep their vectors"
    assert opened.info().vectors == opened.info().passages - 1


def test_what_did_not_move_is_not_loaded_again(root, folder, monkeypatch):
    opened = OpenIndex.open(folder, None)
    bring_up(root, folder)
    monkeypatch.setattr("lorebook_daemon.index.lexical.Lexical.load", None)
    assert opened.search("alpha", 1)


def test_a_database_that_was_replaced_is_opened_again(root, folder):
    opened = OpenIndex.open(folder, None)
    (folder / DATABASE).write_bytes(b"no database" * 500)
    with pytest.raises(Unusable, match="damaged"):
        OpenIndex.open(folder, None)
    (root / "a.py").write_text("def anew():\n    return 1\n")
    assert bring_up(root, folder).notices
    assert opened.search("anew", 1)[0].passage.path == "a.py"


def test_an_index_that_was_deleted_is_not_found(folder):
    opened = OpenIndex.open(folder, None)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(NotFound):
        opened.search("alpha", 1)


def test_threads_search_while_an_indexer_works(root, folder):
    embedder = HashEmbedder(16)
    opened = OpenIndex.open(folder, embedder)
    done = threading.Event()
    failed = []

    def look():
        while not done.is_set():
            hits = opened.search("alpha", 5)
            if not hits or hits[0].passage.path not in ("a.py", "b.md"):
                failed.append(hits)

    with ThreadPoolExecutor(3) as pool:
        searches = [pool.submit(look) for _ in range(3)]
        try:
            for turn in range(8):
                (root / "c.py").write_text(f"def turn_{turn}():\n    return {turn}\n")
                bring_up(root, folder)
                embed_missing(root, folder, embedder, silent)
        finally:
            done.set()
        for search in searches:
            search.result()
    assert failed == []
    assert opened.search("turn_7", 1)[0].passage.path == "c.py"
