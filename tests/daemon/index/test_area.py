"""Where something happened: a narrowed walk yields what the whole walk yields there."""

from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lorebook_api.indexing import Skipped
from lorebook_daemon.index.area import Area, inside
from lorebook_daemon.index.walk import in_reach, walk

NAMES = st.sampled_from(["a", "b", "src", "build"])
FILES = st.sampled_from(["x.py", "y.md", ".gitignore", "pyvenv.cfg", "z.bin"])
PLACES = st.builds(lambda folders, name: "/".join((*folders, name)), st.lists(NAMES, max_size=3), FILES)


def paths(root, area=None):
    return {item.path for item in walk(root, 20, area) if not isinstance(item, Skipped)}


def test_a_path_is_looked_for_as_a_file_and_as_a_folder():
    area = Area.of(["src/deep/a.py"])
    assert area.covers("src/deep/a.py") and area.covers("src/deep/b.py"), "its folder's files"
    assert area.covers("src/deep/a.py/inside.py"), "it may have been a folder"
    assert not area.covers("src/a.py") and not area.covers("src/deep/other/a.py")
    assert area.leads("src/") and area.leads("src/deep/") and not area.leads("tests/")


@pytest.mark.parametrize("name", [".gitignore", ".lorebookignore", "pyvenv.cfg", "CACHEDIR.TAG"])
def test_where_rules_change_everything_below_is_looked_at(name):
    area = Area.of([f"src/{name}"])
    assert area.covers("src/deep/er/a.py") and not area.covers("other/a.py")
    assert Area.of([".git/info/exclude"]).covers("anything/at/all.py")


def test_paths_of_the_system_become_paths_of_the_index():
    root = PurePosixPath("/home/me/notes")
    assert inside(root, "/home/me/notes/cafe\u0301.md") == "caf\u00e9.md"
    assert inside(root, "/home/me/notes") == "."
    assert inside(root, "/home/me/Notes/a.md") is None, "the root was typed in another spelling"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(PLACES, max_size=12), st.lists(PLACES, min_size=1, max_size=3))
def test_a_narrowed_walk_is_the_whole_one_within_the_area(tmp_path_factory, files, happened):
    root = tmp_path_factory.mktemp("root")
    for place in files:
        file = root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("build/\n" if file.name == ".gitignore" else "x = 1\n")
    area = Area.of(happened)
    assert paths(root, area) == {path for path in paths(root) if area.covers(path)}
    if paths(root, area):
        assert in_reach(root, area)


def test_what_is_ignored_is_out_of_reach(tmp_path):
    (tmp_path / ".gitignore").write_text("build/\n")
    for place in ("build/a.py", "node_modules/b.py", "src/c.py"):
        (tmp_path / place).parent.mkdir()
        (tmp_path / place).write_text("x = 1\n")
    assert not in_reach(tmp_path, Area.of(["build/a.py", "build/new.py", "node_modules/b.py"]))
    assert in_reach(tmp_path, Area.of(["build/a.py", "src/gone.py"]))
