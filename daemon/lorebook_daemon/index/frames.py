"""What our own processes say to each other over a pipe: a length, JSON, and behind it what is better kept as bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import IO, Any

_LENGTH = struct.Struct("<Q")

Frame = tuple[Any, tuple[bytes, ...]]
"""A value of JSON, and blocks of bytes that go with it."""


def send(pipe: IO[bytes], value: Any, blocks: Sequence[bytes] = ()) -> None:
    """Write one frame; raises OSError where nobody reads any more."""
    head = json.dumps((value, [len(block) for block in blocks])).encode("ascii")
    pipe.write(_LENGTH.pack(len(head)))
    pipe.write(head)
    for block in blocks:
        pipe.write(block)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Frame:
    """Return the next frame; raises EOFError where the other side has ended."""
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    value, sizes = json.loads(_exactly(pipe, length))
    return value, tuple(_exactly(pipe, size) for size in sizes)


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError
    return body
