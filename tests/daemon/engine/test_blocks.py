from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.engine.blocks import Blocks, block_key

tokens = st.lists(st.integers(0, 5), max_size=4)
adapters = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.5, 1.0])), max_size=2).map(tuple)
parts = st.tuples(adapters, tokens, tokens)


@given(parts, parts)
def test_keys_are_equal_only_for_equal_parts(one: tuple, other: tuple) -> None:
    assert (block_key(*one) == block_key(*other)) == (one == other)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=40), st.integers(0, 60))
def test_the_store_stays_within_its_bound_and_keeps_the_latest(puts: list[tuple[int, int]], limit: int) -> None:
    blocks, latest = Blocks(limit), {}
    for key, size in puts:
        blocks.put(bytes([key]), b"x" * size)
        latest[bytes([key])] = size
        kept = {k: v for k in latest if (v := blocks.get(k)) is not None}
        assert sum(map(len, kept.values())) == blocks.size <= limit
        assert all(len(value) == latest[k] for k, value in kept.items())
        assert size > limit or bytes([key]) in kept


def test_the_least_recently_used_goes_first() -> None:
    blocks = Blocks(30)
    for key in (b"a", b"b", b"c"):
        blocks.put(key, b"x" * 10)
    blocks.get(b"a")
    blocks.put(b"d", b"x" * 10)
    assert [key for key in (b"a", b"b", b"c", b"d") if blocks.get(key)] == [b"a", b"c", b"d"]
