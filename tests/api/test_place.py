from dataclasses import replace
from pathlib import Path

import fake_daemon
from lorebook_api.place import find_file, name_place


def test_places() -> None:
    cell = fake_daemon.CITATION
    assert name_place(cell) == "clean.ipynb · cell 5 [In 7] lines 2-3"
    assert name_place(replace(cell, execution_count=None, end_line=2)) == "clean.ipynb · cell 5 line 2"
    assert name_place(fake_daemon.RESULT) == "src/fare.py:10-12"
    assert name_place(fake_daemon.CODE_CITATION, "/data/") == "/data/src/fare.py:10"


def test_the_file_lies_below_its_own_root_first() -> None:
    assert find_file(fake_daemon.RESULT, "/other") == Path("/data/src/fare.py")
    assert find_file(replace(fake_daemon.RESULT, root=""), "/other") == Path("/other/src/fare.py")
