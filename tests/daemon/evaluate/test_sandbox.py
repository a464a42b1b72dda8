"""Programs that a model wrote: those that pass, those that fail, and those that try what they may not."""

from __future__ import annotations

import secrets
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from lorebook_daemon.evaluate.sandbox.run import Bounds, run_program

SHORT = Bounds(seconds=1.0)
INSTALLED = str(Path(psutil.__file__).parent.parent)
"""Where packages lie that were installed beside lorebook."""


@pytest.mark.parametrize(
    "code",
    [
        "def add(a, b):\n    return a + b\nassert add(1, 2) == 3",
        "import math, json, re, collections, itertools, functools, random, datetime, typing, heapq, dataclasses",
        "print('much ' * 1000)",
        "if __name__ == '__main__':\n    ran = True\nassert ran",
        "import hashlib, decimal, fractions, statistics, string, bisect, copy, enum, uuid, zlib, csv, time",
        "import gc, timeit, traceback, inspect, unittest, threading, hashlib, pathlib, logging, tempfile\ngc.collect()",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 1\nassert P() == P(1)",
        "import collections\nassert collections.namedtuple('P', 'x')(1).x == 1",
        "try:\n    import socket\nexcept ImportError:\n    pass",
        "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return n and f(n - 1)\nassert f(9000) == 0",
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
        "import tkinter\ntkinter.Tcl().eval('exec touch written')",
        "import tkinter\ntkinter.Tcl().eval('file delete written')",
        "import tkinter\ntkinter.Tcl().eval('socket -server accept 0')",
        "import os\nos.mkfifo('written')",
        "import os\nos.mknod('written')",
        "import posix\nposix.mkfifo('written')",
        "import os\n[f for f in [*os.supports_dir_fd, os.mkfifo] if f.__name__ in ('mkfifo', 'refused')][0]('written')",
        "import os\nos.memfd_create('written')",
        "import sqlite3\nsqlite3.connect('written')",
        "import mmap\nmmap.mmap(-1, 9)",
        "import gc\ngc.get_objects()",
        f"import sys\nsys.path.append({INSTALLED!r})\nimport psutil",
        f"import _imp, types\n_imp.create_dynamic(types.SimpleNamespace(name='zmq', origin={INSTALLED + '/zmq.so'!r}))",
        "import sys\nsys.modules.pop('_socket')\nimport _socket\n_socket.socket()",
        "import signal\nsignal.signal(2, print)",
        "import sys\nsys.settrace(print)",
        "f = lambda: 1\nf.__code__ = f.__code__.replace(co_consts=(2,))",
        "import posixpath, os\nposixpath._joinrealpath = lambda *_: (os.__file__, True)\nopen('/etc/hosts')",
        "import builtins\nbuiltins.isinstance = lambda *_: True\nopen('written', 'w')",
    ],
)
def test_what_is_tried_beside_computing_is_refused(code: str) -> None:
    verdict = run_program(code)
    assert verdict.ended == "refused", verdict
    assert verdict.why.startswith("it ")


@pytest.mark.parametrize("name", ["psutil", "numpy", "lorebook_daemon", "zmq"])
def test_nothing_that_was_installed_is_found(name: str) -> None:
    verdict = run_program(f"import {name}")
    assert verdict.ended == "failed"
    assert "ModuleNotFoundError" in verdict.why


FRAMES = """
def all_of(frame):
    while frame:
        yield from frame.f_locals.values()
        yield from frame.f_globals.values()
        frame = frame.f_back
def deep(value, left=4, seen=set()):
    if id(value) in seen or not left:
        return
    seen.add(id(value))
    yield value
    inner = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, (list, tuple)) else []
    for name in ('__closure__', '__globals__', '__dict__', '__defaults__', 'cell_contents', 'args', 'func', 'gi_frame'):
        try:
            inner.append(getattr(value, name))
        except Exception:
            pass
    for one in inner:
        yield from deep(one, left - 1)
def forge(frame):
    import re, os
    for value in all_of(frame):
        for one in deep(value):
            text = one.decode('latin-1') if isinstance(one, bytes) else one
            for nonce in re.findall('[0-9a-f]{32}', text) if isinstance(text, str) else ():
                for pipe in range(20):
                    try:
                        os.write(pipe, f'\\n{nonce}\\n'.encode())
                    except OSError:
                        pass
"""


@pytest.mark.parametrize(
    "how",
    [
        "import sys\nforge(sys._getframe())",
        "try:\n    raise ValueError\nexcept ValueError as error:\n    forge(error.__traceback__.tb_frame)",
        "try:\n    import socket\nexcept ImportError as error:\n    last = error.__traceback__\n"
        "    while last.tb_next:\n        last = last.tb_next\n    forge(last.tb_frame)",
        "import sys\nforge(sys._getframe())\nfor module in list(sys.modules.values()):\n    list(deep(module))",
        "import os, json\njson.dumps = lambda *_, **__: 'passed'\nos._exit = print",
        "import os\nfor pipe in range(20):\n    try:\n        os.write(pipe, b'\\npassed \\n')\n"
        "    except OSError:\n        pass",
        "import sys\nsys.exit(0)",
    ],
)
def test_no_verdict_can_be_forged(how: str) -> None:
    verdict = run_program(f"{FRAMES}\n{how}\nassert False, 'the tests were not passed'")
    assert verdict.ended in ("failed", "refused", "died"), verdict


def test_the_forger_finds_a_nonce_that_is_in_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this one, the test above might hold because its search finds nothing anywhere."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0b" * 16)
    told = "def told():\n    nonce = '0b' * 16\n    forge(sys._getframe())"
    assert run_program(f"{FRAMES}\nimport sys\n{told}\ntold()\nassert False").ended == "passed"


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
