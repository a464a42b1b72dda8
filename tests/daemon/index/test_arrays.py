"""Arrays in one file: what was written is read, and what was altered is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from lorebook_api.errors import Unusable
from lorebook_daemon.index.arrays import file_sum, read_arrays, write_arrays

KINDS = {"a": np.int64, "b": np.uint64, "c": np.int32, "d": np.uint16, "e": np.uint8}
several = st.fixed_dictionaries({name: arrays_of.arrays(kind, st.integers(0, 50)) for name, kind in KINDS.items()})


@given(several)
@settings(max_examples=40)
def test_what_was_written_is_read(tmp_path_factory, written):
    file = tmp_path_factory.mktemp("arrays") / "file"
    write_arrays(file, written)
    read = read_arrays(file, list(KINDS))
    for name, array in written.items():
        assert read[name].dtype == array.dtype
        assert read[name].tolist() == array.tolist()
        assert read[name].flags.aligned
        assert not read[name].flags.writeable


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:3],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"x" * 99,
    ],
    ids=["empty", "three bytes", "one byte short", "one byte more", "something else"],
)
def test_a_damaged_file_is_unusable(tmp_path, damage):
    write_arrays(tmp_path / "file", {"a": np.arange(20)})
    (tmp_path / "file").write_bytes(damage((tmp_path / "file").read_bytes()))
    with pytest.raises(Unusable, match="cannot be read"):
        read_arrays(tmp_path / "file", ["a"])


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=40)
def test_one_changed_byte_is_noticed(tmp_path_factory, place, change):
    file = tmp_path_factory.mktemp("arrays") / "file"
    write_arrays(file, {"a": np.arange(20), "b": np.arange(9, dtype=np.uint8)})
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= change
    file.write_bytes(data)
    with pytest.raises(Unusable):
        read_arrays(file, ["a", "b"])


def test_a_missing_file_and_other_names_are_unusable(tmp_path):
    with pytest.raises(Unusable):
        read_arrays(tmp_path / "none", ["a"])
    write_arrays(tmp_path / "file", {"a": np.arange(3)})
    with pytest.raises(Unusable):
        read_arrays(tmp_path / "file", ["a", "b"])


def test_an_open_file_may_be_replaced(tmp_path):
    write_arrays(tmp_path / "file", {"a": np.arange(3)})
    kept = read_arrays(tmp_path / "file", ["a"])["a"]
    write_arrays(tmp_path / "new", {"a": np.arange(5)})
    (tmp_path / "new").replace(tmp_path / "file")
    assert kept.tolist() == [0, 1, 2]
    assert file_sum(tmp_path / "file") != 0
