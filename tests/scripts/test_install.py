"""Finished steps are passed over, changed inputs are not; a kill leaves the last good state."""

import subprocess
import sys

import pytest

from scripts import install, wheels
from scripts.places import CONSTRAINTS, ROOT, find_wheel_cache, python_of
from scripts.stamps import Stamps, make_key
from scripts.trouble import Trouble
from scripts.turn import take_turn


def test_a_key_follows_its_parts():
    assert make_key("a", 1) == make_key("a", "1")
    assert make_key("a", "b") != make_key("ab")
    assert make_key("a", "b") != make_key("b", "a")


def test_a_stamp_is_read_back_and_replaced(tmp_path):
    stamps = Stamps(tmp_path / "deep" / "stamps")
    assert stamps.read("engine") == ""
    stamps.mark("engine", "one")
    stamps.mark("engine", "two")
    assert stamps.read("engine") == "two"
    assert [path.name for path in stamps.folder.iterdir()] == ["engine"]


@pytest.fixture
def ran(monkeypatch):
    """Record the commands that would run."""
    commands = []

    def record(label, command, log, progress, env=None):
        commands.append((label, [str(part) for part in command]))

    monkeypatch.setattr(install, "run_logged", record)
    monkeypatch.setattr(wheels, "run_logged", record)
    return commands


@pytest.fixture
def setup(tmp_path, monkeypatch):
    monkeypatch.setenv("LOREBOOK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CMAKE_ARGS", raising=False)
    venv = tmp_path / "venv"
    python_of(venv).parent.mkdir(parents=True)
    python_of(venv).touch()
    return install.Setup(
        venv, Stamps(venv / "stamps"), {"pip": "26.0", "llama-cpp-python": "0.3.36", "hnswlib": "0.8.0"}
    )


def keep(wheel):
    wheel.folder.mkdir(parents=True)
    (wheel.folder / f"{wheel.name}.whl").touch()


def go(setup, step="lorebook"):
    setup.make_environment()
    setup.bring_pip()
    setup.build_and_install()
    setup.install_rest(step)


def test_a_second_run_does_nothing(setup, ran):
    keep(wheels.engine_wheel("0.3.36"))
    keep(wheels.vectors_wheel("0.8.0"))
    go(setup)
    assert [label for label, _ in ran] == [
        "making .venv",
        "bringing pip",
        "installing hnswlib",
        "installing llama-cpp-python",
        "installing lorebook",
    ]
    ran.clear()
    go(setup)
    assert ran == []
    go(setup, "lab")
    go(setup, "dev")
    assert [label for label, _ in ran] == ["installing JupyterLab", "installing the test tools"]


def test_an_interrupted_step_is_done_again(setup, ran, monkeypatch):
    keep(wheels.engine_wheel("0.3.36"))
    keep(wheels.vectors_wheel("0.8.0"))

    def stop(label, *rest):
        if label == "installing llama-cpp-python":
            raise KeyboardInterrupt
        ran.append((label, []))

    monkeypatch.setattr(install, "run_logged", stop)
    with pytest.raises(KeyboardInterrupt):
        go(setup)
    monkeypatch.setattr(install, "run_logged", lambda label, *rest: ran.append((label, [])))
    ran.clear()
    go(setup)
    assert [label for label, _ in ran] == ["installing llama-cpp-python", "installing lorebook"]


def test_other_flags_mean_another_wheel(setup, monkeypatch):
    before = wheels.engine_wheel("0.3.36")
    keep(before)
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=ON")
    after = wheels.engine_wheel("0.3.36")
    assert before.find() is not None
    assert after.find() is None
    assert after.built_with[-1] == "-DGGML_CUDA=ON"
    assert wheels.engine_wheel("0.3.37").key != after.key


def test_an_environment_of_another_python_is_cleared(setup, ran):
    setup.stamps.mark("environment", "another")
    setup.make_environment()
    assert "--clear" in ran[0][1]


def test_somebody_elses_environment_is_not_cleared(setup, ran):
    setup.make_environment()
    assert "--clear" not in ran[0][1]


def test_no_compiler_is_said_before_anything_is_downloaded(setup, ran, monkeypatch):
    monkeypatch.setattr(wheels.shutil, "which", lambda name: None)
    monkeypatch.setattr(wheels.sys, "platform", "linux")
    with pytest.raises(Trouble, match=r"no C\+\+ compiler"):
        setup.build_and_install()
    assert ran == []


def test_a_compiler_that_is_named_and_missing_is_no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "/nowhere/g++ -pipe")
    with pytest.raises(Trouble, match=r"no C\+\+ compiler"):
        wheels.check_compiler()


def test_an_engine_that_does_not_load_is_said_and_tried_again(setup):
    python_of(setup.venv).write_text("#!/bin/sh\necho 'OSError: libllama.so: bad ELF' >&2\nexit 1\n")
    python_of(setup.venv).chmod(0o755)
    setup.stamps.mark("engine", "key")
    for _ in range(2):
        with pytest.raises(Trouble, match="does not load: OSError: libllama"):
            setup.check_engine()


def test_a_wheel_is_kept_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("LOREBOOK_HOME", str(tmp_path))
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / "hnswlib-0.8.0.whl").write_bytes(b"zip")
    wheel = wheels.vectors_wheel("0.8.0")
    kept = wheel.keep(tmp_path / "drafts")
    assert kept == wheel.find()
    assert kept.read_bytes() == b"zip"
    assert [path.name for path in wheel.folder.iterdir()] == ["hnswlib-0.8.0.whl"]


def test_wheels_follow_lorebook_home(monkeypatch, tmp_path):
    monkeypatch.setenv("LOREBOOK_HOME", str(tmp_path))
    assert find_wheel_cache() == tmp_path / "cache" / "wheels"
    monkeypatch.delenv("LOREBOOK_HOME")
    assert "lorebook" in str(find_wheel_cache()).lower()


def test_the_linters_settings_install_nothing():
    assert "tool" not in install.read_wishes(ROOT / "pyproject.toml")
    assert CONSTRAINTS.is_file()


def test_two_set_ups_take_turns(tmp_path):
    lock = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from scripts.turn import take_turn\n"
        "with take_turn(Path(sys.argv[1])): print('in')"
    )
    with take_turn(lock):
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(lock)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert "waiting" in other.stderr.readline()
        assert other.poll() is None
    out, _ = other.communicate(timeout=20)
    assert out == "in\n"


def test_the_bare_python_needs_nothing_installed():
    child = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import scripts.install"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
