"""`lorebook related`: which place is meant, and how it is shown."""

import json
from pathlib import Path

import pytest

from commandline import Run
from fake_daemon import FakeDaemon


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("a.py:7", ("a.py", 7, None)), ("a.py:7-9", ("a.py", 7, None)), ("a.py", ("a.py", 1, None)),
     ("sub/b.ipynb:5", ("sub/b.ipynb", 1, 5)), ("sub/b.ipynb", ("sub/b.ipynb", 1, 0)), ("odd:3", ("odd:3", 1, None))],
)  # fmt: skip
def test_which_place_is_meant(run: Run, fake: FakeDaemon, folder: Path, typed: str, sent: tuple[object, ...]) -> None:
    (folder / "sub").mkdir()
    for name in ("a.py", "sub/b.ipynb", "odd:3"):
        (folder / name).touch()
    result = run("related", typed, "-k", "3")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].startswith(" 1. src/fare.py:10-12  code 0.")
    body = fake.of("/api/related")[0].body
    assert (body["path"], body["line"], body["cell_index"]) == sent
    assert (body["roots"], body["k"]) == ([str(folder)], 3)


def test_as_json(run: Run, fake: FakeDaemon, folder: Path) -> None:
    (folder / "a.py").touch()
    assert json.loads(run("related", "a.py", "--json").stdout)["results"][0]["path"] == "src/fare.py"


def test_a_file_that_is_not_there_or_in_no_root_is_named(run: Run, fake: FakeDaemon, folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "b.py").touch()
    assert "a is a folder" in run("related", "a").stderr
    assert "gone.py is not there" in run("related", "gone.py:3").stderr
    assert f"--root {folder}" in run("related", "b.py", "--root", "a").stderr
    assert not fake.of("/api/related")
