"""What an index keeps, the same in SQLite and in PostgreSQL: one conformance test over both stores."""

import contextlib
import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import postgres_server
from fakes import HashEmbedder
from lorebook_api.errors import BadRequest, Conflict, NotFound, StorageFailed, Unusable
from lorebook_api.retrieval import Filters, Similarity
from lorebook_daemon.index import pgconnection
from lorebook_daemon.index.area import Area
from lorebook_daemon.index.embedding import embed_missing
from lorebook_daemon.index.lately import gone_passages, index_folders, passages_of, recent_passages, settle
from lorebook_daemon.index.lexical import Lexical
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.passage import Cell, Passage
from lorebook_daemon.index.pgsearch import PgWords
from lorebook_daemon.index.records import Counts, packed, passage_key
from lorebook_daemon.index.search import Searcher
from lorebook_daemon.index.similarity import compared
from lorebook_daemon.index.store import Store as SqliteStore
from lorebook_daemon.index.stores import Choice, choice, choose, create_store, erase_store, open_store
from lorebook_daemon.index.tokens import FAILED, definition_term, question_terms
from lorebook_daemon.index.update import empty, is_stale, update
from lorebook_daemon.index.walk import FileStat

STAT = FileStat("a.py", "/a.py", 1, 2, 3)
ONE = Passage("a.py", 1, 2, "def total(prices):\n    return sum(prices)", "code", "python", ("class Cart",), ("total",))
TWO = Passage("n.ipynb", 1, 1, "x = 'it''s' # \\ ä 🦓", "notebook", "python", (), ("x",), ("y", "m:z"))
CELL = replace(TWO, cell=Cell("c1", 4, "code", 7, "text", ("slow", "it's")))
THREE = Passage("b.md", 3, 9, "prices are kept in cents, prices drift", "doc")


@contextlib.contextmanager
def server(*, vectors):
    folder = postgres_server.find_server(vectors=vectors)
    if isinstance(folder, str):
        pytest.skip(folder)
    with tempfile.TemporaryDirectory(prefix="pg") as short:  # a socket's path has some hundred characters at the most
        Path(short).chmod(0o755)
        with postgres_server.running(folder, Path(short)) as address:
            yield address


@pytest.fixture(scope="session")
def url():
    with server(vectors=True) as address:
        yield address


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request):
    return request.param


only_postgres = pytest.mark.parametrize("kind", ["postgres"])


@pytest.fixture
def folder(kind, request, tmp_path):
    cache = tmp_path / "cache"
    if kind == "postgres":
        choose(cache, Choice("postgres", request.getfixturevalue("url")))
    place = cache / "index" / f"root-{tmp_path.name}"
    place.mkdir(parents=True)
    yield place
    with contextlib.suppress(NotFound):
        erase_store(place)


@pytest.fixture
def store(folder):
    with contextlib.closing(create_store(folder)) as made:
        yield made


def put(store, passages, path=None, mtime=1):
    path = path or passages[0].path
    with store.transaction():
        stat = FileStat(path, f"/{path}", mtime, 2, 3)
        return list(store.put_file(stat, path.encode(), None, [packed(one) for one in passages]).ids)


def silent(progress):
    pass


def bring_up(root, folder, **more):
    return update(root, folder, max_file_mb=20, report=silent, **more)


def test_passages_come_back_as_they_were(store):
    ids = [*put(store, [ONE]), *put(store, [CELL, replace(CELL, cell=None)]), *put(store, [THREE])]
    assert store.passages(ids[::-1]) == dict(zip(ids[::-1], [THREE, replace(CELL, cell=None), CELL, ONE], strict=True))
    assert list(store.passages(ids[::-1])) == ids[::-1]
    assert list(store.passages_after(ids[1])) == [(ids[2], replace(CELL, cell=None)), (ids[3], THREE)]
    assert store.passages_of("n.ipynb") == [CELL, replace(CELL, cell=None)]
    assert store.in_files(["a.py", "nowhere", "b.md"]) == {ids[0]: ONE, ids[3]: THREE}
    assert store.passages([999]) == {}


def test_files_within_an_area_are_those_that_it_covers(store):
    every = [
        "a.py",
        "b/c.py",
        "b/c.py.md",
        "b/d/e.md",
        "b0/f.py",
        "b-/g.py",
        "ä/h.py",
        "\U0010fffd/i.py",
        "b'\"%_/j.py",
    ]
    for path in every:
        put(store, [replace(ONE, path=path)])
    for happened in (
        ["x.md"],
        ["b"],
        ["b/c.py"],
        ["b/d/e.md", "a.py"],
        ["b/.gitignore"],
        [".gitignore"],
        ["ä"],
        [every[-1]],
    ):
        area = Area.of(happened)
        assert set(store.files(area)) == {path for path in every if area.covers(path)}, happened
    assert store.files(Area.of(["b/x"])) == {path: store.files()[path] for path in ("b/c.py", "b/c.py.md")}


def test_what_there_is_is_counted(store):
    ids = [*put(store, [ONE, THREE], "a.py"), *put(store, [THREE])]
    with store.transaction():
        store.put_file(FileStat("c.bin", "/c.bin", 5, 6, 7), b"", "binary", [])
        store.take_embedder("one")
        store.put_vectors([passage_key(THREE)], np.ones((1, 384), np.float32))
    assert (store.count(), store.unread()) == (Counts(2, 3, 2), {"c.bin": "binary"})
    with store.transaction():
        assert store.remove_file("a.py") == ids[:2]
        assert store.remove_file("a.py") == store.remove_file("c.bin") == []
    assert (store.count(), store.unread()) == (Counts(1, 1, 1), {})


def test_files_with_their_stamps(store):
    put(store, [ONE])
    with store.transaction():
        store.put_file(FileStat("c.bin", "/c.bin", 5, 6, 7), b"", "binary", [])
        store.touch(FileStat("a.py", "/a.py", 2**60, 8, 9))
    found = store.files()
    assert found["a.py"].stamp == (2**60, 8, 9)
    assert (found["c.bin"].why, found["c.bin"].sha256, found["a.py"].sha256) == ("binary", b"", b"a.py")


def test_an_id_is_never_given_twice(store):
    first = put(store, [ONE, THREE], "a.py")
    second = put(store, [ONE], "a.py")
    assert store.ids_where(None, (), (), ()) == second
    assert not set(first) & set(second)
    assert store.last_id() == second[-1]
    with store.transaction():
        store.remove_file("a.py")
        store.remove_file("nowhere")
    assert store.ids_where(None, (), (), ()) == []
    assert put(store, [ONE])[0] > second[-1]


def test_what_was_not_committed_is_undone(store):
    put(store, [ONE])
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.put_file(FileStat("b.md", "/b.md", 1, 1, 1), b"", None, [packed(THREE)])
        raise ZeroDivisionError
    assert set(store.files()) == {"a.py"}


def test_what_went_is_told_until_it_is_settled(store):
    put(store, [ONE, THREE], "a.py")
    put(store, [ONE], "a.py")
    gone = store.gone(5)
    assert [one.text for one in gone.passages] == [THREE.text]
    with store.transaction():
        store.settle(gone)
    assert store.gone(5) is None
    with store.transaction():
        store.lose_track()
    assert store.gone(5).everything
    store.empty_log()


def test_filters(store):
    a, n, b = put(store, [ONE])[0], put(store, [CELL])[0], put(store, [THREE])[0]
    files = {path: row.id for path, row in store.files().items()}
    assert store.ids_where(None, (), (), ()) == [a, n, b]
    assert store.ids_where([files["b.md"], files["a.py"]], (), (), ()) == [a, b]
    assert store.ids_where(None, ("notebook", "doc"), (), ()) == [n, b]
    assert store.ids_where(None, (), ("python",), ("slow", "other")) == [n]
    assert store.ids_where(None, (), (), ("it's",)) == [n]
    assert store.ids_where([], (), (), ()) == []


def test_recent_files_first(store):
    put(store, [ONE], mtime=10)
    put(store, [THREE], mtime=20)
    put(store, [CELL], mtime=5)
    assert store.recent(6, 5) == [(20, THREE), (10, ONE)]
    assert store.recent(6, 1) == [(20, THREE)]


def test_vectors_by_what_was_embedded(store):
    ids = [put(store, [ONE])[0], *put(store, [THREE, replace(THREE, start_line=4)])]
    keys = [passage_key(ONE), passage_key(THREE)]
    assert store.unembedded() == {keys[0]: ids[:1], keys[1]: ids[1:]}
    matrix = np.eye(2, 8, dtype=np.float32)
    with store.transaction():
        store.take_embedder("one")
        store.put_vectors(keys[1:], matrix[1:])
        store.share_vectors([(keys[1], b"other"), (b"nowhere", b"more")])
    assert store.embedded_ids() == set(ids[1:])
    assert list(store.unembedded()) == keys[:1]
    ((found, rows),) = store.vectors(ids)
    assert found == ids[1:]
    assert np.allclose(rows, [matrix[1]] * 2)
    with store.transaction():
        store.take_embedder("one")
    assert store.embedded_ids() == set(ids[1:])
    with store.transaction():
        store.take_embedder("another")
    assert store.embedded_ids() == set()


def test_format_and_description(store):
    assert store.meta.generation == 0
    with store.transaction():
        store.meta = replace(store.meta, generation=3, root="/r", format=1)
    assert store.found_format() == 1
    with store.transaction():
        store.clear()
    assert (store.meta.generation, store.meta.root) == (4, "")
    assert store.gone(1).everything


@only_postgres  # SQLite's files have a lock of their own: see test_update
def test_one_writes_at_a_time(folder, store):
    with contextlib.closing(open_store(folder)) as other, store.transaction():
        with pytest.raises(Conflict), other.transaction():
            pass
        assert other.files() == {}


def test_readers_see_the_last_commit(folder, store):
    put(store, [ONE])
    with contextlib.closing(open_store(folder)) as reader, store.transaction():
        store.remove_file("a.py")
        with reader.transaction(write=False):
            assert reader.passages_of("a.py") == [ONE]
    with contextlib.closing(open_store(folder)) as reader:
        assert reader.passages_of("a.py") == []


def test_there_is_no_index_yet(folder):
    with pytest.raises(NotFound):
        open_store(folder)
    assert passages_of(folder, "a.py") == []
    assert recent_passages(folder, 0, 3) == []


def test_an_index_is_made_searched_and_follows(root, folder):
    embedder = HashEmbedder()
    assert is_stale(root, folder)
    report = bring_up(root, folder)
    assert (report.files, report.added) == (2, 2)
    assert is_stale(root, folder) == 0
    with contextlib.closing(OpenIndex.open(folder, embedder)) as index:
        assert index.retrieval == "lexical"
        assert index.search("alpha", 2)[0].passage.path == "a.py"
        assert embed_missing(root, folder, embedder, silent) == 2
        assert index.search("some words on beta", 2)[0].passage.path == "b.md"
        assert index.retrieval == "hybrid"
        assert {hit.passage.path for hit in index.search("beta alpha", 5, Filters(kinds=("doc",)))} == {"b.md"}
        assert {hit.passage.path for hit in index.search("beta alpha", 5, Filters(paths=("*.py",)))} == {"a.py"}
        (root / "b.md").rename(root / "c.md")
        (root / "a.py").unlink()
        report = bring_up(root, folder)
        assert [(change.path, change.how) for change in report.changes] == [("a.py", "removed"), ("c.md", "moved")]
        assert embed_missing(root, folder, embedder, silent) == 1
        assert {hit.passage.path for hit in index.search("alpha words", 5)} == {"c.md"}
    assert {one.path for one in gone_passages(folder).passages} == {"a.py", "b.md"}
    assert settle(folder, gone_passages(folder))
    assert gone_passages(folder) is None
    assert index_folders(folder.parent.parent) == [folder]
    assert empty(root, folder)
    assert passages_of(folder, "c.md") == []


def test_another_similarity_makes_the_graph_anew_and_embeds_nothing(root, folder):
    bring_up(root, folder)
    embedder = HashEmbedder()
    assert embed_missing(root, folder, embedder, silent) == 2
    address = choice(folder.parent)
    choose(folder.parent.parent, replace(address, similarity="l2"))
    calm = NoEmbedder()
    with contextlib.closing(OpenIndex.open(folder, calm)) as index:
        assert (index.retrieval, index.info().vectors) == ("lexical", 0), "the old graph is for another similarity"
        assert embed_missing(root, folder, calm, silent) == 2
        index.refresh()
        assert (index.retrieval, index.info().vectors) == ("hybrid", 2)
    with contextlib.closing(open_store(folder)) as store:
        assert store.meta.similarity == "l2"
        row = HashEmbedder().embed(["some words on beta"])[0]
        near = dict(zip(*(found.tolist() for found in store.nearest().nearest(row, 2)), strict=True))
        for ids, matrix in store.vectors(list(near)):
            assert near == pytest.approx(dict(zip(ids, (matrix @ row).tolist(), strict=True)), abs=0.01)


@pytest.mark.parametrize("similarity", get_args(Similarity))
def test_the_nearest_are_those_of_brute_force(folder, similarity):
    choose(folder.parent.parent, replace(choice(folder.parent), similarity=similarity))
    random = np.random.default_rng(4)
    matrix = (random.normal(size=(40, 8)) * random.uniform(0.5, 4, (40, 1))).astype(np.float16).astype(np.float32)
    asked = matrix[7] + np.float32(0.3)
    passages = [Passage(f"f{n}.md", 1, 1, f"text {n}", "doc") for n in range(40)]
    exact = compared(similarity, asked, matrix)
    with contextlib.closing(create_store(folder)) as store:
        ids = [put(store, [one])[0] for one in passages]
        with store.transaction():
            store.put_vectors([passage_key(one) for one in passages], matrix)
        graph = store.graph(8)
        for keys, rows in store.vectors(ids):
            graph.add(keys, rows)
        store.save_graph(graph, 1)
        few = [ids[place] for place in np.argsort(-exact)[[0, 4, 39]].tolist()]
        for among in (None, few):
            found, near = graph.nearest(asked, 5, among)
            wanted = np.argsort(-exact)[[0, 1, 2, 3, 4] if among is None else [0, 4, 39]]
            assert found.tolist() == [ids[place] for place in wanted.tolist()]
            assert near == pytest.approx(exact[wanted], abs=1e-3)


class NoEmbedder(HashEmbedder):
    """Refuses to embed: all vectors that are wanted are there."""

    def embed(self, texts):
        raise AssertionError(f"embedded anew: {texts}")


FAILING = Passage(
    "n.ipynb", 1, 2, "frame['x']\nKeyError: 'x'", "notebook", "python", cell=Cell("c", 1, "code", 2, "error")
)


def test_failed_cells_and_names_are_found_by_their_marks(store):
    a, n, b = put(store, [ONE])[0], put(store, [CELL, FAILING]), put(store, [THREE])
    words = store.words() if not isinstance(store, SqliteStore) else Lexical.build(store.passages_after(0))
    assert words.top([FAILED], 5)[0].tolist() == n[1:]
    assert words.top([definition_term("total")], 5)[0].tolist() == [a]
    found = Searcher(words, None, None, store.passages).search("what went wrong?", 5)
    assert [hit.id for hit in found] == n[1:]
    assert b[0] not in [hit.id for hit in found]


TEXTS = [f"{'price ' * (n % 5)}{'tax ' * (n % 3)}{'its a row ' * (n % 7)} word{n}" for n in range(60)]


@pytest.fixture
def both(store):
    """Return PostgreSQL's words, and what BM25 says of the same passages."""
    passages = [Passage(f"f{n}.md", 1, 1, text, "doc") for n, text in enumerate(TEXTS)]
    ids = [put(store, [one])[0] for one in passages]
    with store.transaction(write=False):
        yield store.words(), Lexical.build(zip(ids, passages, strict=True))


@only_postgres
@pytest.mark.parametrize(
    "question", ["price", "price of tax", "word7", "a row it's word9 price", "=price \\ ' & | !", "zebra"]
)
def test_postgresql_scores_as_bm25_does(both, question):
    words, exact = both
    terms = question_terms(question)
    ids, scores = words.top(terms, 60)
    wanted, others = exact.top(terms, 60)
    assert len(ids) == len(wanted)
    assert np.allclose(scores, others, rtol=0.02)
    assert words.full_score(terms) == pytest.approx(exact.full_score(terms))


@only_postgres
def test_postgresql_counts_terms_as_files_come_and_go(store):
    put(store, [ONE, THREE], "a.py")
    put(store, [THREE], "b.md")
    put(store, [ONE], "a.py")
    with store.transaction():
        store.remove_file("b.md")
    terms = question_terms("prices cents total")
    assert store.words().full_score(terms) == pytest.approx(Lexical.build([(1, ONE)]).full_score(terms))


@only_postgres
def test_only_what_may_come(store):
    ids = [*put(store, [ONE]), *put(store, [THREE])]
    words = store.words()
    assert words.top(["price"], 5, words.of_kind("doc"))[0].tolist() == ids[1:]
    with store.transaction():
        store.put_vectors([passage_key(ONE), passage_key(THREE)], np.eye(2, 8, dtype=np.float32))
    graph = store.graph(8)
    assert store.save_graph(graph, 1).size == 8
    assert graph.nearest(np.eye(1, 8, dtype=np.float32)[0], 2)[0].tolist() == ids
    assert graph.nearest(np.eye(1, 8, dtype=np.float32)[0], 2, [ids[1]])[0].tolist() == ids[1:]


def test_a_server_that_is_away_is_said(tmp_path):
    choose(tmp_path, Choice("postgres", f"postgresql://ann:secret@/none?host={tmp_path}"))
    with pytest.raises(StorageFailed, match="cannot be used") as told:
        create_store(tmp_path / "index" / "root-1")
    assert "secret" not in str(told.value)


def test_without_pgvector_it_refuses(tmp_path):
    with server(vectors=False) as address:
        choose(tmp_path, Choice("postgres", address))
        with pytest.raises(Unusable, match="lacks pgvector"):
            create_store(tmp_path / "index" / "root-1")


def test_the_choice_is_for_this_user_alone(tmp_path):
    choose(tmp_path, Choice("postgres", "postgresql://ann@localhost/lore"))
    file = tmp_path / "index" / "store.json"
    assert choice(tmp_path / "index") == Choice("postgres", "postgresql://ann@localhost/lore")
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    choose(tmp_path, Choice())
    assert choice(tmp_path / "index") == Choice()
    with pytest.raises(BadRequest):
        choose(tmp_path, Choice("postgres"))


def test_words_of_a_schema_that_went(url, tmp_path):
    db = pgconnection.Connection(url, "lorebook_gone")
    with contextlib.closing(db), pytest.raises(Unusable, match="damaged"):
        PgWords(db)
