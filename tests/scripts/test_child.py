"""The output of long commands is read for progress, kept in a log, and told in one line when they fail."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts import bar, child
from scripts.trouble import COMPILER, SIGNS, Trouble, advise, diagnose


@pytest.mark.parametrize(
    ("line", "far"),
    [
        ("[12/345] Building CXX object src/llama.cpp.o", (12, 345)),
        ("  [1/9] cd /tmp && cmake -E touch\n", (1, 9)),
        ("[345/345] Install the project...", (345, 345)),
        ("-- Detecting [1/2]", None),
        ("[0/0] Re-running CMake...", None),
        ("[12/] broken", None),
        ("", None),
    ],
)
def test_ninja(line, far):
    assert child.read_ninja(line) == far


def test_download():
    assert child.read_download("Progress 262144 of 76589250") == (262144, 76589250)
    assert child.read_download("Downloading x-1.0.tar.gz (76.6 MB)") is None


@given(st.text())
def test_any_line_can_be_read(line):
    for reader in (child.read_ninja, child.read_download, child.CountedPackages(3)):
        far = reader(line)
        assert far is None or far[1] > 0


def test_packages_are_counted_once_and_never_beyond_the_end():
    count = child.CountedPackages(20)
    assert count("Collecting numpy>=1.26 (from -c x)") == (1, 20)
    assert count("Collecting numpy>=1.26 (from scipy)") == (1, 20)
    assert [count(f"  Collecting p{n}") for n in range(40)][-1] == (19, 20)
    assert count("Requirement already satisfied: pip") is None


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_without_a_terminal_a_line_every_tenth():
    out = io.StringIO()
    drawn = bar.Bar("building", out)
    for done in range(1000):
        drawn.update(done, 999)
    drawn.end()
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[5].startswith("building: 50%")


@given(st.lists(st.tuples(st.integers(-5, 500), st.integers(-5, 400)), max_size=30))
def test_the_bar_stays_within_its_frame(steps):
    out = Terminal()
    drawn = bar.Bar("building", out)
    for done, total in steps:
        drawn.update(done, total)
    for frame in out.getvalue().split("\r"):
        gauge = frame.partition("[")[2].partition("]")[0]
        assert len(gauge) in (0, 24)
    assert "\n" not in out.getvalue()


def run(tmp_path, code, env=None):
    log = tmp_path / "logs" / "step.log"
    child.run_logged("the step", [sys.executable, "-c", code], log, child.read_ninja, env)
    return log.read_text()


def test_output_goes_to_the_log(tmp_path, capfd):
    said = run(tmp_path, "import os; print('[1/2] x'); print(os.environ['COLOUR'])", {"COLOUR": "blue"})
    assert "[1/2] x\nblue\n" in said
    assert "blue" not in "".join(capfd.readouterr())


def test_bytes_that_are_not_utf8_do_no_harm(tmp_path):
    assert "caf" in run(tmp_path, r"import sys; sys.stdout.buffer.write(b'caf\xe9\n')")


def test_a_failure_names_its_cause_and_the_log(tmp_path):
    with pytest.raises(Trouble) as caught:
        run(tmp_path, "print('x.cpp:3: error: no such thing'); raise SystemExit(2)")
    assert caught.value.message == "the step failed: x.cpp:3: error: no such thing"
    assert str(tmp_path) in caught.value.hint


LOGS = {
    "No space left on device": "fatal error: error writing to /tmp/x.s: No space left on device",
    "No CMAKE_CXX_COMPILER": "CMake Error at CMakeLists.txt:3 (project):\n  No CMAKE_CXX_COMPILER could be found.",
    "does not work": 'CMake Error at x:71 (message):\n  The C++ compiler\n\n    "/bin/false"\n\n'
    "  is not able to compile a\n  simple test program.",
    "Python.h": "bindings.cpp:1:10: fatal error: Python.h: No such file or directory",
    "Killed": "c++: fatal error: Killed signal terminated program cc1plus",
    "NewConnectionError": "WARNING: Retrying after connection broken by 'NewConnectionError(...)'",
    "No matching": "ERROR: No matching distribution found for cmake==9",
}


@pytest.mark.parametrize(("log", "sign"), list(zip(LOGS.values(), (SIGNS[n] for n in range(len(LOGS))), strict=True)))
def test_known_causes_are_recognised(log, sign, tmp_path):
    assert sign.message in diagnose("building", f"lines before\n{log}\nlines after", tmp_path).message


def test_every_known_cause_has_a_test_and_a_next_step():
    assert len(LOGS) == len(SIGNS)
    for sign in SIGNS:
        assert advise(sign, "Linux").hint


def test_the_compiler_comes_from_where_the_system_has_it():
    assert "xcode-select" in advise(COMPILER, "Darwin").hint
    assert "apt install g++" in advise(COMPILER, "Linux").hint


def test_cmakes_reason_stands_below_its_place(tmp_path):
    log = "CMake Error at CMakeLists.txt:12 (message):\n  OpenMP is too old.\n"
    assert diagnose("building", log, tmp_path).message == "building failed: OpenMP is too old."


def test_a_silent_failure_still_names_the_log(tmp_path):
    assert str(tmp_path / "a.log") in diagnose("building", "", tmp_path / "a.log").hint
