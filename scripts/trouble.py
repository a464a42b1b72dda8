"""What stops a set-up, in one line, with what to type next."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path


class Trouble(Exception):
    """The set-up cannot go on; `hint` is what to type next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


@dataclass(frozen=True)
class Sign:
    """A pattern that a build's log shows when one known thing is wrong."""

    pattern: str
    message: str
    hints: dict[str, str]
    """What to type next, by `platform.system()`; the empty name serves every other system."""


COMPILER = Sign(
    r"CMAKE_CX{0,2}\w*_COMPILER\b.*(not set|could be found|not found)|No CMAKE_C(XX)?_COMPILER could be found"
    r"|command '?(gcc|g\+\+|cc|c\+\+|clang)'? failed: No such file|Microsoft Visual C\+\+ .* is required",
    "There is no C++ compiler.",
    {
        "Darwin": "Type: xcode-select --install",
        "Windows": "Type: winget install Microsoft.VisualStudio.2022.BuildTools",
        "": "Type: sudo apt install g++   (Fedora: sudo dnf install gcc-c++)",
    },
)

SIGNS = (
    Sign(r"No space left on device|ENOSPC", "The disk is full.", {"": "Free 2 GB and type the same command again."}),
    COMPILER,
    Sign(
        r"is not able to compile a\s+simple test program",
        "The C++ compiler does not work.",
        {
            "Darwin": "Type: xcode-select --install",
            "": "Type: unset CC CXX, or: sudo apt install --reinstall g++   (Fedora: sudo dnf reinstall gcc-c++)",
        },
    ),
    Sign(
        r"Python\.h.*(No such file|not found)",
        "Python's headers are missing.",
        {"": "Type: sudo apt install python3-dev   (Fedora: sudo dnf install python3-devel)"},
    ),
    Sign(
        r"Killed signal terminated program|virtual memory exhausted|out of memory|std::bad_alloc",
        "The compiler ran out of memory.",
        {"": "Type: CMAKE_BUILD_PARALLEL_LEVEL=1 make demo"},
    ),
    Sign(
        r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|ConnectTimeout|ProxyError",
        "pip reached no package index.",
        {"": "Look at the network and at `python3 -m pip config list`, then type the same command again."},
    ),
    Sign(
        r"No matching distribution found for",
        "pip's package index lacks a pinned package.",
        {"": "Look at `python3 -m pip config list`: it may point at an index that holds only some packages."},
    ),
)


def advise(sign: Sign, system: str = "") -> Trouble:
    """Return the trouble that `sign` stands for, with the hint for `system` (this one by default)."""
    return Trouble(sign.message, sign.hints.get(system or platform.system(), sign.hints[""]))


def diagnose(what: str, log: str, path: Path) -> Trouble:
    """Return what the log of the failed step `what` says is wrong; `path` is where the whole log lies."""
    for sign in SIGNS:
        if re.search(sign.pattern, log):
            trouble = advise(sign)
            return Trouble(f"{what} failed: {trouble.message}", f"{trouble.hint} (The whole log: {path})")
    # cmake's own errors name the place first and say what is wrong in the next line.
    errors = re.findall(r"CMake Error at .*:\s*\n\s*(\S.*)$", log, re.MULTILINE) or re.findall(
        r"^(?!\$ ).*\berror\b[: ].*$", log, re.IGNORECASE | re.MULTILINE
    )
    said = errors[0].strip()[:200] if errors else "it did not say why."
    return Trouble(f"{what} failed: {said}", f"Read {path}; the same command goes on from here.")
