"""The front end is built once for the same files; without Node.js that is said."""

import pytest

from scripts import frontend
from scripts.frontend import PARTS, Project, Workshop
from scripts.stamps import Stamps
from scripts.trouble import Trouble

PANEL = Project(PARTS.parent / "panel", PARTS.parent / "built")


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Record the words that npm would get; a build makes its folder."""
    calls = []

    def record(label, command, log, progress, env):
        words = [str(part) for part in command[3:]]
        calls.append(words)
        if words == ["run", "build"]:
            (tmp_path / PANEL.built).mkdir()

    monkeypatch.setattr(frontend, "run_logged", record)
    return calls


@pytest.fixture
def workshop(tmp_path):
    for folder in (PARTS, PANEL.folder):
        (tmp_path / folder / "node_modules").mkdir(parents=True)
        (tmp_path / folder / "package-lock.json").write_text("{}")
        (tmp_path / folder / "a.ts").write_text("one")
    return Workshop(tmp_path, "npm", Stamps(tmp_path / "stamps"), tmp_path)


def test_the_same_files_are_built_once(workshop, ran):
    workshop.make(PANEL, check=True)
    assert ran == [["install", "--no-save"], ["run", "build"], ["run", "check"]]
    workshop.make(PANEL, check=True)
    assert len(ran) == 3


@pytest.mark.parametrize("changed", [PARTS, PANEL.folder])
def test_a_change_in_the_project_or_the_shared_parts_builds_anew(workshop, ran, changed):
    workshop.make(PANEL, check=False)
    (workshop.root / PANEL.built / "stale.js").write_text("")
    (workshop.root / changed / "a.ts").write_text("two")
    (workshop.root / changed / "node_modules" / "x.js").write_text("packages do not count")
    workshop.make(PANEL, check=False)
    assert ran == [["install", "--no-save"], ["run", "build"], ["run", "build"]]
    assert not (workshop.root / PANEL.built / "stale.js").exists()


def test_what_was_deleted_is_built_anew(workshop, ran):
    workshop.make(PANEL, check=False)
    (workshop.root / PANEL.built).rmdir()
    workshop.make(PANEL, check=False)
    assert ran == [["install", "--no-save"], ["run", "build"], ["run", "build"]]


def test_other_packages_are_brought(workshop, ran):
    workshop.make(Project(PARTS), check=False)
    (workshop.root / PARTS / "package-lock.json").write_text('{"name": "x"}')
    workshop.make(Project(PARTS), check=False)
    assert ran == [["install", "--no-save"], ["install", "--no-save"]]


@pytest.fixture
def no_npm(monkeypatch):
    monkeypatch.setattr(frontend.shutil, "which", lambda name: None)


def test_without_npm_it_is_said_what_to_install(no_npm):
    with pytest.raises(Trouble, match=r"no npm.*nodejs\.org"):
        frontend.find_npm()


@pytest.mark.parametrize(
    ("words", "environment", "code"),
    [([], "", 1), (["--check"], "", 0), (["--check"], "true", 1), (["--check"], "false", 0)],
)
def test_only_a_check_outside_of_ci_is_passed_over(no_npm, monkeypatch, capsys, words, environment, code):
    monkeypatch.setenv("CI", environment)
    monkeypatch.setattr(frontend.sys, "argv", ["frontend", *words])
    assert frontend.main() == code
    told = capsys.readouterr().err
    assert "There is no npm" in told
    assert ("was not checked" in told) == (code == 0)


@pytest.mark.parametrize(
    ("split", "sizes", "fits"),
    [
        (False, (200_000, 100_000), True),
        (False, (200_000, 100_001), False),
        (True, (300_000, 300_000), True),
        (True, (10, 300_001), False),
    ],
)
def test_a_bundle_that_grew_too_big_is_refused(tmp_path, monkeypatch, split, sizes, fits):
    def build(label, command, *_):
        if "build" in command:
            (tmp_path / PANEL.built).mkdir()
            for number, size in enumerate(sizes):
                (tmp_path / PANEL.built / f"{number}.js").write_bytes(b"x" * size)

    monkeypatch.setattr(frontend, "run_logged", build)
    for folder in (PARTS, PANEL.folder):
        (tmp_path / folder / "node_modules").mkdir(parents=True)
        (tmp_path / folder / "package-lock.json").write_text("{}")
    made = Workshop(tmp_path, "npm", Stamps(tmp_path / "stamps"), tmp_path)
    project = Project(PANEL.folder, PANEL.built, split)
    if fits:
        made.make(project, check=False)
    else:
        with pytest.raises(Trouble, match="above 300,000"):
            made.make(project, check=False)
