"""Named arrays in one file, mapped into memory: opened in no time, and only what is read of them takes memory.

The file is a row of arrays in NumPy's NPY format, one after the other: their names, then each of them; and at its end
the Adler-32 sum of all before.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from lorebook_api.errors import Unusable

_SUM = struct.Struct("<I")
_LONGEST_HEADER = 1 << 12
_ALIGNED = 64


def write_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays to `file`, those of the widest items first, so that each lies as its items want it.

    A half-written file is not readable; who calls sees to it that none is there in place of a whole one.
    """
    ordered = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))
    names = " ".join(ordered).encode("ascii")
    check = 1
    with file.open("wb") as out:
        for array in (_padded(names), *ordered.values()):
            whole = np.ascontiguousarray(array)
            for part in (_header(whole), whole.reshape(-1).view(np.uint8).data):
                out.write(part)
                check = zlib.adler32(part, check)
        out.write(_SUM.pack(check))


def read_arrays(file: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of `file`, which are not to be changed.

    Raises Unusable where the file is missing, cut, altered, or does not hold just these `names`.
    """
    try:
        with file.open("rb") as opened:
            size = file.stat().st_size - _SUM.size
            opened.seek(size)
            if file_sum(file, size) != _SUM.unpack(opened.read())[0]:
                raise ValueError("its checksum is another")
            whole = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        arrays: list[NDArray[Any]] = []
        place = 0
        while place < size:
            array, place = _array(whole, place)
            arrays.append(array)
        found = dict(zip(arrays[0].tobytes().decode("ascii").split(), arrays[1:], strict=True))
        if found.keys() != set(names):
            raise ValueError(f"it holds {', '.join(found)}")
        return found
    except (OSError, ValueError, IndexError, EOFError, struct.error) as error:
        raise Unusable(f"{file} cannot be read ({error}).", "Make it anew: lorebook index --full") from error


def file_sum(file: Path, size: int | None = None) -> int:
    """Return the Adler-32 sum of a file, or of its first `size` bytes; some 3 GB a second. Raises OSError, ValueError.

    The pages are mapped for the moment only, so that they do not count as this process's memory.
    """
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as whole,
        memoryview(whole) as view,
        view[:size] as part,
    ):
        return zlib.adler32(part)


def _padded(text: bytes) -> NDArray[np.uint8]:
    """Return the text with blanks behind it, so that what follows is aligned."""
    return np.frombuffer(text.ljust(-(-len(text) // _ALIGNED) * _ALIGNED), np.uint8)


def _header(array: NDArray[Any]) -> bytes:
    """Return what stands before an array in a file."""
    head = BytesIO()
    npy.write_array_header_1_0(head, npy.header_data_from_array_1_0(array))
    return head.getvalue()


def _array(whole: mmap.mmap, place: int) -> tuple[NDArray[Any], int]:
    """Return the array that begins at `place`, and where the next one does."""
    head = BytesIO(whole[place : place + _LONGEST_HEADER])
    npy.read_magic(head)
    shape, _, dtype = npy.read_array_header_1_0(head)
    first = place + head.tell()
    array = np.frombuffer(whole, dtype, int(np.prod(shape)), first).reshape(shape)
    return array, first + array.nbytes
