"""A file is taken in as it was at one moment."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from lorebook_daemon.index.intake import take
from lorebook_daemon.index.update import is_stale, update
from lorebook_daemon.index.walk import walk


def stat_of(root, path):
    return next(item for item in walk(root, 20) if item.path == path)


def test_a_file_that_is_written_while_it_is_read_is_read_again(root, monkeypatch):
    stat, real, texts = stat_of(root, "a.py"), Path.read_bytes, ["half = 1\n", "whole = 2\n"]

    def read(path):
        data = real(path)
        if texts and path.name == "a.py":
            time.sleep(0.02)
            path.write_text(texts.pop(0))
        return data

    monkeypatch.setattr(Path, "read_bytes", read)
    taken = take(stat, b"")
    assert [passage.text for passage in taken.passages] == ["whole = 2"]
    assert taken.stat.stamp == stat_of(root, "a.py").stamp


def test_a_file_that_never_rests_is_looked_at_again(root, tmp_path, here, monkeypatch):
    real, count = Path.read_bytes, 0

    def read(path):
        nonlocal count
        data = real(path)
        if path.name == "a.py":
            count += 1
            os.utime(path, ns=(count, count))
        return data

    monkeypatch.setattr(Path, "read_bytes", read)
    update(root, tmp_path / "index", max_file_mb=20, report=lambda _: None)
    assert count == 3
    monkeypatch.undo()
    assert is_stale(root, tmp_path / "index") == 1


def test_known_content_is_split_no_further(root):
    digest = hashlib.sha256((root / "a.py").read_bytes()).digest()
    taken = take(stat_of(root, "a.py"), digest)
    assert (taken.sha256, taken.passages, taken.why) == (digest, [], None)


def test_a_file_that_went_meanwhile_is_no_file(root, tmp_path, here, monkeypatch):
    stat = stat_of(root, "a.py")
    (root / "a.py").unlink()
    with pytest.raises(FileNotFoundError):
        take(stat, b"")
    (root / "a.py").write_text("x = 1\n")
    real = Path.read_bytes

    def vanish(path):
        if path.name == "a.py":
            path.unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", vanish)
    report = update(root, tmp_path / "index", max_file_mb=20, report=lambda _: None)
    assert (report.files, report.skipped) == (1, ())
