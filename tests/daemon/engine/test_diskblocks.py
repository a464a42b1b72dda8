import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorebook_daemon.engine import diskblocks
from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks, drop_all_files, drop_files, kept_bytes

HEADER = 52
BIG = 10**6


def key(n: int, context: int = 0) -> BlockKey:
    return BlockKey(bytes([context]) * 20, n.to_bytes(16, "little"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kv" / "model"


@pytest.fixture
def opened(folder: Path):
    """Return a function that opens blocks, all closed at the end."""
    open_now = []

    def open_blocks(limit: int = BIG, place: Path = folder) -> DiskBlocks:
        open_now.append(DiskBlocks(place, limit))
        return open_now[-1]

    yield open_blocks
    for blocks in open_now:
        blocks.close()


def test_a_block_outlives_its_process_and_others_see_it(opened) -> None:
    blocks = opened()
    assert blocks.get(key(1)) is None and not blocks.has(key(1))
    blocks.put(key(1), b"state")
    assert blocks.get(key(1)) == b"state" and blocks.has(key(1)), "before it is written too"
    assert blocks.flush()
    assert blocks.get(key(1)) == b"state" == opened().get(key(1))


def test_nobody_else_can_read_them(opened, folder: Path) -> None:
    blocks = opened()
    blocks.put(key(1), b"state")
    assert blocks.flush()
    if os.name == "posix":
        modes = [path.stat().st_mode & 0o777 for path in (folder.parent, folder, blocks.path(key(1)))]
        assert modes == [0o700, 0o700, 0o600]


@given(state=st.binary(max_size=40), place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_byte_that_changed_is_noticed(state: bytes, place: int, flip: int, tmp_path_factory) -> None:
    blocks = DiskBlocks(tmp_path_factory.mktemp("kv") / "model", BIG)
    blocks.put(key(1), state)
    assert blocks.flush()
    file = blocks.path(key(1))
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= flip
    file.write_bytes(data)
    assert blocks.get(key(1)) is None
    assert not file.exists(), "so that it is written anew"
    blocks.close()


@given(state=st.binary(min_size=1, max_size=40), keep=st.integers(0, 200), more=st.binary(max_size=9))
def test_a_file_cut_or_grown_is_noticed(state: bytes, keep: int, more: bytes, tmp_path_factory) -> None:
    blocks = DiskBlocks(tmp_path_factory.mktemp("kv") / "model", BIG)
    blocks.put(key(1), state)
    assert blocks.flush()
    file = blocks.path(key(1))
    before = file.read_bytes()
    after = before[:keep] + more
    file.write_bytes(after)
    assert blocks.get(key(1)) == (state if after == before else None)
    blocks.close()


def test_a_file_under_another_name_is_noticed(opened, folder: Path) -> None:
    blocks, other = opened(), opened(place=folder.with_name("other"))
    for n in (1, 2):
        blocks.put(key(n), bytes([n]))
    other.put(key(3), b"other")
    assert blocks.flush() and other.flush()
    blocks.path(key(1)).replace(blocks.path(key(2)))
    other.path(key(3)).replace(blocks.path(key(3)))
    assert blocks.get(key(2)) is None, "another passage's"
    assert blocks.get(key(3)) is None, "another model's"


puts = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"), st.integers(0, 300)), max_size=25)


@settings(max_examples=50)
@given(puts=puts, limit=st.integers(0, 1000))
def test_all_models_together_stay_within_the_bound(puts: list, limit: int, tmp_path_factory) -> None:
    root = tmp_path_factory.mktemp("kv")
    models = {name: DiskBlocks(root / name, limit) for name in "ab"}
    for n, model, size in puts:
        models[model].put(key(n), bytes([n]) * size)
        assert models[model].flush()
        assert kept_bytes(root) == sum(file.stat().st_size for file in root.rglob("*.kv"))
        # Each looks at what the other wrote only now and then: one part in 16 of the bound, and a block.
        assert kept_bytes(root) <= limit + limit // 16 + 300 + HEADER
        assert models[model].has(key(n)) or size + HEADER > limit
    for blocks in models.values():
        blocks.close()


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(0, 300), max_size=25), limit=st.integers(0, 1000))
def test_one_process_never_passes_the_bound(sizes: list[int], limit: int, tmp_path_factory) -> None:
    root = tmp_path_factory.mktemp("kv")
    blocks = DiskBlocks(root / "model", limit)
    for n, size in enumerate(sizes):
        blocks.put(key(n), b"x" * size)
        assert blocks.flush()
        assert kept_bytes(root) <= limit
    blocks.close()


def test_the_oldest_of_all_models_goes_first(opened, folder: Path) -> None:
    size = 100 - HEADER
    old, new = opened(1000, folder.with_name("unused")), opened(1000)
    for n in range(5):
        old.put(key(n), b"x" * size)
    assert old.flush()
    for n in range(5, 10):
        new.put(key(n), b"x" * size)
    assert new.flush()
    for age, file in enumerate(sorted(folder.parent.rglob("*.kv"), key=lambda file: file.name)):
        os.utime(file, ns=(age * 10**9, age * 10**9))
    assert old.get(key(0)) and new.get(key(9))
    third = opened(1000)
    third.put(key(10), b"x" * size)
    assert third.flush()
    kept = {n for n in range(11) if old.has(key(n)) or new.has(key(n))}
    assert kept == {0, *range(2, 11)}, "those read last, and what there was room for"


def test_writing_waits_for_nobody_and_bounds_what_waits(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diskblocks, "_WAITING_BYTES", 100)
    blocks = opened()
    with blocks._changed:  # the writer cannot go on
        for n in range(5):
            blocks.put(key(n), b"x" * 40)
        assert [n for n in range(5) if blocks.has(key(n))] == [0, 1]
    assert blocks.flush()
    blocks.put(key(2), b"x" * 400)
    assert blocks.flush() and blocks.has(key(2)), "one above that bound has its turn when nothing else waits"


def test_a_passage_is_dropped_from_every_model_and_context(opened, folder: Path) -> None:
    blocks, other = opened(), opened(place=folder.with_name("other"))
    for one in (key(1), key(1, context=1), key(2)):
        blocks.put(one, b"x")
    other.put(key(1), b"x")
    assert blocks.flush() and other.flush()
    assert drop_files(folder.parent, [key(1).passage, key(3).passage]) == {
        blocks.path(key(1)),
        blocks.path(key(1, context=1)),
        other.path(key(1)),
    }
    assert not other.has(key(1)) and blocks.has(key(2))
    assert drop_all_files(folder.parent) == {blocks.path(key(2))}
    assert kept_bytes(folder.parent) == 0
    assert drop_files(folder / "nowhere", [key(1).passage]) == set()


def test_what_waits_or_is_being_written_is_dropped_too(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = opened()
    dropped = []
    write = blocks._name

    def name(part: Path, of: BlockKey) -> None:
        dropped.append(blocks.drop([key(1).passage, key(2).passage]))
        write(part, of)

    monkeypatch.setattr(blocks, "_name", name)
    with blocks._changed:
        blocks.put(key(1), b"x")
        blocks.put(key(2), b"x")
    assert blocks.flush()
    assert dropped == [{blocks.path(key(1)), blocks.path(key(2))}]
    deadline = time.monotonic() + 5
    while list(blocks.folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not list(blocks.folder.iterdir())
    assert not blocks.has(key(1)) and not blocks.has(key(2))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_cannot_be_written_is_left_alone_with_one_warning(
    opened, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    blocks = opened()
    blocks.put(key(0), b"before")
    assert blocks.flush()

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(diskblocks.tempfile, "mkstemp", fails)
    with caplog.at_level(logging.WARNING):
        for n in range(1, 4):
            blocks.put(key(n), b"state")
            assert blocks.flush()
            assert blocks.get(key(n)) is None
    assert len(caplog.records) == 1 and os.strerror(number) in caplog.text
    assert blocks.get(key(0)) == b"before", "what is there can still be read"
    assert blocks.drop([key(0).passage]), "and dropped"


def test_nothing_half_written_stays_when_the_disk_fills_up(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = opened()

    def fails(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(blocks, "_header", fails)
    blocks.put(key(1), b"state")
    assert blocks.flush()
    assert not list(blocks.folder.iterdir())


def test_a_folder_that_somebody_deleted_is_made_again(opened, folder: Path) -> None:
    blocks = opened()
    blocks.put(key(1), b"state")
    assert blocks.flush()
    blocks.path(key(1)).unlink()
    folder.rmdir()
    assert blocks.get(key(1)) is None
    blocks.put(key(2), b"state")
    assert blocks.flush() and blocks.get(key(2)) == b"state"


WRITER = """
import sys, itertools
from pathlib import Path
from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks
blocks = DiskBlocks(Path(sys.argv[1]), 10**9)
print("ready", flush=True)
for n in itertools.count():
    blocks.put(BlockKey(bytes(20), (n % 7).to_bytes(16, "little")), bytes([n % 7]) * 3_000_000)
    blocks.flush()
    if n % 7 == 6:
        blocks.drop([m.to_bytes(16, "little") for m in range(7)])
"""


def dead() -> int:
    """Return the number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_process_killed_while_it_writes_leaves_whole_blocks_only(opened, folder: Path) -> None:
    for pause in (0.0, 0.01, 0.03):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
        assert child.stdout and child.stdout.readline()
        time.sleep(pause)
        child.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        child.wait()
        child.stdout.close()
    left = [folder / name for name in ("left.part", f"00-{dead()}-a.part", f"00-{os.getpid()}-old.part")]
    for part in (*left, folder / f"00-{os.getpid()}-new.part"):
        part.write_bytes(b"half")
    os.utime(left[2], (1, 1))
    blocks = opened()
    blocks.put(key(100), b"state")
    assert blocks.flush()
    parts = {file.name for file in folder.iterdir() if file.suffix != ".kv"}
    assert parts == {f"00-{os.getpid()}-new.part"}, "only a living process may be at it still"
    for n in range(7):
        assert blocks.get(key(n)) in (None, bytes([n]) * 3_000_000)


def test_two_processes_in_one_folder_do_each_other_no_harm(opened, caplog: pytest.LogCaptureFixture) -> None:
    blocks = [opened(limit=20_000), opened(limit=20_000)]
    with caplog.at_level(logging.WARNING):
        for n in range(60):
            for each in blocks:
                each.put(key(n % 30), bytes([n % 30]) * 1000)
            if n % 7 == 0:
                blocks[0].drop([key(n % 30).passage])
            for each in blocks:
                assert each.get(key(n % 13)) in (None, bytes([n % 13]) * 1000)
        assert all(each.flush() for each in blocks)
    assert not caplog.records
    assert kept_bytes(blocks[0].folder.parent) <= 23_000
