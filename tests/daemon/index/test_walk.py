"""Which files are taken, which are named as skipped, and which are passed over."""

import os
import socket
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.indexing import Skipped
from lorebook_daemon.index.walk import FileStat, walk


def plant(root, **files):
    """Write the files, by path and text."""
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")


RULES = (".gitignore", ".lorebookignore", "pyvenv.cfg")
"""Files that have a loader too; the tests look at the others."""


def taken(root, max_file_mb=20):
    found = [item.path for item in walk(root, max_file_mb) if isinstance(item, FileStat)]
    return sorted(path for path in found if not path.endswith(RULES))


def skipped(root, max_file_mb=20):
    return {item.path: item.why for item in walk(root, max_file_mb) if isinstance(item, Skipped)}


def test_files_with_a_loader_are_taken_and_others_passed_over(tmp_path):
    plant(tmp_path, **{"a.py": "", "docs/b.md": "", "data/deep/c.csv": "", "film.mp4": "", "program": ""})
    assert taken(tmp_path) == ["a.py", "data/deep/c.csv", "docs/b.md"]
    assert skipped(tmp_path) == {}


def test_a_file_brings_what_the_system_says_of_it(tmp_path):
    plant(tmp_path, **{"a.py": "x = 1\n"})
    (item,) = walk(tmp_path, 20)
    found = (tmp_path / "a.py").stat()
    assert item.stamp == (found.st_mtime_ns, found.st_ctime_ns, 6)
    assert item.file == str(tmp_path.resolve() / "a.py")


def test_an_empty_root_yields_nothing(tmp_path):
    assert list(walk(tmp_path, 20)) == []


def test_a_missing_root_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="does not exist"):
        list(walk(tmp_path / "nowhere", 20))


def test_a_file_as_root_is_refused_and_its_folder_named(tmp_path):
    plant(tmp_path, **{"a.py": ""})
    with pytest.raises(BadRequest, match="is a file") as caught:
        list(walk(tmp_path / "a.py", 20))
    assert str(tmp_path.resolve()) in caught.value.hint


def test_a_root_that_is_a_circle_of_links_is_not_found(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(NotFound):
        list(walk(tmp_path / "a", 20))


@pytest.mark.parametrize(
    "folder", [".git", "node_modules", "__pycache__", ".venv", ".ipynb_checkpoints", ".mypy_cache", "site-packages"]
)
def test_folders_that_hold_nobodys_work_are_passed_over(tmp_path, folder):
    plant(tmp_path, **{f"{folder}/a.py": "", f"sub/{folder}/b.py": "", "own.py": ""})
    assert taken(tmp_path) == ["own.py"]


@pytest.mark.parametrize("marker", ["pyvenv.cfg", "CACHEDIR.TAG"])
def test_environments_and_caches_are_known_by_their_marker(tmp_path, marker):
    plant(tmp_path, **{f"env/{marker}": "", "env/lib/a.py": "", "own.py": ""})
    assert taken(tmp_path) == ["own.py"]


def test_a_marked_folder_may_be_the_root(tmp_path):
    plant(tmp_path, **{"pyvenv.cfg": "", "own.py": ""})
    assert taken(tmp_path) == ["own.py"]


def test_gitignore_holds_below_its_folder_and_the_nearest_decides(tmp_path):
    plant(
        tmp_path,
        **{
            ".gitignore": "*.log\nbuild/\n/top.md\n",
            "a.log": "",
            "top.md": "",
            "build/b.py": "",
            "sub/top.md": "",
            "sub/.gitignore": "!keep.log\nlocal.py\n",
            "sub/keep.log": "",
            "sub/other.log": "",
            "sub/local.py": "",
            "local.py": "",
        },
    )
    assert taken(tmp_path) == ["local.py", "sub/keep.log", "sub/top.md"]


def test_info_exclude_holds(tmp_path):
    plant(tmp_path, **{".git/info/exclude": "private.md\n", "private.md": "", "open.md": ""})
    assert taken(tmp_path) == ["open.md"]


def test_rules_of_the_repository_around_the_root_hold(tmp_path):
    plant(
        tmp_path,
        **{
            ".git/HEAD": "",
            ".gitignore": "/project/out/\n*.tmp.md\n",
            "project/.gitignore": "!kept.tmp.md\n",
            "project/sub/kept.tmp.md": "",
            "project/sub/a.tmp.md": "",
            "project/sub/b.md": "",
            "project/out/c.md": "",
        },
    )
    assert taken(tmp_path / "project" / "sub") == ["b.md", "kept.tmp.md"]
    assert taken(tmp_path / "project") == ["sub/b.md", "sub/kept.tmp.md"]
    assert taken(tmp_path / "project" / "out") == ["c.md"], "who names an ignored folder wants it"


def test_lorebookignore_leaves_out_and_forces_in(tmp_path):
    plant(
        tmp_path,
        **{
            ".gitignore": "build/\nnotes.md\n",
            ".lorebookignore": "secret/\n!notes.md\n!build/report.md\n!node_modules/mine/\n!sub/.cache/\n",
            "secret/a.md": "",
            "notes.md": "",
            "build/report.md": "",
            "build/other.md": "",
            "build/deep/x.md": "",
            "node_modules/mine/lib/a.js": "",
            "node_modules/other/b.js": "",
            "sub/.cache/CACHEDIR.TAG": "",
            "sub/.cache/c.md": "",
        },
    )
    assert taken(tmp_path) == ["build/report.md", "node_modules/mine/lib/a.js", "notes.md", "sub/.cache/c.md"]


def test_a_pattern_that_is_none_spoils_no_other(tmp_path):
    plant(tmp_path, **{".gitignore": "!\n\\\n[z-a].md\nout.md\n", "out.md": "", "in.md": ""})
    assert taken(tmp_path) == ["in.md"]


def test_an_ignore_file_that_is_not_text_spoils_nothing(tmp_path):
    plant(tmp_path, **{"a.md": ""})
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe\x00*.py\n\x00\n")
    (tmp_path / ".lorebookignore").mkdir()
    assert taken(tmp_path) == ["a.md"]


def test_a_file_above_the_limit_is_skipped_with_its_size(tmp_path):
    with (tmp_path / "huge.csv").open("wb") as out:
        out.truncate(100 * 1024 * 1024)
    plant(tmp_path, **{"small.csv": "a,b\n"})
    assert taken(tmp_path) == ["small.csv"]
    assert skipped(tmp_path) == {"huge.csv": "100 MB, above max_file_mb = 20"}
    assert taken(tmp_path, max_file_mb=100) == ["huge.csv", "small.csv"]


def test_links_are_not_followed_and_those_that_leave_the_root_are_named(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    plant(root, **{"a/own.py": ""})
    plant(outside, **{"foreign.py": "", "film.mp4": ""})
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "a" / "up").symlink_to("..", target_is_directory=True)
    (root / "twin.py").symlink_to(root / "a" / "own.py")
    (root / "out").symlink_to(outside, target_is_directory=True)
    (root / "foreign.py").symlink_to(outside / "foreign.py")
    (root / "film.mp4").symlink_to(outside / "film.mp4")
    (root / "broken.py").symlink_to(root / "gone.py")
    (root / "self.py").symlink_to(root / "self.py")
    assert taken(root) == ["a/own.py"]
    assert skipped(root) == {
        "out": "a link that leads out of the root",
        "foreign.py": "a link that leads out of the root",
        "broken.py": "a link that leads nowhere",
        "self.py": "a link that leads nowhere",
    }


def test_a_root_that_is_itself_a_link_is_followed(tmp_path):
    plant(tmp_path / "real", **{"a.py": ""})
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert taken(tmp_path / "link") == ["a.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such files there")
def test_what_is_no_regular_file_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.py"))
        assert list(walk(tmp_path, 20)) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf8_is_skipped(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.py")).touch()
    assert skipped(tmp_path) == {"caf\ufffd.py": "its name is not UTF-8"}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems hold the two names for one")
def test_paths_come_in_one_spelling_and_its_twin_is_skipped(tmp_path):
    plain = unicodedata.normalize("NFC", "café.py")
    apart = unicodedata.normalize("NFD", plain)
    plant(tmp_path, **{apart: "x"})
    (item,) = walk(tmp_path, 20)
    assert item.path == plain
    assert Path(item.file).exists()
    plant(tmp_path, **{plain: "y"})
    assert taken(tmp_path) == [plain]
    assert list(skipped(tmp_path)) == [plain]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="rights do not bind this user")
def test_a_folder_that_cannot_be_read_is_skipped(tmp_path):
    plant(tmp_path, **{"shut/a.py": "", "b.py": ""})
    (tmp_path / "shut").chmod(0)
    try:
        assert taken(tmp_path) == ["b.py"]
        assert "cannot be read" in skipped(tmp_path)["shut/"]
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_skipped(tmp_path, monkeypatch):
    plant(tmp_path, **{"shut/a.py": "", "b.py": ""})
    listing = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert taken(tmp_path) == ["b.py"]
    assert skipped(tmp_path) == {"shut/": "the folder cannot be read: Permission denied"}
    with pytest.raises(NotFound, match="shut cannot be read"):
        taken(tmp_path / "shut")


def test_many_files_and_deep_folders_are_walked_quickly(tmp_path):
    for folder in range(50):
        (tmp_path / f"f{folder}").mkdir()
        for file in range(100):
            (tmp_path / f"f{folder}" / f"{file}.py").touch()
    deep = tmp_path
    for _ in range(400):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "a.py").touch()
    began = time.perf_counter()
    assert len(taken(tmp_path)) == 5001
    assert time.perf_counter() - began < 5
