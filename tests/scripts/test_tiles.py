"""AMX is used where a program with it can be compiled, runs and is right: any other end is a no."""

import stat
import sys
from pathlib import Path

import pytest

from scripts import tiles
from scripts.cpu import FOR_TILES, read_announced

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fake compilers are shell scripts")


def test_where_amx_is_not_announced_it_does_not_work():
    announced = Path("/proc/cpuinfo")
    if not announced.is_file() or read_announced(announced.read_text(encoding="utf-8")) >= FOR_TILES:
        pytest.skip("announced here, and then it may work or not")
    assert not tiles.tiles_work()


# What a compiler makes of the program: a shell script that ends in some way.
ENDS = {"right": "exit 0", "refused": "exit 1", "killed": "kill -ILL $$", "crashed": "kill -SEGV $$"}


@pytest.mark.parametrize("name", ENDS)
def test_the_program_has_to_end_well(name, tmp_path, monkeypatch):
    made = f'printf \'#!/bin/sh\\n{ENDS[name]}\\n\' > "$out"; chmod +x "$out"'
    compiler = tmp_path / "c++"
    compiler.write_text(f"#!/bin/sh\nfor out; do :; done\n{made}\n", encoding="utf-8")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(compiler))
    assert tiles.tiles_work() == (name == "right")


@pytest.mark.parametrize("compiler", ["false", "/nowhere/c++", "true"])
def test_a_compiler_that_makes_nothing_is_a_no(compiler, monkeypatch):
    monkeypatch.setenv("CXX", compiler)
    assert not tiles.tiles_work()


def test_a_program_that_hangs_is_a_no(tmp_path, monkeypatch):
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\nsleep 60\n", encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(tiles, "SECONDS", 0.2)
    assert not tiles.tiles_work()
