"""A connection to PostgreSQL: its address, its schema, and what its failures are called."""

from __future__ import annotations

import getpass
import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lorebook_api.errors import Conflict, LorebookError, StorageFailed, Unusable

PORT = 5432
EF = 128  # as of `vectors`
_SECONDS = 10
_NO_SCHEMA, _NO_TABLE, _TAKEN = "3F000", "42P01", "55P03"
_NO_EXTENSION, _MAY_NOT = "58P01", "42501"
_NOT_PREPARED = ("0A000", _NO_EXTENSION)


class Connection:
    """One connection, within the schema of one root. It is opened anew where the server ended it."""

    def __init__(self, url: str, schema: str) -> None:
        """Connect. Raises StorageFailed where nobody answers, Unusable where the driver is not installed."""
        self._url, self.schema = url, schema
        self._db = _connect(url)
        self._enter()

    def run(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; `:name` stands for a value. Raises StorageFailed, Conflict."""
        try:
            return [tuple(row) for row in self._db.run(sql, **values) or ()]
        except Exception as error:
            raise _failure(error) from error

    def begin(self, how: str = "") -> None:
        """Begin a transaction, over a new connection where the old one is gone."""
        try:
            self.run(f"BEGIN {how}")
        except StorageFailed:
            self.close()
            self._db = _connect(self._url)
            self._enter()
            self.run(f"BEGIN {how}")

    @contextmanager
    def transaction(self, write: bool) -> Iterator[None]:
        """Commit what is written inside, all or nothing; a reading one sees one state.

        Raises Conflict where another process writes.
        """
        self.begin("" if write else "ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            if write and not self.run("SELECT pg_try_advisory_xact_lock(:key)", key=_lock_key(self.schema))[0][0]:
                raise Conflict("The index is being written by another process.", "Wait until it has ended.")
            yield
        except BaseException:
            self._roll_back()
            raise
        self.run("COMMIT")

    def close(self) -> None:
        """Close the connection; what was not committed is undone."""
        with suppress(Exception):  # it was closed by the other side
            self._db.close()

    def _enter(self) -> None:
        self.run(f"SET search_path TO {self.schema}, public")
        self.run(f"SET hnsw.ef_search TO {EF}")

    def _roll_back(self) -> None:
        with suppress(Exception):  # the server is gone, and has undone it
            self._db.run("ROLLBACK")


def schema_of(folder: Path) -> str:
    """Return the schema of the index that has this folder."""
    return f"lorebook_{hashlib.sha256(folder.name.encode()).hexdigest()[:20]}"


def _connect(url: str) -> Any:
    try:
        from pg8000.native import Connection as Driver
    except ImportError as error:
        raise Unusable("store = postgres needs the driver pg8000.", "Type: pip install 'lorebook[postgres]'") from error
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    port = parts.port or int(options.get("port", PORT))
    folder = options.get("host", "")
    try:
        if not folder:  # the driver's own limit would bound every statement too, the making of a graph among them
            socket.create_connection((parts.hostname or "localhost", port), _SECONDS).close()
        return Driver(
            user=unquote(parts.username or options.get("user", "") or getpass.getuser()),
            password=unquote(parts.password) if parts.password else None,
            host=parts.hostname or "localhost",
            port=port,
            unix_sock=f"{folder}/.s.PGSQL.{port}" if folder else None,
            database=unquote(parts.path.strip("/")),
            ssl_context=True if options.get("sslmode") in ("require", "verify-full") else None,
            application_name="lorebook",
        )
    except Exception as error:
        raise StorageFailed(
            f"PostgreSQL at {parts.hostname or folder or 'localhost'} cannot be used ({_told(error)}).",
            "Start it, or see store_url in config.toml. store = sqlite needs no server.",
        ) from error


def _failure(error: Exception) -> LorebookError:
    """Return an error of PostgreSQL's as one of ours."""
    code = _code(error)
    if code == _TAKEN or code.startswith("40"):
        return Conflict("The index is in use by another process.", "Try again in a moment.")
    if code in (_NO_SCHEMA, _NO_TABLE):
        return Unusable(
            "The index in PostgreSQL is damaged: a table is missing.", "Make it anew: lorebook index --full"
        )
    return StorageFailed(f"PostgreSQL could not do it ({_told(error)}).", "See the server's log.")


def lacks_extension(error: Exception) -> bool:
    """Whether an error says that an extension is not installed, or that this user may not add it."""
    cause = error.__cause__
    return isinstance(cause, Exception) and _code(cause) in (*_NOT_PREPARED, _MAY_NOT)


def _code(error: Exception) -> str:
    first = error.args[0] if error.args else ""
    return str(first.get("C", "")) if isinstance(first, dict) else ""


def _told(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return str(first.get("M", first)) if isinstance(first, dict) else str(first)


def _lock_key(schema: str) -> int:
    return int.from_bytes(hashlib.sha256(schema.encode()).digest()[:7], "big")
