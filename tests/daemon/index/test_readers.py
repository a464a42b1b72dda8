"""Many files read by processes: the same as read one by one, whatever becomes of a process."""

import os
import signal
import sys
import threading
import time
from contextlib import closing

import psutil
import pytest

from lorebook_api.errors import LorebookError
from lorebook_daemon.index import readers
from lorebook_daemon.index.bags import Bags
from lorebook_daemon.index.batch import Batch, Wanted, prepare
from lorebook_daemon.index.bounds import Bounds
from lorebook_daemon.index.readers import ready
from lorebook_daemon.index.walk import walk


@pytest.fixture
def wanted(root):
    for file in range(40):
        (root / f"m{file:02}.py").write_text("\n\n".join(f"def f{file}_{n}():\n    return {n}" for n in range(60)))
    (root / "empty.py").write_text("")
    (root / "z.ipynb").write_text("{")
    return [Wanted(stat) for stat in walk(root, 20)]


@pytest.fixture
def many(monkeypatch):
    """Let few files count as many, on a machine of two cores, where no reader waits."""
    readers.kept().close()
    monkeypatch.setattr(readers, "_WORTH_IT", 0)
    monkeypatch.setattr(readers, "_BATCH", 9000)
    monkeypatch.setattr(readers, "_MOST", 2)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 2)


def children():
    return [child for child in psutil.Process().children() if "lorebook_daemon.index.reader" in child.cmdline()]


def together(batches):
    return Batch.join(list(batches))


def same(one, other):
    assert one.files == other.files
    assert one.bags.hashes.tolist() == other.bags.hashes.tolist()
    assert one.bags.counts.toarray().tolist() == other.bags.counts.toarray().tolist()


def test_processes_make_of_files_what_this_one_does_and_end(wanted, many):
    batches = list(ready(wanted))
    assert len(batches) > 4
    same(together(batches), prepare(wanted))
    assert children() == []


def test_few_bytes_are_read_by_one_process_which_is_kept(wanted):
    readers.kept().close()
    same(together(ready(wanted)), prepare(wanted))
    (kept,) = children()
    same(together(ready(wanted[:3], alone=True)), prepare(wanted[:3]))
    assert children() == [kept]
    readers.kept().close()
    assert children() == []


def test_a_reader_that_ended_while_it_waited_is_replaced(wanted):
    together(ready(wanted[:1]))
    (kept,) = children()
    kept.kill()
    kept.wait(20)
    same(together(ready(wanted[:3])), prepare(wanted[:3]))


def test_alone_nothing_is_read_while_nobody_asks(wanted, monkeypatch):
    monkeypatch.setattr(readers, "_HERE", 1)
    asked = []
    real = readers._Reader.read
    monkeypatch.setattr(readers._Reader, "read", lambda self, files: asked.append(files) or real(self, files))
    with closing(ready(wanted[:9], alone=True)) as batches:
        next(batches)
        next(batches)
        time.sleep(0.1)
        assert len(asked) <= 2


def test_nothing_wanted_is_nothing(many):
    assert list(ready([])) == []
    assert together([]).files == ()


def test_what_is_no_longer_there_is_said_to_have_gone(root, wanted, many):
    (root / "m07.py").unlink()
    files = together(ready(wanted)).files
    assert [file.stat.path for file in files if file.went] == ["m07.py"]
    assert [file.stat.path for file in files] == [one.stat.path for one in wanted]


def test_who_takes_no_more_ends_the_processes(wanted, many):
    with closing(ready(wanted)) as batches:
        next(batches)
        assert len(children()) == 2
    assert children() == []


@pytest.mark.parametrize(
    ("does", "seconds", "why"),
    [
        ("os.abort()", 60, "damaged: what reads it crashed"),
        ("time.sleep(60)", 5, "given up after 5 s"),
        ("held = b'x' * 600_000_000; time.sleep(60)", 60, "given up: it takes more than 500 MB of memory to read"),
    ],
    ids=["crashes", "hangs", "eats memory"],
)
def test_a_file_that_ends_its_reader_is_left_out_and_no_other(wanted, many, monkeypatch, tmp_path, does, seconds, why):
    """A loader that does so on one file stands in for the libraries below it, and for ours."""
    (tmp_path / "sitecustomize.py").write_text(
        "import lorebook_daemon.index.batch as batch, os, time\n"
        "real = batch.take\n"
        "def take(stat, known, *more):\n"
        "    if stat.path == 'm07.py':\n"
        f"        {does}\n"
        "    return real(stat, known, *more)\n"
        "batch.take = take\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(readers, "BOUNDS", Bounds(seconds, megabytes=500, look_s=0.02))
    wanted = [one for one in wanted if one.stat.path < "m12"]
    batch = together(ready(wanted))
    readers.kept().close()
    (left_out,) = [file for file in batch.files if file.why and file.why.startswith(why)]
    assert left_out.stat.path == "m07.py"
    assert (left_out.rows, left_out.sha256) == ((), b"")
    expected = prepare([one for one in wanted if one.stat.path != "m07.py"])
    same(Batch(tuple(file for file in batch.files if file is not left_out), batch.bags), expected)


def test_readers_that_do_not_start_are_an_error_and_no_skipped_files(wanted, many, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(9)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(LorebookError, match="does not start"):
        list(ready(wanted))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_readers_end_with_who_asked_them(wanted, many):
    with closing(ready(wanted)) as batches:
        next(batches)
        reader = children()[0]
        reader.send_signal(signal.SIGKILL)
        rest = together(batches)
    assert not any(file.why and "crashed" in file.why for file in rest.files), "the next reader reads it"
    assert isinstance(rest.bags, Bags)


def test_a_reader_whose_parent_is_gone_ends(tmp_path):
    import subprocess

    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lorebook_daemon.index.reader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdin.close()
    assert process.wait(30) == 3
    process.stdout.close()


def test_a_reader_that_hangs_and_hears_nobody_ends_by_itself(wanted, many, monkeypatch, tmp_path):
    """A regular expression without end holds the interpreter: that its parent is gone is not heard."""
    (tmp_path / "sitecustomize.py").write_text(
        "import lorebook_daemon.index.batch as batch, faulthandler, re\n"
        "real = faulthandler.dump_traceback_later\n"
        "faulthandler.dump_traceback_later = lambda seconds, exit: real(seconds / 150, exit=exit)\n"
        "batch.take = lambda *given: re.match('(a+)+$', 'a' * 60 + 'b')\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    reader = readers._Reader()
    try:
        with pytest.raises(readers._Died, match="crashed"):
            reader.read(wanted[:1])
    finally:
        reader.close()


def test_many_slow_files_are_no_hanging_one(wanted, many, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import lorebook_daemon.index.batch as batch, time\n"
        "real = batch.take\n"
        "def take(*given):\n"
        "    time.sleep(1.2)\n"
        "    return real(*given)\n"
        "batch.take = take\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(readers, "BOUNDS", Bounds(seconds=4, look_s=0.02))
    files = [one for one in wanted if one.stat.path.startswith("m0")][:5]
    monkeypatch.setattr(readers, "_HERE", 10**9)
    batch = together(ready(files, alone=True))
    readers.kept().close()
    same(batch, prepare(files))


def test_the_iterator_may_be_closed_from_where_it_waits(wanted, many):
    began, before = time.monotonic(), threading.active_count()
    with closing(ready(wanted)) as batches:
        next(batches)
    assert time.monotonic() - began < 20
    assert threading.active_count() < before + 20
