"""Where the daemon listens: a port on the loopback interface, or a unix socket; bound before anybody is told."""

from __future__ import annotations

import os
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from lorebook_api.errors import BadRequest, Conflict

_BACKLOG = 128


@dataclass(frozen=True)
class Endpoint:
    """A bound socket that listens, its url, and the Host headers that mean it.

    The url of a unix socket is `unix:` and its path.
    """

    sock: socket.socket
    url: str
    hosts: frozenset[str]
    path: Path | None = None

    def close(self) -> None:
        """Stop listening; a unix socket's file goes too."""
        self.sock.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def listen(port: int, path: Path | None = None) -> Endpoint:
    """Bind 127.0.0.1:`port` (0: the kernel picks one), or the unix socket `path` where that is given.

    Raises Conflict where somebody listens there already, BadRequest where the place cannot be bound.
    """
    return _listen_at_port(port) if path is None else _listen_at_path(path)


def _listen_at_port(port: int) -> Endpoint:
    if port > 65535:
        raise BadRequest(f"{port} is no port.", "Ports go from 1 to 65535; `--port 0` takes a free one.")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform == "win32":
        # There SO_REUSEADDR lets two processes share a port; this option forbids it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
        sock.listen(_BACKLOG)
    except PermissionError as error:
        sock.close()
        raise BadRequest(f"Port {port} may not be bound.", "Take a free one: `--port 0`.") from error
    except OSError as error:
        sock.close()
        raise Conflict(f"Port {port} is in use.", "Take a free one: `--port 0`.") from error
    return _at(sock, sock.getsockname()[1])


def _at(sock: socket.socket, port: int) -> Endpoint:
    names = ("127.0.0.1", "localhost", "[::1]")
    # A client leaves the port out of the header where it is the scheme's own.
    bare = names if port == 80 else ()
    return Endpoint(sock, f"http://127.0.0.1:{port}", frozenset([*(f"{name}:{port}" for name in names), *bare]))


def _listen_at_path(path: Path) -> Endpoint:
    if sys.platform == "win32":
        raise BadRequest("Unix sockets are not served on Windows.", "Use a port: `lorebook serve --port 0`.")
    path = path.expanduser().absolute()
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # the socket is the user's alone from its first moment
    try:
        sock.bind(str(path))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise BadRequest(f"{path} cannot be bound ({error.strerror or error}).", "Name a shorter path.") from error
    finally:
        os.umask(before)
    hosts = frozenset({"localhost", "127.0.0.1", "[::1]"})
    return Endpoint(sock, f"unix:{path}", hosts, path)


def _clear(path: Path) -> None:
    """Remove the socket that a dead daemon left; raises Conflict where it answers or is no socket."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise Conflict(f"{path} is there already and is no socket.", "Name another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise Conflict(f"Somebody listens at {path} already.", "Name another path, or end that process.")
