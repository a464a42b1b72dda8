"""Tiny models, wheels and a hub, made on the fly: no network, no weights."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lorebook_daemon.models.catalogue import HubFile, KnownFile, KnownModel, Part, Purpose


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _field(key: str, value: Any) -> bytes:
    if isinstance(value, str):
        return _string(key) + struct.pack("<I", 8) + _string(value)
    if isinstance(value, list):
        return _string(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
    return _string(key) + struct.pack("<II", 4, value)


DESCRIPTION = {
    "general.architecture": "tiny",
    "general.name": "Tiny",
    "general.file_type": 15,
    "tokenizer.ggml.tokens": ["a", "b", "ü"],
    "tiny.context_length": 4096,
    "tokenizer.chat_template": "{{ messages }}",
}


def gguf(weights: int = 4096, kind: int = 0, version: int = 3, **fields: Any) -> bytes:
    """Return a whole GGUF file with one tensor of 32-bit floats; `general_type="adapter"` sets general.type."""
    described = {**DESCRIPTION, **{key.replace("_", ".", 1): value for key, value in fields.items()}}
    head = struct.pack("<4sIQQ", b"GGUF", version, 1, len(described))
    head += b"".join(_field(key, value) for key, value in described.items())
    head += _string("token_embd.weight") + struct.pack("<IQIQ", 1, weights, kind, 0)
    head += b"\0" * (-len(head) % 32)
    return head + os.urandom(4 * weights)


def known(
    name: str, data: bytes, pieces: int = 0, purpose: Purpose = "answer", hub: bool = False, sha256: str = ""
) -> KnownModel:
    """Return a catalogue entry for `data`, cut into so many wheels, or in the hub, or both."""
    size = -(-len(data) // pieces) if pieces else 0
    parts = tuple(
        Part(f"{name}-part{n}", "1.0", f"{name}_part{n}/data.bin", len(data[n * size : (n + 1) * size]), size)
        for n in range(pieces)
    )
    place = HubFile(f"tiny/{name}", f"{name}.gguf") if hub else None
    file = KnownFile(f"{name}.gguf", len(data), sha256 or hashlib.sha256(data).hexdigest(), parts, place)
    return KnownModel(name, purpose, "Apache-2.0", "for tests", (file,))


def write_wheel(folder: Path, package: str, version: str, members: dict[str, bytes]) -> Path:
    """Write a wheel that pip takes."""
    module = package.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\nRequires-Python: <3\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    everything = {**members, **{name: text.encode() for name, text in texts.items()}}
    record = "".join(f"{name},,\n" for name in everything) + f"{info}/RECORD,,\n"
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**everything, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    return wheel


def write_wheels(folder: Path, file: KnownFile, data: bytes) -> list[Path]:
    """Write the wheels whose members, joined, are `data`."""
    wheels, start = [], 0
    for part in file.parts:
        piece = data[start : start + part.size]
        wheels.append(write_wheel(folder, part.package, part.version, {part.member: piece}))
        start += part.size
    return wheels


@dataclass
class FakeHub:
    """A hub on the loopback interface: serves `files` by repository and name, with ranges."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut_after: int | None = None
    """The line breaks after so many bytes of each answer."""
    etag: str = ""
    asked: list[str] = field(default_factory=list)
    """The ranges that were asked for."""
    url: str = ""


@contextlib.contextmanager
def serve_hub(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve `hub` until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            repo, _, name = self.path.strip("/").partition("/resolve/main/")
            hub.asked.append(self.headers.get("Range", ""))
            data = hub.files.get(f"{repo}/{name}")
            if data is None:
                return self.send_error(404)
            self.answer(data)
            return None

        def answer(self, data: bytes) -> None:
            start = int(re.findall(r"\d+", self.headers["Range"])[0]) if hub.ranges else 0
            self.send_response(206 if hub.ranges else 200)
            if hub.ranges:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if hub.etag:
                self.send_header("X-Linked-ETag", f'"{hub.etag}"')
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            self.wfile.write(data[start:][: hub.cut_after])
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
