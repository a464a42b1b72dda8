"""The commands that the documents name exist, and say what they do."""

import dataclasses
import re
import shutil
import subprocess
import tarfile
import zipfile

import pytest

from lorebook_daemon.settings import Settings
from scripts import check_dist, demo, tree
from scripts.places import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def test_every_target_that_the_documents_name_is_there():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    named = {name for file in texts for name in re.findall(r"\bmake ([a-z]+)`", file.read_text(encoding="utf-8"))}
    assert {"demo", "test"} <= named <= TARGETS


def test_the_map_names_every_module():
    document = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = document.partition(tree.BEGIN)[2].partition(tree.END)[0]
    named = sorted(line.split()[0] for line in drawn.splitlines() if line)
    there = sorted(line.split()[0] for line in tree.draw(ROOT).splitlines() if line)
    assert named == there, "type: make tree"


def test_the_table_of_settings_is_that_of_the_code():
    document = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    begin, end = tree.TABLE
    drawn = document.partition(begin)[2].partition(end)[0]
    assert drawn == tree.table((ROOT / tree.SETTINGS).read_text(encoding="utf-8")), "type: make tree"
    assert [line.split("`")[1] for line in drawn.splitlines()[2:]] == [one.name for one in dataclasses.fields(Settings)]


def test_the_map_is_drawn_between_its_marks(tmp_path):
    package = tmp_path / "scripts" / "inner"
    package.mkdir(parents=True)
    (package.parent / "a.py").write_text('"""What a does.\n\nMore."""')
    (package / "__init__.py").write_text('"""Inside."""')
    (package / "b.py").write_text("")
    drawn = tree.draw(tmp_path)
    assert drawn.splitlines() == ["scripts/", "  a.py    What a does", "  inner/  Inside", "    b.py"]
    assert tree.insert(f"x{tree.BEGIN}old{tree.END}y", drawn) == f"x{tree.BEGIN}{drawn}{tree.END}y"
    with pytest.raises(ValueError, match="marks"):
        tree.insert("no marks", drawn)


def test_the_tests_come_last():
    steps = re.search(r"^test: ([^#]*)", MAKEFILE, re.MULTILINE)[1].split()
    assert steps[-1] == "pytest"
    assert {"lint", "type", "imports"} <= set(steps)
    assert ".NOTPARALLEL:" in MAKEFILE


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert "make test" in script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o100


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_an_old_python_is_told_so(tmp_path):
    old = tmp_path / "python3.8"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    child = subprocess.run(["make", "install", f"PYTHON={old}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode != 0
    assert "needs Python 3.11" in child.stderr


class TestDemo:
    @pytest.fixture
    def lorebook(self, tmp_path):
        """A command that notes how it was called and fails when it is told to."""
        file = tmp_path / "lorebook"
        file.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ntest "$1" != "$FAIL"\n')
        file.chmod(0o755)
        return file

    def test_it_runs_the_three_commands_and_says_what_is_next(self, lorebook, capfd):
        assert demo.run(lorebook) == 0
        calls = (lorebook.parent / "calls").read_text().splitlines()
        assert calls[:2] == ["models pull auto", "index samples"]
        assert calls[2].endswith("--root samples")
        after = capfd.readouterr().out.partition("Next, type:")[2]
        assert len(after.strip().splitlines()) == 3

    def test_it_stops_at_the_first_failure(self, lorebook, monkeypatch, capfd):
        monkeypatch.setenv("FAIL", "index")
        assert demo.run(lorebook) == 1
        assert "ask" not in (lorebook.parent / "calls").read_text()
        assert "make demo" in capfd.readouterr().err


class TestDist:
    @pytest.fixture
    def tree(self, tmp_path):
        (tmp_path / "pyproject.toml").write_text(
            '[tool.hatch.build.targets.wheel]\npackages = ["daemon/lorebook_api"]\n'
        )
        package = tmp_path / "daemon" / "lorebook_api"
        (package / "__pycache__").mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__pycache__" / "x.pyc").touch()
        return tmp_path

    def make(self, tree, members):
        dist = tree / "dist"
        dist.mkdir()
        with zipfile.ZipFile(dist / "l.whl", "w") as wheel:
            for member in members:
                wheel.writestr(member, "")
        for name in ("README.md", "LICENSE", "constraints.txt", "Makefile", "scripts/install.py"):
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).touch()
        with tarfile.open(dist / "l.tar.gz", "w:gz") as archive:
            for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt", "Makefile", "scripts"):
                archive.add(tree / name, f"lorebook-0.1.0/{name}")
        return dist

    def test_a_whole_wheel_has_no_fault(self, tree):
        dist = self.make(tree, ["lorebook_api/__init__.py", "l.dist-info/METADATA"])
        assert check_dist.find_faults(tree, dist) == []

    def test_a_missing_and_a_stray_file_are_named(self, tree):
        dist = self.make(tree, ["lorebook_api/secret.txt"])
        assert check_dist.find_faults(tree, dist) == [
            "The wheel lacks lorebook_api/__init__.py.",
            "The wheel holds lorebook_api/secret.txt, which is none of ours.",
        ]

    def test_nothing_made_is_a_fault(self, tree):
        assert check_dist.find_faults(tree, tree / "none")
