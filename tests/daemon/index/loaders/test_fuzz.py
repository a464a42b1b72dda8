"""Whole files of every kind, damaged at random: they are read or refused, and what is read can be cited."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fake_samples
from lorebook_daemon.index.loaders import LOADERS, loader_for
from lorebook_daemon.index.loaders.apart import Apart
from lorebook_daemon.index.loaders.child import reply
from lorebook_daemon.index.loaders.registry import BySize
from lorebook_daemon.index.passage import Unit
from lorebook_daemon.index.split import split

SAMPLES = fake_samples.samples()
SLOW_S = 20.0
_NEVER = ("RecursionError", "MemoryError", "AssertionError", "NameError", "UnboundLocalError")
"""What says that our own code is at fault, not the file."""


def load(name, data, folder):
    """Return the units of a file as its loader gives them, in this process; raises Unreadable."""
    loader = loader_for(Path(name))
    own = loader.apart if isinstance(loader, BySize) else loader
    assert isinstance(own, Apart)
    file = folder / name
    file.write_bytes(data)
    return reply(f"{own.__class__.__module__.rpartition('.')[0]}.{own.module}:{own.load}", file, data)


def damaged(draw, data):
    """Return the data cut short, with bits flipped, bytes set, pieces doubled, dropped or moved."""
    parts = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(parts) - 1)))
        length = draw(st.integers(1, 64))
        match draw(st.sampled_from(["cut", "flip", "set", "double", "drop", "move"])):
            case "cut":
                del parts[at:]
            case "flip" if parts:
                parts[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if parts:
                parts[at] = draw(st.integers(0, 255))
            case "double":
                parts[at:at] = parts[at : at + length] * draw(st.integers(1, 20))
            case "drop":
                del parts[at : at + length]
            case "move":
                piece = parts[at : at + length]
                parts[0:0] = piece
    return bytes(parts)


def test_there_is_a_sample_of_every_loader():
    from_samples = {loader_for(Path(name)) for name in SAMPLES}
    # No sample of these can be damaged in this process: a DuckDB database may bring it down, Tesseract is a program.
    elsewhere = {LOADERS[suffix] for suffix in (".duckdb", ".png", ".webarchive")}
    assert set(LOADERS.values()) - from_samples <= elsewhere


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_whole_file_is_read(name, tmp_path):
    told = load(name, SAMPLES[name], tmp_path)
    assert told.get("units"), told


@pytest.mark.parametrize("name", sorted(SAMPLES))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_read_or_refused(name, tmp_path, data):
    began = time.monotonic()
    content = damaged(data.draw, SAMPLES[name])
    told = load(name, content, tmp_path)
    assert time.monotonic() - began < SLOW_S
    if "why" in told:
        assert told["why"] and not told["why"].endswith(_NEVER)
        return
    for fields in told["units"]:
        lists = {key: tuple(fields[key]) for key in ("context", "defines", "uses")}
        unit = Unit(**{**fields, **lists, "cell": None})
        _check(unit, split(unit, name))


def _check(unit, passages):
    rows = unit.text.split("\n")
    for one in passages:
        first = one.start_line - unit.start_line
        assert first >= 0 and one.text == "\n".join(rows[first : first + one.end_line - one.start_line + 1])
        for text in (one.text, *one.context, *one.defines, *one.uses):
            text.encode("utf-8")
    covered = {
        row for one in passages for row in range(one.start_line - unit.start_line, one.end_line - unit.start_line + 1)
    }
    assert all(row in covered or not text.strip() for row, text in enumerate(rows))
