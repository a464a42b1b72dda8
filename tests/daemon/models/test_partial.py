from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fake_models
from lorebook_api.errors import StorageFailed, Unusable
from lorebook_daemon.models.partial import Partial

DATA = bytes(range(256)) * 8
FILE = fake_models.known("tiny", DATA, pieces=1).files[0]


def _ignore(done: int) -> None:
    pass


@given(st.lists(st.tuples(st.integers(0, 700), st.booleans()), max_size=12), st.integers(0, len(DATA)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_pieces_with_any_interruptions_make_the_file(
    tmp_path: Path, pieces: list[tuple[int, bool]], cut: int
) -> None:
    """A piece may be the last before the process ends; once, the end is cut off."""
    final = tmp_path / "tiny.gguf"
    final.unlink(missing_ok=True)
    remaining = [*pieces, (cut, True), (len(DATA), False)]
    while not final.is_file():
        with Partial(final, FILE) as partial:
            partial.read_again(_ignore)
            while remaining:
                size, ends = remaining.pop(0)
                partial.append(DATA[partial.size :][:size])
                if ends:
                    partial.cut(min(cut, partial.size))
                    break
            else:
                partial.finish()
    assert final.read_bytes() == DATA
    assert not partial.path.exists()


def test_other_bytes_are_removed_and_said(tmp_path: Path) -> None:
    with Partial(tmp_path / "tiny.gguf", FILE) as partial:
        partial.read_again(_ignore)
        partial.append(DATA[:-1] + b"?")
        with pytest.raises(Unusable, match="SHA-256 differs"):
            partial.finish()
    assert list(tmp_path.glob("tiny*")) == []


def test_a_start_that_is_too_long_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(DATA + b"more")
    with Partial(tmp_path / "tiny.gguf", FILE) as partial:
        partial.read_again(_ignore)
        assert partial.size == 0
        partial.append(DATA)
        partial.finish()
    assert hashlib.sha256((tmp_path / "tiny.gguf").read_bytes()).hexdigest() == FILE.sha256


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is a disk without room")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").symlink_to("/dev/full")
    with Partial(tmp_path / "tiny.gguf", FILE) as partial, pytest.raises(StorageFailed, match="is full; 0 of 0 MB"):
        partial.append(DATA)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="cannot be written"), Partial(tmp_path / "file" / "tiny.gguf", FILE):
        pass
