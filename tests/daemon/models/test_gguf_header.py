from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fake_models
from lorebook_api.errors import Unusable
from lorebook_daemon.models import gguf_header
from lorebook_daemon.models.gguf_header import read_header

WHOLE = fake_models.gguf()
END_OF_HEADER = len(WHOLE) - 4 * 4096


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_whole_file_is_described(tmp_path: Path) -> None:
    header = read_header(_write(tmp_path / "tiny.gguf", WHOLE))
    assert (header.kind, header.architecture, header.name) == ("model", "tiny", "Tiny")
    assert (header.context_length, header.file_type) == (4096, "Q4_K_M")
    assert (header.tensors, header.size) == (1, len(WHOLE))


def test_an_adapter_says_that_it_is_one(tmp_path: Path) -> None:
    assert read_header(_write(tmp_path / "a.gguf", fake_models.gguf(general_type="adapter"))).kind == "adapter"


def test_a_newer_packing_is_left_to_the_engine(tmp_path: Path) -> None:
    assert read_header(_write(tmp_path / "a.gguf", fake_models.gguf(kind=200))).tensors == 1


def test_a_file_that_ends_early_says_how_much_is_there(tmp_path: Path) -> None:
    path = _write(tmp_path / "tiny.gguf", fake_models.gguf(weights=1_000_000)[:2_000_000])
    with pytest.raises(Unusable, match=r"tiny\.gguf is cut short: 2 of 4 MB"):
        read_header(path)


@given(st.integers(8, 40), st.lists(st.integers(0, 60), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_vocabulary_is_passed_over_wherever_what_is_read_at_a_time_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int, lengths: list[int]
) -> None:
    merges = ["x" * length for length in lengths]
    path = _write(tmp_path / "words.gguf", fake_models.gguf(weights=8, tokenizer_merges=merges))
    monkeypatch.setattr(gguf_header, "_AHEAD", ahead)
    contents = gguf_header.read_contents(path)
    assert contents.fields["tokenizer.merges"].type == "list of string"
    assert contents.fields["tokenizer.chat_template"].value == "{{ messages }}"
    assert contents.header.name == "Tiny" and contents.header.tensors == 1


@given(st.integers(0, len(WHOLE) - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_shorter_file_is_unusable(tmp_path: Path, length: int) -> None:
    with pytest.raises(Unusable, match="cut short"):
        read_header(_write(tmp_path / "tiny.gguf", WHOLE[:length]))


@given(st.binary(max_size=400), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_unusable(tmp_path: Path, data: bytes, with_magic: bool) -> None:
    start = struct.pack("<4sI", b"GGUF", 3) if with_magic else b""
    with pytest.raises(Unusable):
        read_header(_write(tmp_path / "random.gguf", start + b"\xff" + data))


@given(st.integers(8, END_OF_HEADER - 1), st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_one_wrong_byte_raises_nothing_else(tmp_path: Path, place: int, byte: int) -> None:
    path = _write(tmp_path / "bent.gguf", WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :])
    try:
        assert read_header(path).size == len(WHOLE)
    except Unusable as error:
        assert error.hint


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04" + bytes(64), "begins with"),
        (struct.pack("<4sI", b"GGUF", 1) + bytes(64), "version 1"),
        (struct.pack(">4sI", b"GGUF", 3) + bytes(64), "little-endian"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 2**60, 0), "tensors"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**60), "fields"),
        (struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**60), "bytes in one string"),
        (struct.pack("<4sIQQQ1sI", b"GGUF", 3, 0, 1, 1, b"k", 99), "unknown type"),
        (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 9, 1), "items of type 9"),
        (struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"k", 9, 4, 2**60), "items in one list"),
        (fake_models.gguf(general_alignment=0), "aligns"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(Unusable, match=says):
        read_header(_write(tmp_path / "wrong.gguf", data))


def test_a_file_that_is_not_there_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be read"):
        read_header(tmp_path / "none.gguf")
