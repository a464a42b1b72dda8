"""What went, what is new: told by the index itself, and by nobody twice."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorebook_daemon.index import store as store_module
from lorebook_daemon.index.lately import gone_passages, index_folders, passages_of, recent_passages, settle
from lorebook_daemon.index.storage import DATABASE
from lorebook_daemon.index.store import Store
from lorebook_daemon.index.update import update

LONG = "\n\n".join(f"Paragraph {n} " + "says something of no great interest at all. " * 12 for n in range(6))


def silent(progress):
    pass


def bring_up(root, folder, **options):
    return update(root, folder, **{"max_file_mb": 20, "report": silent, **options})


def held(folder):
    """Return all passages of an index."""
    with contextlib.closing(Store.open(folder)) as opened:
        return {passage for _, passage in opened.passages_after(0)}


def gone(folder):
    found = gone_passages(folder)
    return set(found.passages) if found else set()


def everything_is_gone(folder):
    found = gone_passages(folder)
    return found is not None and found.everything


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "index" / "root-1"


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "root"
    top.mkdir()
    (top / "a.md").write_text("# A\n\n" + LONG)
    (top / "b.py").write_text("def b():\n    return 'b'\n")
    return top


@pytest.fixture
def indexed(root, folder):
    bring_up(root, folder)
    return folder


def test_nothing_has_gone_from_a_new_index(indexed):
    assert gone_passages(indexed) is None
    assert gone_passages(indexed.with_name("none")) is None


def test_the_passages_of_a_deleted_file_are_gone(root, indexed):
    before = held(indexed)
    (root / "b.py").unlink()
    bring_up(root, indexed)
    assert gone(indexed) == before - held(indexed) == {p for p in before if p.path == "b.py"}


def test_of_a_changed_file_only_what_is_no_longer_there_is_gone(root, indexed):
    before = held(indexed)
    (root / "a.md").write_text("# A\n\n" + LONG.replace("Paragraph 5", "Changed 5"))
    bring_up(root, indexed)
    assert gone(indexed) == before - held(indexed)
    assert 0 < len(gone(indexed)) < len([p for p in before if p.path == "a.md"])


@pytest.mark.parametrize("how", ["touched", "full"])
def test_reading_again_makes_nothing_gone(root, indexed, how):
    os.utime(root / "a.md", (1, 1))
    bring_up(root, indexed, full=how == "full")
    assert gone_passages(indexed) is None


def test_what_comes_back_is_not_gone(root, indexed):
    text = (root / "b.py").read_text()
    (root / "b.py").unlink()
    bring_up(root, indexed)
    (root / "b.py").write_text(text)
    bring_up(root, indexed)
    assert gone_passages(indexed) is None


def test_what_went_is_told_until_it_is_settled(root, indexed):
    (root / "b.py").unlink()
    bring_up(root, indexed)
    first = gone_passages(indexed)
    assert gone_passages(indexed) == first
    (root / "a.md").unlink()
    bring_up(root, indexed)
    assert settle(indexed, first)
    assert {passage.path for passage in gone(indexed)} == {"a.md"}, "what went later stays"
    assert settle(indexed, gone_passages(indexed))
    assert gone_passages(indexed) is None


def test_nothing_of_what_was_settled_stays_in_the_database_s_files(root, indexed):
    def found():
        return b"return 'b'" in b"".join(file.read_bytes() for file in indexed.glob(f"{DATABASE}*"))

    with contextlib.closing(Store.open(indexed)) as reader:  # SQLite keeps its log for as long as somebody reads
        assert reader.last_id() and found()
        (root / "b.py").unlink()
        bring_up(root, indexed)
        assert found()
        assert settle(indexed, gone_passages(indexed))
        assert not found()


def test_so_many_come_at_once(root, indexed, monkeypatch):
    monkeypatch.setattr("lorebook_daemon.index.lately._GONE_AT_ONCE", 2)
    before = held(indexed)
    for file in root.iterdir():
        file.unlink()
    bring_up(root, indexed)
    told = set()
    while part := gone_passages(indexed):
        assert len(part.passages) <= 2
        told |= set(part.passages)
        assert settle(indexed, part)
    assert told == before


def test_beyond_the_bound_everything_counts_as_gone(root, indexed, monkeypatch):
    monkeypatch.setattr(store_module, "MOST_GONE", 2)
    (root / "a.md").unlink()
    bring_up(root, indexed)
    assert gone_passages(indexed).passages == () and everything_is_gone(indexed)
    (root / "b.py").unlink()
    bring_up(root, indexed)
    assert everything_is_gone(indexed), "and stays so"
    assert settle(indexed, gone_passages(indexed))
    assert gone_passages(indexed) is None


def test_where_the_old_index_cannot_be_read_everything_counts_as_gone(root, indexed):
    (indexed / DATABASE).write_bytes(b"this is no database" * 1000)
    assert gone_passages(indexed) is None
    bring_up(root, indexed)
    assert everything_is_gone(indexed)


def test_another_format_may_have_held_anything(root, indexed):
    with contextlib.closing(sqlite3.connect(indexed / DATABASE)) as database, database:
        database.execute("UPDATE meta SET body = json_set(body, '$.format', 1)")
    assert gone_passages(indexed) is None and passages_of(indexed, "b.py") == []
    bring_up(root, indexed)
    assert everything_is_gone(indexed)


def test_an_index_from_before_the_list(root, indexed):
    with contextlib.closing(sqlite3.connect(indexed / DATABASE)) as database, database:
        database.execute("DROP TABLE gone")
    assert gone_passages(indexed) is None
    (root / "b.py").unlink()
    bring_up(root, indexed)
    assert {passage.path for passage in gone(indexed)} == {"b.py"}


def test_settling_gives_way_to_an_indexer(root, indexed, monkeypatch):
    (root / "b.py").unlink()
    bring_up(root, indexed)
    first = gone_passages(indexed)
    monkeypatch.setattr(store_module, "_connect", impatient(store_module._connect))
    with contextlib.closing(Store.open(indexed)) as writing, writing.transaction():
        assert not settle(indexed, first)
    assert settle(indexed, first)
    assert not settle(indexed.with_name("none"), first)


def impatient(connect):
    def without_waiting(folder, mode):
        connection = connect(folder, mode)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    return without_waiting


states = st.lists(
    st.dictionaries(st.sampled_from(["a.md", "b.md"]), st.sets(st.integers(0, 4)), max_size=2), max_size=4
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(states=states)
def test_what_is_not_held_any_more_was_told_as_gone(tmp_path_factory, states):
    place = tmp_path_factory.mktemp("lately")
    root, folder = place / "root", place / "index"
    root.mkdir()
    ever = set()
    for state in states:
        for name in ("a.md", "b.md"):
            if name in state:
                sections = (f"# Title {n}\n\nText {n}.\n" for n in sorted(state[name]))
                (root / name).write_text("".join(sections))
            else:
                (root / name).unlink(missing_ok=True)
        bring_up(root, folder)
        ever |= held(folder)
        assert gone(folder) == ever - held(folder)


KILLED = """
import os, sys, signal
from pathlib import Path
from lorebook_daemon.index import storage, store, update
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "before":
    store.write_derived = die
else:
    update.sweep = die
update.update(Path(sys.argv[1]), Path(sys.argv[2]), max_file_mb=20, report=lambda progress: None)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_before_or_after_the_commit_index_and_list_agree(root, indexed, moment):
    before = held(indexed)
    (root / "b.py").unlink()
    ended = subprocess.run([sys.executable, "-c", KILLED, str(root), str(indexed), moment], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert held(indexed) | gone(indexed) == before
    assert bool(gone(indexed)) == (moment == "after")


def test_the_latest_files_come_first(root, indexed):
    now = time.time_ns()
    (root / "old.md").write_text("old")
    os.utime(root / "old.md", ns=(0, now - 10**15))
    os.utime(root / "b.py", ns=(0, now + 10**9))
    bring_up(root, indexed)
    recent = recent_passages(indexed, now - 10**12, 100)
    assert next(passage.path for _, passage in recent) == "b.py"
    assert {passage.path for _, passage in recent} == {"a.md", "b.py"}
    assert [when for when, _ in recent] == sorted((when for when, _ in recent), reverse=True)
    in_a = [passage.start_line for _, passage in recent if passage.path == "a.md"]
    assert in_a == sorted(in_a) and len(in_a) > 2
    assert recent_passages(indexed, 0, 2) == recent[:2]
    assert recent_passages(indexed.with_name("none"), 0, 2) == []


def test_the_passages_of_a_file_in_order(indexed):
    found = passages_of(indexed, "a.md")
    assert set(found) == {passage for passage in held(indexed) if passage.path == "a.md"}
    assert [passage.start_line for passage in found] == sorted(passage.start_line for passage in found)
    assert passages_of(indexed, "c.md") == []


def test_all_indexes_are_found(indexed, root, tmp_path):
    other = indexed.with_name("root-2")
    bring_up(root, other)
    indexed.with_name("root-3").mkdir()
    assert index_folders(tmp_path / "cache") == [indexed, other]
    assert index_folders(tmp_path / "nowhere") == []
