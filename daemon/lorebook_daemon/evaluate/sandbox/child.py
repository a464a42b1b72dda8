"""The sandbox's child process: reads a program from stdin, lets itself do little from then on, and runs it.

A script of the standard library alone; nothing of it is imported by the daemon. What it says last on its stdout is
`NONCE {"ended", "why", "held"}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

# What is looked up while a program runs must be there before reading is bounded.
_REFUSED = (
    "socket.", "subprocess.", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn", "os.system",
    "os.startfile", "os.kill", "os.killpg", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown",
    "os.link", "os.symlink", "os.truncate", "os.utime", "os.setxattr", "os.removexattr", "os.chflags", "os.lockf",
    "shutil.", "tempfile.", "ctypes.", "signal.pthread_kill", "pty.", "winreg.",
    "webbrowser.", "urllib.", "ftplib.", "http.", "smtplib.", "imaplib.", "poplib.", "telnetlib.", "nntplib.",
    "sqlite3.", "gc.", "msvcrt.", "_winapi.", "syslog.", "fcntl.", "resource.setrlimit", "resource.prlimit",
    "cpython.remote_debugger_script", "sys.remote_exec",
)  # fmt: skip
"""Beginnings of audit events' names."""
_NO_IMPORT = frozenset((
    "ctypes", "_ctypes", "cffi", "_cffi_backend", "_posixsubprocess", "multiprocessing", "_multiprocessing", "socket",
    "_socket", "subprocess", "ssl", "_ssl", "mmap", "_posixshmem", "pty", "readline", "_testcapi", "_testinternalcapi",
    "_xxsubinterpreters", "_interpreters", "faulthandler",
))  # fmt: skip
"""Modules from which a process, a socket or foreign memory can be had without an event."""
_READ_ONLY = (None, "", "r", "rb", "rt", "br", "tr", "U")


class Refused(PermissionError):
    """A program tried what it may not."""


def main() -> None:
    """Read, bound, run, tell."""
    told = json.load(sys.stdin)
    say = _mouth(told["nonce"])
    held = [*_limits(told["seconds"], told["memory_mb"]), *_no_network(), "audit hook"]
    ended, why = _tried(told["code"])
    say(json.dumps({"ended": ended, "why": why[:500], "held": held}))


def _tried(code: str) -> tuple[str, str]:
    """Run a program under watch; return how it ended, and why."""
    try:
        program = compile(code, "<program>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "failed", f"{type(error).__name__}: {error}"
    refused, missed = _watch()
    ended, why = _run(program)
    if refused:  # whatever came of it: it tried
        return "refused", refused[0]
    if missed and ended != "passed":  # a library may do without what is not let in
        return "refused", missed[0]
    return ended, why


def _mouth(nonce: str) -> Callable[[str], None]:
    """Return what speaks to the parent; what the program prints goes nowhere."""
    pipe = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    write, leave = os.write, os._exit

    def say(text: str) -> None:
        write(pipe, f"\n{nonce} {text}\n".encode("utf-8", "replace"))
        leave(0)  # at once: what the program left to be done at the end is not done

    return say


def _limits(seconds: float, memory_mb: int) -> list[str]:
    """Set the system's limits where it has them."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock and its look at the memory are all there is
        return []
    whole = int(seconds) + 1
    wanted = {
        "RLIMIT_CPU": whole,
        "RLIMIT_AS": memory_mb * 1024 * 1024,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": 0,
    }
    held = []
    for name, most in wanted.items():
        number = getattr(resource, name, None)
        try:
            if number is not None:
                resource.setrlimit(number, (most, most))
                held.append(name)
        except (OSError, ValueError):
            continue  # macOS bounds no address space; the parent looks at the memory instead
    return held


def _no_network() -> list[str]:
    """Leave the network for a namespace without one, where Linux lets an ordinary user do so."""
    if not sys.platform.startswith("linux"):
        return []
    user, network = 0x10000000, 0x40000000
    try:
        if hasattr(os, "unshare"):
            os.unshare(user | network)
        else:
            import ctypes

            library = ctypes.CDLL(None, use_errno=True)
            if library.unshare(user | network):
                return []
            for name in [name for name in sys.modules if name.split(".")[0] in ("ctypes", "_ctypes")]:
                del sys.modules[name]
    except OSError:
        return []
    return ["network namespace"]


def _watch() -> tuple[list[str], list[str]]:
    """Refuse from now on what is not computing; return what is told of deeds, and of modules, that were refused."""
    refused, missed = list[str](), list[str]()
    may_read = _reader()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            what = "" if may_read(*arguments) else f"it opens the file {arguments[0]!r} with mode {arguments[1]!r}"
        elif event == "import" and arguments[0].split(".")[0] in _NO_IMPORT:
            missed.append(f"it imports {arguments[0]}")
            raise ImportError(missed[-1])
        else:
            what = f"it calls {event}" if event.startswith(_REFUSED) else ""
        if what:
            refused.append(what)
            raise Refused(what)

    sys.addaudithook(hook)
    return refused, missed


def _reader() -> Callable[[Any, Any, Any], bool]:
    """Return what says whether a file may be opened: for reading alone, and Python's own libraries alone."""
    real, separator, writing = os.path.realpath, os.sep, os.O_WRONLY | os.O_RDWR | os.O_CREAT
    roots = tuple(real(folder) + separator for folder in {sys.prefix, sys.base_prefix, sys.exec_prefix})

    def may_read(path: Any, mode: Any, flags: Any) -> bool:
        if mode not in _READ_ONLY or (isinstance(flags, int) and flags & writing):
            return False
        return isinstance(path, str) and real(path).startswith(roots)

    return may_read


def _run(program: CodeType) -> tuple[str, str]:
    """Run a program; return how it ended, and why."""
    try:
        exec(program, {"__name__": "__main__"})  # noqa: S102 - that is what this is for
    except MemoryError:
        return "memory", "it took more memory than it may"
    except BaseException as error:  # SystemExit too: who leaves early did not come to the end of the tests
        text = str(error).strip()
        return "failed", f"{type(error).__name__}{f': {text}' if text else ''}"
    return "passed", ""


if __name__ == "__main__":
    main()
