"""Shared among processes, files stay whole, the browser's stay together, and the slowest come first."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.places import ROOT

FILES = {
    "tests/test_quick.py": "",
    "tests/test_daemon.py": "import pytest\n@pytest.mark.daemon\ndef test_slow(): pass\n",
    "tests/browser/test_one.py": "import pytest\npytestmark = pytest.mark.browser\n",
    "tests/browser/test_other.py": "import pytest\npytestmark = pytest.mark.browser\n",
}
TWO = "".join(f"def test_{n}():\n    pass\n\n" for n in range(2))
SETTINGS = '[tool.pytest.ini_options]\ntestpaths = ["tests"]\nmarkers = ["browser", "daemon"]\n'


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A few tests in folders named as ours are, with our schedule."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + TWO)
    return tmp_path


def outcomes(suite: Path, *words: str) -> list[tuple[str, str]]:
    """Run them and return who ran which file, in the order in which they ended; the who is empty without processes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-m", "pytest", "-v", "-p", "schedule", "--import-mode=importlib", *words]
    child = subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stdout + child.stderr
    shared = re.findall(r"^\[(gw\d)\].* PASSED (tests/\S+)::", child.stdout, re.MULTILINE)
    return shared or [("", name) for name in re.findall(r"^(tests/\S+)::\S+ PASSED", child.stdout, re.MULTILINE)]


def test_two_processes_have_whole_files_and_one_of_them_the_browser(suite: Path) -> None:
    ran = outcomes(suite, "--numprocesses=2", "--dist=loadfile")
    assert len(ran) == 9
    assert all(len({who for who, name in ran if name == file}) == 1 for file in FILES)
    assert len({who for who, name in ran if name.startswith("tests/browser")}) == 1


def test_one_process_has_the_slowest_first(suite: Path) -> None:
    ran = [name for _, name in outcomes(suite, "--numprocesses=1", "--dist=loadfile")]
    assert list(dict.fromkeys(ran)) == [*sorted(FILES)[:2], "tests/test_daemon.py", "tests/test_quick.py"]


def test_by_hand_nothing_moves(suite: Path) -> None:
    ran = [name for _, name in outcomes(suite, "tests/test_quick.py", "tests/test_daemon.py", "tests/browser")]
    assert list(dict.fromkeys(ran)) == ["tests/test_quick.py", "tests/test_daemon.py", *sorted(FILES)[:2]]
