"""The sandbox's child process: reads a program from stdin, lets itself do little from then on, and runs it.

A script of the standard library alone; nothing of it is imported by the daemon. On its stdout stands first what holds
the program, then how it ended: `ENDED WHY`, or the parent's nonce alone where it came to its last line. Nothing but
that line counts for the program, so whatever else it writes there is at its own cost. The nonce is in no frame, module
or closure by then: only an iterator of C has it, which writes it when the program has returned.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import Any

_REFUSED = (
    "lorebook.", "socket.", "subprocess.", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "os.spawn",
    "os.system", "os.startfile", "os.kill", "os.killpg", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod",
    "os.chown", "os.link", "os.symlink", "os.truncate", "os.utime", "os.setxattr", "os.removexattr", "os.chflags",
    "os.lockf", "os.add_dll_directory", "shutil.", "tempfile.", "ctypes.", "signal.pthread_kill", "pty.", "winreg.",
    "webbrowser.", "urllib.", "ftplib.", "http.", "smtplib.", "imaplib.", "poplib.", "telnetlib.", "nntplib.",
    "sqlite3.", "mmap.", "gc.", "msvcrt.", "_winapi.", "syslog.", "fcntl.", "resource.setrlimit", "resource.prlimit",
    "cpython.remote_debugger_script", "cpython.PyInterpreterState_New", "sys.remote_exec", "sys.addaudithook",
    "sys.settrace", "sys.setprofile", "sys.monitoring", "sys._current_frames", "sys._current_exceptions",
    "code.__new__",
)  # fmt: skip
"""Beginnings of audit events' names."""
_NO_IMPORT = frozenset((
    "ctypes", "_ctypes", "cffi", "_cffi_backend", "_posixsubprocess", "multiprocessing", "_multiprocessing", "socket",
    "_socket", "subprocess", "ssl", "_ssl", "select", "mmap", "_posixshmem", "pty", "readline", "_testcapi",
    "_testinternalcapi", "_xxsubinterpreters", "_interpreters", "faulthandler", "tkinter", "_tkinter", "sqlite3",
    "_sqlite3", "dbm", "_dbm", "_gdbm", "fcntl", "resource", "syslog", "termios", "winreg", "msvcrt", "_winapi",
))  # fmt: skip
"""Modules for which a program that fails is told that it wanted them."""
_COMPILED = frozenset((
    "_abc", "_ast", "_codecs", "_collections", "_functools", "_imp", "_io", "_locale", "_operator", "_signal", "_sre",
    "_stat", "_string", "_symtable", "_thread", "_tokenize", "_tracemalloc", "_typing", "_warnings", "_weakref",
    "_sysconfig", "_suggestions", "atexit", "builtins", "errno", "itertools", "marshal", "nt", "posix", "sys", "time",
    "_bisect", "_blake2", "_bz2", "_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr",
    "_codecs_tw", "_contextvars", "_csv", "_datetime", "_decimal", "_elementtree", "_hashlib", "_heapq", "_hmac",
    "_json", "_lzma", "_md5", "_multibytecodec", "_opcode", "_pickle", "_queue", "_random", "_sha1", "_sha2",
    "_sha256", "_sha3", "_sha512", "_statistics", "_struct", "_types", "_zoneinfo", "_zstd", "array", "binascii",
    "cmath", "math", "pyexpat", "unicodedata", "zlib",
))  # fmt: skip
"""Modules of machine code that only compute; what happens in any other is seen by no hook, so none is let in."""
_OS = frozenset((
    "WCOREDUMP", "WEXITSTATUS", "WIFCONTINUED", "WIFEXITED", "WIFSIGNALED", "WIFSTOPPED", "WSTOPSIG", "WTERMSIG",
    "abort", "access", "close", "cpu_count", "device_encoding", "fspath", "fstat", "get_blocking", "get_inheritable",
    "get_terminal_size", "getcwd", "getcwdb", "getegid", "geteuid", "getgid", "getpid", "getppid", "getrandom",
    "getuid", "isatty", "listdir", "lseek", "lstat", "open", "process_cpu_count", "putenv", "read", "readlink",
    "register_at_fork", "scandir", "sched_getaffinity", "sched_yield", "stat", "strerror", "sysconf", "times",
    "uname", "unsetenv", "urandom", "waitstatus_to_exitcode", "write",
))  # fmt: skip
"""Functions of `os` that a program keeps, beside those that begin with `_`: some of the others make no event."""
_STRIPPED = {
    "_signal": ("signal", "setitimer", "set_wakeup_fd", "pidfd_send_signal", "pthread_kill", "siginterrupt"),
    "time": ("clock_settime", "clock_settime_ns"),
    "sys": ("activate_stack_trampoline",),
}
"""Functions of other modules that change something outside, or run a program's code within the hook."""
_READ_ONLY = (None, "", "r", "rb", "rt", "br", "tr", "U")


def main() -> None:
    """Read, bound, run, tell. A program sees this frame, and nothing in it is worth anything."""
    pipe, missed = os.dup(1), list[str]()
    try:
        for _ in _steps(pipe, missed):
            pass
    except MemoryError:
        _say(pipe, "memory", "it took more memory than it may")
    except BaseException as error:  # SystemExit too: who leaves early did not come to the end of the tests
        text = str(error).strip()
        told = f"{type(error).__name__}{f': {text}' if text else ''}"
        _say(pipe, "refused" if missed else "failed", missed[0] if missed else told)  # a library may do without


def _say(pipe: int, ended: str, why: str) -> None:
    """Tell the parent how it ended, and leave at once: what the program left to be done at the end is not done."""
    os.write(pipe, f"\n{ended} {' '.join(why.split())[:500]}\n".encode("utf-8", "replace"))
    os._exit(0)


def _steps(pipe: int, missed: list[str]) -> Iterator[Any]:
    """Bound this process; return what runs the program, then says so, then leaves, and is C from end to end."""
    told = _read()
    _hush()
    held = [*_limits(told["seconds"], told["memory_mb"]), *_no_network(), "audit hook"]
    os.write(pipe, f"{json.dumps(held)}\n".encode())
    program = compile(told["code"], "<program>", "exec")
    scope = ModuleType("__main__")
    sys.modules["__main__"] = scope
    run: partial[Any] = partial(exec, program, scope.__dict__)
    say: partial[Any] = partial(os.write, pipe, f"\n{told['nonce']}\n".encode())
    leave: partial[Any] = partial(os._exit, 0)
    _strip()
    _watch(missed, pipe)
    return map(partial.__call__, iter((run, say, leave)))


def _read() -> dict[str, Any]:
    """Return what the parent tells; nothing of it stays in a buffer."""
    pieces = []
    while piece := os.read(0, 65536):
        pieces.append(piece)
    told: dict[str, Any] = json.loads(b"".join(pieces))
    return told


def _hush() -> None:
    """Send what the program prints nowhere, and let it read nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)


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

            if ctypes.CDLL(None, use_errno=True).unshare(user | network):
                return []
    except (OSError, ImportError):
        return []
    return ["network namespace"]


# -- what the program does not find


def _strip() -> None:
    """Take from the interpreter what makes files, processes and sockets, and what would bring it back."""
    _bring_in()
    system = sys.modules["nt" if os.name == "nt" else "posix"]
    plain = type(os.getpid)
    gone = [
        name
        for name, value in vars(system).items()
        if isinstance(value, plain) and name not in _OS and not name.startswith("_")
    ]
    functions = {getattr(system, name) for name in gone}
    for name in gone:
        stand_in = _stand_in(f"os.{name}")
        setattr(system, name, stand_in)
        setattr(os, name, stand_in)
    for name in ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks"):
        setattr(os, name, getattr(os, name) - functions)
    for module, names in _STRIPPED.items():
        for name in names:
            if hasattr(sys.modules[module], name):
                setattr(sys.modules[module], name, _stand_in(f"{module.lstrip('_')}.{name}"))
    _still_collector()


def _bring_in() -> None:
    """Import what is built in and only computes; let nothing else of machine code be imported from now on."""
    import _imp

    for name in sys.builtin_module_names:
        if name in _COMPILED:
            importlib.import_module(name)
    compiled = {*sys.builtin_module_names, *_extensions()}
    for name in list(sys.modules):  # what stands on them goes too, as ctypes does
        if name.split(".")[0] in _NO_IMPORT:
            del sys.modules[name]
    for name in compiled - _COMPILED:
        sys.modules[name] = None  # type: ignore[assignment] # importing it fails, and no loader is asked
    del _imp.create_builtin, _imp.exec_builtin  # a fresh `posix` would have all its functions again


def _extensions() -> Iterator[str]:
    """Yield the names of the standard library's modules that are files of machine code."""
    for folder in filter(os.path.isdir, sys.path):
        for entry in os.scandir(folder):
            if entry.name.endswith((".so", ".pyd", ".dylib")):
                yield entry.name.split(".")[0]


def _still_collector() -> None:
    """End the collection of cycles: it runs a program's code in any frame. What is left of `gc` does nothing."""
    gc.collect()
    gc.disable()
    still = ModuleType("gc")
    for name in ("enable", "disable", "isenabled", "collect", "freeze", "unfreeze"):
        setattr(still, name, lambda *_: 0)
    for name in ("get_objects", "get_referents", "get_referrers"):
        setattr(still, name, _stand_in(f"gc.{name}"))
    for name in [name for name in vars(gc) if not name.startswith("__")]:
        delattr(gc, name)
    sys.modules["gc"] = still


def _stand_in(name: str) -> Callable[..., None]:
    audit = sys.audit

    def refused(*_: Any, **__: Any) -> None:
        audit(f"lorebook.{name}")

    return refused


# -- what the program tries


def _watch(missed: list[str], pipe: int) -> None:
    """End the process from now on at what is not computing; note which modules were not there.

    The hook raises nothing, since a traceback would hand out its frame, and calls nothing that a program can change:
    everything it needs is in its closure, and is C, a plain value, or another such closure.
    """
    tried, encode, write, leave = _judging(missed), str.encode, os.write, os._exit

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        try:
            if what := tried(event, arguments):
                write(pipe, encode(f"\nrefused {what}\n", "utf-8", "replace"))
                leave(0)
        except BaseException:  # no memory, or the stack is full; without a hook nothing may go on
            while True:
                try:
                    leave(1)
                except BaseException:  # noqa: S112 - until the clock ends it
                    continue

    sys.addaudithook(hook)


def _judging(missed: list[str]) -> Callable[[str, tuple[Any, ...]], str]:
    """Return what says of an event why the program is to end; empty where it goes on."""
    exact, text, number, begins, first, show = type, str, int, str.startswith, str.partition, ascii
    note, modules, look, refused, noted = missed.append, sys.modules, dict.get, _REFUSED, _NO_IMPORT
    may_read, may_load = _reader(), _loader()

    def opened(path: Any, mode: Any, flags: Any) -> str:
        if exact(path) is not text:
            return "it opens a file"
        plain = flags if exact(flags) is number else 0
        return "" if may_read(path, mode, plain) else f"it opens the file {show(path)}"

    def imported(name: Any, file: Any) -> str:
        if exact(name) is not text:
            return "it imports what is no name"
        if file is not None:
            return "" if exact(file) is text and may_load(file) else f"it imports {show(name)}"
        if first(name, ".")[0] in noted and look(modules, name) is None:
            note(f"it imports {name}")
        return ""

    def tried(event: str, arguments: tuple[Any, ...]) -> str:
        if event == "open":
            return opened(*arguments)
        if event == "import":
            return imported(arguments[0], arguments[1])
        return f"it calls {first(event, 'lorebook.')[2] or event}" if begins(event, refused) else ""

    return tried


def _roots() -> tuple[str, ...]:
    return tuple(folder if folder.endswith(".zip") else folder + os.sep for folder in sys.path)


def _reader() -> Callable[[str, Any, int], bool]:
    """Return what says whether a file may be opened: for reading alone, and Python's own library alone."""
    roots, writing, read_only = _roots(), os.O_WRONLY | os.O_RDWR | os.O_CREAT, _READ_ONLY

    def may_read(path: str, mode: Any, flags: int) -> bool:
        inside = path.startswith(roots) and ".." not in path and "-packages" not in path
        return inside and mode in read_only and not flags & writing

    return may_read


def _loader() -> Callable[[str], bool]:
    """Return what says whether a file of machine code may be loaded: the library's own, of those that only compute."""
    roots, separator, compiled = _roots(), os.sep, _COMPILED

    def may_load(path: str) -> bool:
        inside = path.startswith(roots) and ".." not in path and "-packages" not in path
        return inside and path.rpartition(separator)[2].partition(".")[0] in compiled

    return may_load


if __name__ == "__main__":
    main()
