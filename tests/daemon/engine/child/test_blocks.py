from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.engine.child.blocks import Blocks, block_key
from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks, passage_digest

tokens = st.lists(st.integers(0, 5), max_size=4)
adapters = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.5, 1.0])), max_size=2).map(tuple)
parts = st.tuples(adapters, tokens, tokens, st.text("ab\ud800", max_size=2), st.sampled_from(["", "f16", "q8_0"]))


def key(n: int, context: int = 0) -> BlockKey:
    return BlockKey(bytes([context]) * 20, bytes([n]) * 16)


@pytest.fixture
def disk(tmp_path: Path):
    blocks = DiskBlocks(tmp_path / "kv" / "model", 10**6)
    yield blocks
    blocks.close()


@given(parts, parts)
def test_keys_are_equal_only_for_equal_parts(one: tuple, other: tuple) -> None:
    assert (block_key(*one) == block_key(*other)) == (one == other)


@given(parts, parts)
def test_a_passage_is_found_by_its_text_whatever_else_its_kv_depends_on(one: tuple, other: tuple) -> None:
    assert (block_key(*one).passage == block_key(*other).passage) == (one[3] == other[3])
    assert block_key(*one).passage == passage_digest(one[3])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=40), st.integers(0, 60))
def test_the_store_stays_within_its_bound_and_keeps_the_latest(puts: list[tuple[int, int]], limit: int) -> None:
    blocks, latest = Blocks(limit), {}
    for n, size in puts:
        blocks.put(key(n), b"x" * size)
        latest[key(n)] = size
        kept = {k: v for k in latest if (v := blocks.get(k)) is not None}
        assert sum(map(len, kept.values())) == blocks.size <= limit
        assert all(len(value) == latest[k] for k, value in kept.items())
        assert size > limit or key(n) in kept


def test_the_least_recently_used_goes_first() -> None:
    blocks = Blocks(30)
    for n in (1, 2, 3):
        blocks.put(key(n), b"x" * 10)
    blocks.get(key(1))
    blocks.put(key(4), b"x" * 10)
    assert [n for n in (1, 2, 3, 4) if blocks.has(key(n))] == [1, 3, 4]


def test_one_too_big_for_the_memory_pushes_no_other_out() -> None:
    blocks = Blocks(30)
    blocks.put(key(1), b"x" * 30)
    blocks.put(key(2), b"x" * 31)
    assert blocks.has(key(1)) and not blocks.has(key(2))


def test_what_memory_has_no_room_for_comes_back_from_disk(disk: DiskBlocks) -> None:
    blocks = Blocks(10, disk)
    for n in (1, 2):
        blocks.put(key(n), bytes([n]) * 10)
    assert disk.flush()
    assert blocks.has(key(1)) and blocks.get(key(1)) == bytes([1]) * 10
    disk.path(key(1)).unlink()
    assert blocks.get(key(1)) == bytes([1]) * 10, "and is in memory again"
    assert blocks.size == 10


def test_what_is_used_in_memory_is_not_the_oldest_on_disk(disk: DiskBlocks) -> None:
    blocks = Blocks(100, disk)
    blocks.put(key(1), b"x")
    assert disk.flush()
    before = disk.path(key(1)).stat().st_mtime_ns
    blocks.get(key(1))
    assert disk.path(key(1)).stat().st_mtime_ns > before


def test_dropping_takes_every_context_of_a_passage_wherever_it_is_kept(disk: DiskBlocks, tmp_path: Path) -> None:
    blocks, other_model = Blocks(20, disk), DiskBlocks(tmp_path / "kv" / "other", 10**6)
    for n, context in ((1, 0), (1, 1), (2, 0)):  # the first is on disk alone by then
        blocks.put(key(n, context), b"x" * 10)
    other_model.put(key(1), b"y")
    assert disk.flush() and other_model.flush()
    assert blocks.drop([key(1).passage]) == 3
    assert not blocks.has(key(1)) and not blocks.has(key(1, 1)) and not other_model.has(key(1))
    assert blocks.get(key(2)) == b"x" * 10 and blocks.size == 10
    assert blocks.drop([key(1).passage]) == 0
    other_model.close()


def test_dropping_without_a_disk() -> None:
    blocks = Blocks(20)
    blocks.put(key(1), b"x")
    assert blocks.drop([key(1).passage, key(2).passage]) == 1
    assert blocks.size == 0 and blocks.get(key(1)) is None


class Switching:
    """Reads passages under settings that change at random, as the engine's reader does, with a disk below."""

    def __init__(self, folder: Path) -> None:
        self.models = {name: DiskBlocks(folder / name, 2000) for name in ("a", "b")}
        self.blocks = {name: Blocks(200, disk) for name, disk in self.models.items()}

    def read(self, model: str, parts: tuple) -> bytes:
        made, block = repr((model, parts)).encode(), block_key(*parts)
        state = self.blocks[model].get(block)
        if state is None:
            self.blocks[model].put(block, made)
        assert state in (None, made)
        return made

    def restart(self) -> None:
        for name, disk in self.models.items():
            disk.flush()
            self.blocks[name] = Blocks(200, disk)

    def close(self) -> None:
        for disk in self.models.values():
            disk.close()


@given(steps=st.lists(st.one_of(st.none(), st.tuples(st.sampled_from("ab"), parts)), max_size=30))
def test_a_block_never_comes_back_under_another_model_adapter_head_or_layout(
    steps: list, tmp_path_factory: pytest.TempPathFactory
) -> None:
    switching = Switching(tmp_path_factory.mktemp("kv"))
    for step in steps:
        if step is None:
            switching.restart()
        else:
            switching.read(*step)
    switching.close()


def test_one_that_is_discarded_is_gone_from_memory_and_disk(disk: DiskBlocks) -> None:
    blocks = Blocks(100, disk)
    for n in (1, 2):
        blocks.put(key(n), b"x" * 10)
    assert disk.flush()
    blocks.put(key(3), b"x" * 10)
    for n in (1, 3, 4):
        blocks.discard(key(n))
    assert [n for n in (1, 2, 3, 4) if blocks.has(key(n))] == [2]
    assert (blocks.size, blocks.get(key(1))) == (10, None)
    assert disk.flush()
    assert not disk.path(key(3)).exists(), "it was not written after all"
