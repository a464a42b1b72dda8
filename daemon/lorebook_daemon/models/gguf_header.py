"""Read the header of a GGUF file, and find out whether the file holds all the tensors that the header promises.

Written here rather than taken from the `gguf` package: that one maps the whole file and builds numpy views of every
array with no bound on what a hostile header claims, and a mapped file that another program shortens ends the process
with SIGBUS. What is needed is small: a bounded walk over the header, with plain reads.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lorebook_api.errors import Unusable

# Far above any model that exists, far below what would keep a machine busy.
_MAX_FIELDS = 65_536
_MAX_TENSORS = 1_000_000
_MAX_KEY = 65_535
_MAX_TEXT = 16 * 2**20
_MAX_ITEMS = 16 * 2**20
_MAX_DIMENSIONS = 4
_MAX_KEPT = 1024
_AHEAD = 2**20
_LENGTH = struct.Struct("<Q")

_STRING, _ARRAY = 8, 9
# Value types other than strings and arrays, by their number in the file.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# The types' names (gguf.md), where they are told to a person.
_TYPES = {
    0: "uint8",
    1: "int8",
    2: "uint16",
    3: "int16",
    4: "uint32",
    5: "int32",
    6: "float32",
    7: "bool",
    8: "string",
    10: "uint64",
    11: "int64",
    12: "float64",
}

# Tensor types by number: weights in a block, bytes of a block (ggml.h).
_BLOCKS = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    34: (256, 54),
    35: (256, 66),
    39: (32, 17),
    40: (64, 36),
    41: (128, 18),
    42: (64, 18),
}

_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    25: "IQ4_NL",
    30: "IQ4_XS",
    32: "BF16",
    38: "MXFP4",
}


@dataclass(frozen=True)
class GGUFHeader:
    """What a GGUF file says of itself; empty or 0 where it does not say."""

    kind: str
    """`model`, or `adapter` for a LoRA."""
    architecture: str
    name: str
    context_length: int
    """Tokens that the model was trained for."""
    file_type: str
    """How most weights are packed, such as `Q4_K_M`; the number where it has no name here."""
    tensors: int
    size: int
    """Bytes of the file."""


@dataclass(frozen=True)
class Field:
    """A value in the header; of a list of more than 1024 numbers, or of texts, only the type is kept."""

    type: str
    """As the format calls it, such as `float32`, `string` or `list of uint32`."""
    value: Any


@dataclass(frozen=True)
class Tensor:
    """A tensor, as the header describes it."""

    name: str
    shape: tuple[int, ...]
    """Weights along each dimension, the one that lies together in memory first: (inputs, outputs) of a matrix."""
    kind: int
    """Its packing, by ggml's number."""
    offset: int
    """Where its bytes begin, counted from the first tensor's."""

    @property
    def block(self) -> tuple[int, int] | None:
        """Weights and bytes of a block of its packing; None for a packing newer than this table."""
        return _BLOCKS.get(self.kind)

    @property
    def end(self) -> int:
        """Where its bytes end; where its packing is not known, where they begin: the engine says if it can read it."""
        weights, size = self.block or (1, 0)
        return self.offset + -(-math.prod(self.shape) // weights) * size


@dataclass(frozen=True)
class GGUFContents:
    """All of the header: what describes the file, its fields by name, its tensors in order."""

    header: GGUFHeader
    fields: Mapping[str, Field]
    tensors: tuple[Tensor, ...]
    start: int
    """Where the first tensor's bytes begin in the file."""
    alignment: int
    """Every tensor begins at a multiple of so many bytes from there."""

    def text(self, key: str) -> str:
        """Return a field's text, empty where there is none."""
        return _text(self.fields, key)


class _Malformed(Exception):
    """The bytes are not what a header has at this place."""


class _CutShort(Exception):
    """The file ends before its header does."""


def read_header(path: Path) -> GGUFHeader:
    """Return the header of the GGUF file at `path`; raises Unusable for anything but a whole GGUF file."""
    return read_contents(path).header


def read_contents(path: Path) -> GGUFContents:
    """Return all of the header of the GGUF file at `path`; raises Unusable for anything but a whole GGUF file."""
    hint = "Bring it again, or name another file."
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            fields, tensors, start, alignment = _walk(_Reader(stream, size))
    except OSError as error:
        raise Unusable(f"{path} cannot be read ({error.strerror or error}).", "Check the path.") from error
    except _Malformed as error:
        raise Unusable(f"{path.name} is not a GGUF file that can be used: {error}.", hint) from error
    except _CutShort as error:
        raise Unusable(f"{path.name} is cut short: its {size / 1e6:.0f} MB end inside the header.", hint) from error
    end = start + max((tensor.end for tensor in tensors), default=0)
    if tensors and end > size:
        raise Unusable(f"{path.name} is cut short: {size / 1e6:.0f} of {end / 1e6:.0f} MB.", hint)
    return GGUFContents(_describe(fields, len(tensors), size), fields, tensors, start, alignment)


def _describe(fields: Mapping[str, Field], tensors: int, size: int) -> GGUFHeader:
    architecture = _text(fields, "general.architecture")
    context = _value(fields, f"{architecture}.context_length")
    file_type = _value(fields, "general.file_type")
    return GGUFHeader(
        kind=_text(fields, "general.type") or "model",
        architecture=architecture,
        name=_text(fields, "general.name"),
        context_length=context if isinstance(context, int) else 0,
        file_type="" if not isinstance(file_type, int) else _FILE_TYPES.get(file_type, str(file_type)),
        tensors=tensors,
        size=size,
    )


def _value(fields: Mapping[str, Field], key: str) -> Any:
    return fields[key].value if key in fields else None


def _text(fields: Mapping[str, Field], key: str) -> str:
    value = _value(fields, key)
    return value if isinstance(value, str) else ""


class _Reader:
    """Reads numbers and strings in order and never beyond the end of the file."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > self._size - self.position:
            raise _CutShort
        data = self._stream.read(count)
        if len(data) != count:
            raise _CutShort
        self.position += count
        return data

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        if count > self._size - self.position:
            raise _CutShort
        self._stream.seek(count, os.SEEK_CUR)
        self.position += count

    def skip_texts(self, count: int, limit: int) -> None:
        """Pass over so many strings, of at most `limit` bytes each: with its merges a vocabulary has 300,000."""
        ahead, at = self._ahead(), 0
        for _ in range(count):
            if at + _LENGTH.size > len(ahead):
                self.skip(at)
                ahead, at = self._ahead(), 0
                if len(ahead) < _LENGTH.size:
                    raise _CutShort
            (length,) = _LENGTH.unpack_from(ahead, at)
            if length > limit:
                raise _Malformed(f"it claims {length:,} bytes in one string")
            at += _LENGTH.size + length
        self.skip(at)

    def _ahead(self) -> bytes:
        """Return what comes next, as much of it as is read at a time, and stay where this is."""
        data = self._stream.read(_AHEAD)
        self._stream.seek(self.position)
        return data

    def number(self, code: str) -> Any:
        """Return the next little-endian value of this `struct` code."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def count(self, code: str, limit: int, what: str) -> int:
        """Return the next number if it is a sane count of `what`."""
        value = int(self.number(code))
        if value > limit:
            raise _Malformed(f"it claims {value:,} {what}")
        return value

    def text(self, limit: int) -> str:
        """Return the next string."""
        return self.take(self.count("Q", limit, "bytes in one string")).decode("utf-8", errors="replace")


def _walk(reader: _Reader) -> tuple[dict[str, Field], tuple[Tensor, ...], int, int]:
    """Return the fields, the tensors, where the first tensor's bytes begin, and the alignment."""
    _check_magic(reader)
    count = reader.count("Q", _MAX_TENSORS, "tensors")
    fields: dict[str, Field] = {}
    for _ in range(reader.count("Q", _MAX_FIELDS, "fields")):
        key = reader.text(_MAX_KEY)
        if key in fields:
            raise _Malformed(f"it has the field {key[:80]!r} twice")
        fields[key] = _field(reader)
    tensors = tuple(_tensor(reader) for _ in range(count))
    if len({tensor.name for tensor in tensors}) < count:
        raise _Malformed("it has two tensors of one name")
    alignment = fields.get("general.alignment", Field("uint32", 32))
    if alignment.type != "uint32" or not 0 < alignment.value <= 2**20 or alignment.value & (alignment.value - 1):
        raise _Malformed(f"it aligns tensors to {alignment.value!r} bytes")
    start = -(-reader.position // alignment.value) * alignment.value
    return fields, tensors, start, alignment.value


def _check_magic(reader: _Reader) -> None:
    magic = reader.take(4)
    if magic != b"GGUF":
        raise _Malformed(f"it begins with {magic.decode('ascii', 'replace')!r} instead of 'GGUF'")
    version = reader.number("I")
    if version not in (2, 3):
        raise _Malformed(f"version {version}; versions 2 and 3 in little-endian order can be read")


def _field(reader: _Reader) -> Field:
    kind = reader.number("I")
    if kind == _STRING:
        return Field("string", reader.text(_MAX_TEXT))
    if kind in _SCALARS:
        return Field(_TYPES[kind], reader.number(_SCALARS[kind]))
    if kind != _ARRAY:
        raise _Malformed(f"a field has the unknown type {kind}")
    return _list(reader)


def _list(reader: _Reader) -> Field:
    """Return a list; long ones (vocabularies, merges) are passed over, and their value is None."""
    kind = reader.number("I")
    length = reader.count("Q", _MAX_ITEMS, "items in one list")
    if kind not in _TYPES:
        raise _Malformed(f"a list has items of type {kind}")
    value = None
    if kind == _STRING:
        reader.skip_texts(length, _MAX_TEXT)
    elif length <= _MAX_KEPT:
        value = tuple(reader.number(_SCALARS[kind]) for _ in range(length))
    else:
        reader.skip(length * struct.calcsize(f"<{_SCALARS[kind]}"))
    return Field(f"list of {_TYPES[kind]}", value)


def _tensor(reader: _Reader) -> Tensor:
    name = reader.text(_MAX_KEY)
    dimensions = reader.count("I", _MAX_DIMENSIONS, "dimensions of one tensor")
    shape = tuple(int(reader.number("Q")) for _ in range(dimensions))
    return Tensor(name, shape, int(reader.number("I")), int(reader.number("Q")))
