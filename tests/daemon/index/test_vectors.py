from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lorebook_api.errors import Unusable
from lorebook_daemon.index import vectors as module
from lorebook_daemon.index.storage import is_whole
from lorebook_daemon.index.vectors import Vectors

DIMENSIONS = 8


def unit(n, seed=0):
    matrix = np.random.default_rng(seed).normal(size=(n, DIMENSIONS)).astype(np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def filled(n):
    vectors = Vectors.empty(DIMENSIONS)
    vectors.add(range(n), unit(n))
    return vectors


def test_nearest_are_those_of_the_exact_search():
    ids, similarities = filled(300).nearest(unit(300)[7], 5)
    exact = unit(300) @ unit(300)[7]
    assert ids.tolist() == np.argsort(-exact)[:5].tolist()
    np.testing.assert_allclose(similarities, np.sort(exact)[::-1][:5], atol=1e-5)


def test_graph_finds_nearly_what_the_exact_search_finds(monkeypatch):
    vectors = filled(2000)
    exact = [set(vectors.nearest(row, 10)[0].tolist()) for row in unit(50, seed=1)]
    monkeypatch.setattr(module, "_EXACT_BELOW", 0)
    graph = [set(vectors.nearest(row, 10)[0].tolist()) for row in unit(50, seed=1)]
    assert sum(len(a & b) for a, b in zip(exact, graph, strict=True)) / 500 > 0.95


@pytest.mark.parametrize("exact_below", [0, 10_000])
def test_more_asked_than_there_are(monkeypatch, exact_below):
    monkeypatch.setattr(module, "_EXACT_BELOW", exact_below)
    vectors = filled(5)
    vectors.remove([0, 3])
    ids, similarities = vectors.nearest(unit(5)[3], 50)
    assert sorted(ids.tolist()) == [1, 2, 4]
    assert similarities.tolist() == sorted(similarities.tolist(), reverse=True)


def test_empty_finds_nothing():
    ids, similarities = Vectors.empty(DIMENSIONS).nearest(unit(1)[0], 3)
    assert len(ids) == len(similarities) == 0


@pytest.mark.parametrize("exact_below", [0, 10_000])
def test_among_limits_what_is_found_and_may_name_what_has_no_vector(monkeypatch, exact_below):
    monkeypatch.setattr(module, "_EXACT_BELOW", exact_below)
    ids, _ = filled(100).nearest(unit(100)[50], 10, among=[3, 4, 999])
    assert sorted(ids.tolist()) == [3, 4]


def test_grows_beyond_its_first_room():
    vectors = filled(module._ROOM + 10)
    assert len(vectors) == module._ROOM + 10
    assert vectors.nearest(unit(module._ROOM + 10)[-1], 1)[0].tolist() == [module._ROOM + 9]


def test_an_id_added_again_has_the_new_vector():
    vectors = filled(20)
    vectors.add([4], -unit(20)[4:5])
    assert len(vectors) == 20
    assert vectors.nearest(-unit(20)[4], 1)[0].tolist() == [4]


def test_saved_and_loaded_knows_what_was_removed(tmp_path):
    vectors = filled(30)
    vectors.remove([1, 2])
    saved = vectors.save(tmp_path, "v.graph")
    assert is_whole(tmp_path, saved)
    loaded = Vectors.load(tmp_path / "v.graph")
    assert loaded.ids.tolist() == vectors.ids.tolist()
    loaded.add([2, 77], unit(2, seed=5))
    assert loaded.nearest(unit(2, seed=5)[1], 1)[0].tolist() == [77]
    assert len(loaded) == 30
    assert sorted(file.name for file in tmp_path.iterdir() if file.name != "home") == ["v.graph", "v.graph.beside"]


@pytest.mark.parametrize("part", ["v.graph", "v.graph.beside"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:60], lambda data: data[:-1], lambda data: b"x" * len(data), None],
    ids=["empty", "cut", "one byte short", "garbled", "missing"],
)
def test_damaged_file_is_unusable(tmp_path, part, damage):
    filled(100).save(tmp_path, "v.graph")
    file = tmp_path / part
    file.unlink() if damage is None else file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(Unusable, match="holds no vectors"):
        Vectors.load(tmp_path / "v.graph")


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=40)
def test_one_changed_byte_is_noticed(tmp_path_factory, place, change):
    folder = tmp_path_factory.mktemp("vectors")
    filled(30).save(folder, "v.graph")
    data = bytearray((folder / "v.graph").read_bytes())
    data[place % len(data)] ^= change
    (folder / "v.graph").write_bytes(data)
    with pytest.raises(Unusable):
        Vectors.load(folder / "v.graph")


def test_few_that_may_come_among_many_are_all_found():
    vectors, matrix = Vectors.empty(DIMENSIONS), unit(2100, 1)
    vectors.add(range(2100), matrix)
    among = [3, 77, 1999, 5000]
    ids, similarities = vectors.nearest(matrix[77], 50, among)
    assert ids[0] == 77 and sorted(ids.tolist()) == [3, 77, 1999]
    assert similarities.tolist() == pytest.approx((matrix[ids] @ matrix[77]).tolist(), abs=1e-5)
    assert [len(found) for found in vectors.nearest(matrix[0], 50, [])] == [0, 0]


class AddedAndRemoved(RuleBasedStateMachine):
    """Whatever is added and removed, in any order, each vector is found under its own id and no other is."""

    def __init__(self):
        super().__init__()
        self.vectors = Vectors.empty(DIMENSIONS)
        self.rows = {}
        self.seed = 0

    @rule(ids=st.sets(st.integers(0, 12), min_size=1, max_size=5))
    def add(self, ids):
        self.seed += 1
        ids = sorted(ids)
        matrix = unit(len(ids), self.seed)
        self.vectors.add(ids, matrix)
        self.rows.update(zip(ids, matrix, strict=True))

    @rule(ids=st.sets(st.integers(0, 12), max_size=5))
    def remove(self, ids):
        self.vectors.remove(ids)
        for key in ids:
            self.rows.pop(key, None)

    @invariant()
    def each_is_found(self):
        assert self.vectors.ids.tolist() == sorted(self.rows)
        assert len(self.vectors) == len(self.rows)
        for key, row in self.rows.items():
            ids, similarities = self.vectors.nearest(row, 50)
            assert sorted(ids.tolist()) == sorted(self.rows)
            assert ids[0] == key
            assert similarities[0] == pytest.approx(1.0, abs=1e-5)


TestAddedAndRemoved = AddedAndRemoved.TestCase
TestAddedAndRemoved.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
