"""Stage two: every passage gets a vector, recent files first, and none is made twice."""

import contextlib
import os

import numpy as np
import pytest

from fakes import HashEmbedder
from lorebook_api.errors import Conflict, NotFound, Unusable
from lorebook_daemon.index import embedding
from lorebook_daemon.index.embedding import embed_missing
from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.storage import DATABASE, lock
from lorebook_daemon.index.store import Store
from lorebook_daemon.index.update import update


class Counting(HashEmbedder):
    """Remembers what it was given."""

    def __init__(self, identity="counting"):
        super().__init__(16)
        self.identity = identity
        self.batches = []

    @property
    def texts(self):
        return [text for batch in self.batches for text in batch]

    def embed(self, texts):
        self.batches.append(list(texts))
        return super().embed(texts)


def silent(progress):
    pass


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "root"
    place.mkdir()
    for file in range(40):
        (place / f"m{file}.md").write_text(f"# Note {file}\n\nOn the matter of word{file}.\n")
        os.utime(place / f"m{file}.md", (1_000_000 + file, 1_000_000 + file))
    return place


@pytest.fixture
def folder(root, tmp_path):
    update(root, tmp_path / "index", max_file_mb=20, report=silent)
    return tmp_path / "index"


def again(root, folder, embedder):
    update(root, folder, max_file_mb=20, report=silent)
    embedder.batches.clear()
    return embed_missing(root, folder, embedder, silent)


def test_every_passage_gets_a_vector_once(root, folder):
    embedder = Counting()
    assert embed_missing(root, folder, embedder, silent) == 40
    assert len(embedder.texts) == 40
    assert max(len(batch) for batch in embedder.batches) <= 16
    assert again(root, folder, embedder) == 40
    assert embedder.batches == []


def test_recent_files_come_first(root, folder, monkeypatch):
    monkeypatch.setattr(embedding, "_WINDOW", 8)
    embedder = Counting()
    embed_missing(root, folder, embedder, silent)
    order = [int(text.split("\n")[0].removeprefix("m").removesuffix(".md")) for text in embedder.texts]
    windows = [sorted(order[start : start + 8], reverse=True) for start in range(0, 40, 8)]
    assert [each for window in windows for each in window] == list(range(39, -1, -1))


def test_only_what_changed_is_embedded_and_what_went_is_not_found(root, folder):
    embedder = Counting()
    embed_missing(root, folder, embedder, silent)
    (root / "m3.md").write_text("# Other\n\nentirely new\n")
    (root / "m4.md").unlink()
    (root / "sub").mkdir()
    (root / "m5.md").rename(root / "sub" / "m5.md")
    assert again(root, folder, embedder) == 39
    assert len(embedder.texts) == 1
    opened = OpenIndex.open(folder, embedder)
    paths = [hit.passage.path for hit in opened.search("word5", 50)]
    assert paths[0] == "sub/m5.md"
    assert "m4.md" not in paths


def test_equal_passages_share_a_vector(root, folder):
    for place in ("x", "y"):
        (root / place).mkdir()
        (root / place / "same.md").write_text("# Twin\n\ntwins\n")
    embedder = Counting()
    embed_missing(root, folder, embedder, silent)
    assert again(root, folder, embedder) == 42
    assert len(embedder.texts) == 1


def test_what_was_committed_before_an_end_is_not_made_again(root, folder):
    embedder = Counting()

    def give_up(progress):
        if progress.done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_missing(root, folder, embedder, give_up)
    assert OpenIndex.open(folder, embedder).retrieval == "lexical"
    embedder.batches.clear()
    assert embed_missing(root, folder, embedder, silent) == 40
    assert len(embedder.texts) == 8


def test_neighbours_are_saved_on_the_way(root, folder, monkeypatch):
    monkeypatch.setattr(embedding, "_SAVE_AFTER", 10)
    seen = []

    def look(progress):
        with contextlib.closing(OpenIndex.open(folder, Counting())) as opened:
            seen.append(opened.info().vectors)

    embed_missing(root, folder, Counting(), look)
    assert seen == [0, 16, 32]


def test_another_embedders_vectors_are_dropped(root, folder):
    embed_missing(root, folder, Counting("one"), silent)
    assert OpenIndex.open(folder, Counting("one")).retrieval == "hybrid"
    assert OpenIndex.open(folder, Counting("two")).retrieval == "lexical"
    other = Counting("two")
    assert embed_missing(root, folder, other, silent) == 40
    assert len(other.texts) == 40
    assert OpenIndex.open(folder, Counting("one")).info().vectors == 0
    assert OpenIndex.open(folder, other).info().vectors == 40


@pytest.mark.parametrize("harm", ["missing", "garbled"])
def test_harmed_neighbours_are_made_from_the_vectors_that_are_there(root, folder, harm):
    embedder = Counting()
    embed_missing(root, folder, embedder, silent)
    (file,) = folder.glob("vectors-*.graph")
    file.unlink() if harm == "missing" else file.write_bytes(b"x" * file.stat().st_size)
    opened = OpenIndex.open(folder, embedder)
    assert (opened.retrieval, opened.info().vectors) == ("lexical", 0)
    assert again(root, folder, embedder) == 40
    assert embedder.batches == []
    opened.refresh()
    assert (opened.retrieval, opened.info().vectors) == ("hybrid", 40)


def test_vectors_that_nothing_uses_are_kept_for_a_while_and_then_dropped(root, folder, monkeypatch):
    monkeypatch.setattr("lorebook_daemon.index.vectortable.SPARE_KEYS", 0)
    embedder = Counting()
    embed_missing(root, folder, embedder, silent)
    saved = {file: file.read_text() for file in root.iterdir()}
    for file in list(saved)[:15]:
        file.unlink()
    again(root, folder, embedder)
    for file, text in saved.items():
        file.write_text(text)
    assert again(root, folder, embedder) == 40
    assert embedder.texts == []
    for file in list(saved)[:30]:
        file.unlink()
    again(root, folder, embedder)
    for file, text in saved.items():
        file.write_text(text)
    again(root, folder, embedder)
    assert len(embedder.texts) == 30


def test_half_precision_moves_no_cosine_by_a_thousandth(root, folder):
    embedder = Counting()
    embed_missing(root, folder, embedder, silent)
    with contextlib.closing(Store.open(folder)) as store:
        ((ids, matrix),) = store.vectors(store.ids_where(None, (), (), ()))
        passages = store.passages(ids)
    exact = embedder.embed([embedding.passage_text(passages[key]) for key in ids])
    assert np.abs(matrix @ matrix.T - exact @ exact.T).max() < 1e-3


def test_an_index_that_is_not_there_held_or_damaged_is_told_apart(root, folder, tmp_path):
    with pytest.raises(NotFound):
        embed_missing(root, tmp_path / "none", Counting(), silent)
    with lock(folder, root), pytest.raises(Conflict):
        embed_missing(root, folder, Counting(), silent)
    (folder / DATABASE).write_bytes(b"no database" * 500)
    with pytest.raises(Unusable, match="damaged"):
        embed_missing(root, folder, Counting(), silent)


def test_an_empty_index_needs_no_vectors(tmp_path):
    (tmp_path / "empty").mkdir()
    update(tmp_path / "empty", tmp_path / "index", max_file_mb=20, report=silent)
    assert embed_missing(tmp_path / "empty", tmp_path / "index", Counting(), silent) == 0
