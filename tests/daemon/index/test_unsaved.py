"""What was typed and not saved stands in the index in place of its file."""

import os
import time

import pytest

from lorebook_daemon.index.opened import OpenIndex
from lorebook_daemon.index.unsaved import Unsaved, drop_all_unsaved, drop_unsaved, keep_unsaved, unsaved_in
from lorebook_daemon.index.update import is_stale, update


@pytest.fixture
def folder(root, tmp_path):
    update(root, tmp_path / "index", max_file_mb=20, report=lambda _: None)
    return tmp_path / "index"


def typed(root, folder, path, text):
    found = (root / path).lstat()
    on_disk = (found.st_mtime_ns, found.st_ctime_ns, found.st_size)
    keep_unsaved(folder, Unsaved(path, on_disk, time.time_ns(), text))


def follow(root, folder, *paths):
    return update(root, folder, max_file_mb=20, paths=paths or None, report=lambda _: None)


def best(folder, query):
    return OpenIndex.open(folder, None).search(query, 1)[0].passage


def test_it_is_found_until_it_is_closed(root, folder):
    typed(root, folder, "a.py", "def okapi():\n    return 1\n")
    assert is_stale(root, folder) == 1
    assert [change.path for change in follow(root, folder, "a.py").changes] == ["a.py"]
    assert best(folder, "okapi").defines == ("okapi",)
    assert is_stale(root, folder) == 0, "a whole look leaves it as it is"
    assert follow(root, folder).changes == ()
    assert (root / "a.py").read_text() == "def alpha():\n    return 1\n", "the file is not touched"
    assert drop_unsaved(folder, "a.py") and not drop_unsaved(folder, "a.py")
    assert follow(root, folder, "a.py").changed == 1
    assert best(folder, "alpha").defines == ("alpha",)


def test_saving_the_file_ends_it(root, folder):
    typed(root, folder, "a.py", "def okapi():\n    return 1\n")
    follow(root, folder, "a.py")
    (root / "a.py").write_text("def quagga():\n    return 1\n")
    follow(root, folder, "a.py")
    assert best(folder, "quagga").path == "a.py"
    assert "okapi" not in best(folder, "quagga").text


def test_typing_on_follows_what_was_typed(root, folder):
    for n in range(3):
        typed(root, folder, "b.md", f"# Beta\n\nword{n}\n")
        follow(root, folder, "b.md")
        assert f"word{n}" in best(folder, f"word{n}").text


def test_saving_exactly_what_was_typed_is_seen_too(root, folder):
    typed(root, folder, "a.py", "def okapi():\n    return 1\n")
    follow(root, folder, "a.py")
    (root / "a.py").write_text("def okapi():\n    return 1\n")
    assert follow(root, folder, "a.py").changes == (), "the content is the same"
    drop_unsaved(folder, "a.py")
    assert is_stale(root, folder) == 0


def test_of_an_earlier_daemon_nothing_stays(root, folder):
    typed(root, folder, "a.py", "def okapi(): ...\n")
    follow(root, folder, "a.py")
    drop_all_unsaved(folder)
    assert unsaved_in(folder) == {} and is_stale(root, folder) == 1
    follow(root, folder)
    assert best(folder, "alpha").path == "a.py"


def test_what_cannot_be_read_is_as_if_it_were_not_there(root, folder):
    typed(root, folder, "a.py", "half \ud800 a pair")
    assert unsaved_in(folder)["a.py"].data == b"half ? a pair"
    (file,) = (folder / "unsaved").iterdir()
    file.write_text("{")
    assert unsaved_in(folder) == {}


@pytest.mark.skipif(os.name == "nt", reason="modes are something else there")
def test_others_cannot_read_it(root, folder):
    typed(root, folder, "a.py", "x")
    assert (folder / "unsaved").stat().st_mode & 0o077 == 0
