"""Which instructions this processor announces, and how llama.cpp is built for it.

`-march=native` would be simpler and is wrong in two cases that kill the process: a processor that announces AMX
inside a virtual machine that does not let it be used, and gcc 12's way with AMX. So on x86 Linux every set is
named, AMX only where it was tried.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.tiles import FLAGS, tiles_work

# cmake's option -> what /proc/cpuinfo must announce, all of it.
X86 = {
    "GGML_SSE42": {"sse4_2"},
    "GGML_AVX": {"avx"},
    "GGML_F16C": {"avx", "f16c"},
    "GGML_FMA": {"avx", "fma"},
    "GGML_AVX2": {"avx2", "avx"},
    "GGML_BMI2": {"bmi2"},
    "GGML_AVX_VNNI": {"avx2", "avx_vnni"},
    "GGML_AVX512": {"avx2", "avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"},
}
X86_512 = {
    "GGML_AVX512_VNNI": {"avx512_vnni"},
    "GGML_AVX512_VBMI": {"avx512vbmi"},
    "GGML_AVX512_BF16": {"avx512_bf16"},
}
# Of AMX, what llama.cpp multiplies with; of no use to it without AVX512's own integer products.
TILES = ("GGML_AMX_TILE", "GGML_AMX_INT8")
FOR_TILES = {"amx_tile", "amx_int8"} | X86["GGML_AVX512"] | X86_512["GGML_AVX512_VNNI"]
# What every x86 processor since 2009 has, and numpy's wheels ask for anyway.
BASELINE = frozenset({"sse4_2"})


def read_announced(cpuinfo: str) -> frozenset[str]:
    """Return the instruction sets that every core in the text of /proc/cpuinfo announces; empty when it names none."""
    lines = re.findall(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset.intersection(*(frozenset(line.split()) for line in lines)) if lines else frozenset()


def x86_arguments(announced: frozenset[str], tiles: Callable[[], bool]) -> tuple[str, ...]:
    """Return cmake's arguments for an x86 processor: what it announces ON, all else OFF by name.

    Named OFF because with GGML_NATIVE=OFF llama.cpp switches AVX2, FMA, F16C and BMI2 on by default. `tiles` tells
    whether AMX works; it is asked where AMX is announced.
    """
    wanted: Mapping[str, set[str]] = {
        **X86,
        **{option: needs | X86["GGML_AVX512"] for option, needs in X86_512.items()},
    }
    with_tiles = announced >= FOR_TILES and tiles()
    switches = {option: needs <= announced for option, needs in wanted.items()} | dict.fromkeys(TILES, with_tiles)
    return (
        "-DGGML_NATIVE=OFF",
        *(f"-D{option}={'ON' if on else 'OFF'}" for option, on in sorted(switches.items())),
        *((f"-DCMAKE_CXX_FLAGS={' '.join(FLAGS)}",) if with_tiles else ()),
    )


def choose_arguments(
    system: str, machine: str, cpuinfo: str, tiles: Callable[[], bool] = tiles_work
) -> tuple[str, ...]:
    """Return cmake's arguments for this kind of machine; none where llama.cpp's own choice is safe.

    macOS, Windows and ARM keep the defaults. An x86 machine whose
    sets cannot be read is built for SSE 4.2 alone: slow and right.
    """
    if system in ("Darwin", "Windows") or machine.lower() not in ("x86_64", "amd64", "i686"):
        return ()
    return x86_arguments(read_announced(cpuinfo) or BASELINE, tiles)


def arguments_here() -> tuple[str, ...]:
    """Return cmake's arguments for the machine that this runs on."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return choose_arguments(platform.system(), platform.machine(), text)
