"""Programs that a model wrote: those that pass, those that fail, and those that try what they may not."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from lorebook_daemon.evaluate.sandbox.run import Bounds, run_program

SHORT = Bounds(seconds=1.0)


@pytest.mark.parametrize(
    "code",
    [
        "def add(a, b):\n    return a + b\nassert add(1, 2) == 3",
        "import math, json, re, collections, itertools, functools, random, datetime, typing, heapq, dataclasses",
        "print('much ' * 1000)",
        "if __name__ == '__main__':\n    ran = True\nassert ran",
    ],
)
def test_a_program_that_comes_to_its_end_passes(code: str) -> None:
    verdict = run_program(code)
    assert verdict.ended == "passed", verdict
    assert "audit hook" in verdict.held


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("assert 1 == 2, 'one is not two'", "AssertionError: one is not two"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("def f(): return f()\nf()", "RecursionError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("\0", "null"),
    ],
)
def test_a_program_that_does_not_fails_with_its_reason(code: str, why: str) -> None:
    verdict = run_program(code)
    assert verdict.ended == "failed", verdict
    assert why in verdict.why


def test_who_leaves_before_the_tests_has_not_passed_them() -> None:
    assert run_program("import os; os._exit(0)\nassert False").ended == "died"


@pytest.mark.parametrize(
    "code",
    [
        "import os\nwhile True: os.fork()",
        "open('written', 'w').write('x')",
        "try:\n    open('written', 'w')\nexcept Exception:\n    pass",
        "import os\nos.open('written', os.O_CREAT | os.O_WRONLY)",
        "from pathlib import Path\nPath('written').mkdir()",
        "import os\nos.remove('written')",
        "import socket\nsocket.create_connection(('127.0.0.1', 1))",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1')",
        "import subprocess\nsubprocess.run(['ls'])",
        "import os\nos.system('ls')",
        "import ctypes\nctypes.CDLL(None)",
        "import os\nos.kill(os.getppid(), 9)",
        f"open({__file__!r}).read()",
    ],
)
def test_what_is_tried_beside_computing_is_refused(code: str) -> None:
    verdict = run_program(code)
    assert verdict.ended == "refused", verdict
    assert verdict.why.startswith("it ")


def test_a_program_that_never_ends_is_ended_with_what_it_started() -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    begun = time.monotonic()
    assert run_program("while True: pass", SHORT).ended == "time"
    assert time.monotonic() - begun < 15
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before


def test_a_program_that_takes_all_memory_is_stopped() -> None:
    assert run_program("held = []\nwhile True: held.append(bytearray(10**7))", Bounds(30.0, 256)).ended == "memory"


FLOOD = """
import os
while True:
    for pipe in range(1, 9):
        try:
            os.write(pipe, b"x" * 999)
        except OSError:
            pass
"""


def test_a_program_that_writes_without_end_is_stopped() -> None:
    assert run_program(FLOOD, SHORT).ended in ("time", "output")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's")
def test_nothing_is_left_behind(tmp_path: Path) -> None:
    written = tmp_path / "written"
    run_program(f"open({str(written)!r}, 'w')")
    assert not written.exists()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.1)
        run_program(f"import socket\nsocket.create_connection({server.getsockname()!r})")
        with pytest.raises(TimeoutError):
            server.accept()
