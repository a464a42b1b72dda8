"""The conversations that a person had, in SQLite in the state folder, so that panel and notebooks share them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from lorebook_api.asking import Message
from lorebook_api.conversation import Conversation, ConversationInfo, Exchange
from lorebook_api.errors import LorebookError, NotFound, StorageFailed
from lorebook_api.home import Home
from lorebook_daemon.app.lifecycle import now
from lorebook_daemon.database import connected

HISTORY_MOST = 6
"""Exchanges of a conversation that a follow-up question is understood by: the latest."""
TITLE_LONGEST = 80

_TABLES = """
CREATE TABLE IF NOT EXISTS conversations (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS exchanges (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
    id TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (conversation, id));
"""
_INFOS = (
    "SELECT c.id, c.title, c.created, c.updated, (SELECT count(*) FROM exchanges e WHERE e.conversation = c.id) "
    "FROM conversations c ORDER BY c.updated DESC, c.rowid DESC"
)
_NONE = "There is no conversation {!r}."
_HINT = "It may have been deleted elsewhere; the others: GET /api/conversations"
_BODY = TypeAdapter(Exchange)


class Conversations:
    """The conversations of one home. Each call opens the file anew, so it may be made from any thread.

    Every method raises StorageFailed where the file cannot be read or written.
    """

    def __init__(self, home: Home) -> None:
        self._file = home.state / "conversations.sqlite3"

    def list(self) -> tuple[ConversationInfo, ...]:
        """Return all of them, the one that was last used first."""
        with self._open() as db:
            return tuple(ConversationInfo(*row) for row in db.execute(_INFOS))

    def get(self, conversation: str) -> Conversation:
        """Return one with all its exchanges; raises NotFound."""
        with self._open() as db:
            row = db.execute("SELECT id, title, created, updated FROM conversations WHERE id = ?", (conversation,))
            head = row.fetchone()
            if head is None:
                raise NotFound(_NONE.format(conversation), _HINT)
            rows = db.execute("SELECT body FROM exchanges WHERE conversation = ? ORDER BY place", (conversation,))
            exchanges = tuple(_BODY.validate_python(json.loads(body)) for (body,) in rows)
            named, title, created, updated = head
            return Conversation(named, title, created, updated, exchanges)

    def history(self, conversation: str) -> tuple[Message, ...]:
        """Return the latest answered exchanges as messages, oldest first; none where there is no such conversation."""
        try:
            exchanges = self.get(conversation).exchanges
        except NotFound:
            return ()
        answered = [exchange for exchange in exchanges if exchange.answer is not None][-HISTORY_MOST:]
        return tuple(message for exchange in answered for message in _messages(exchange))

    def keep(self, conversation: str, exchange: Exchange) -> None:
        """Append an exchange, or put it where one with its id stands; the first one makes the conversation."""
        with self._open() as db:
            moment = now()
            db.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET updated = ?",
                (conversation, _title(exchange.question), moment, moment, moment),
            )
            body = json.dumps(asdict(exchange))  # ASCII: a file's text may hold half a surrogate pair
            db.execute(
                "INSERT INTO exchanges (conversation, id, body) VALUES (?, ?, ?) "
                "ON CONFLICT (conversation, id) DO UPDATE SET body = excluded.body",
                (conversation, exchange.id, body),
            )

    def cut(self, conversation: str, exchange: str) -> None:
        """Drop an exchange and all that follow it, so that its question can be asked anew; raises NotFound."""
        with self._open() as db:
            found = db.execute(
                "SELECT place FROM exchanges WHERE conversation = ? AND id = ?", (conversation, exchange)
            ).fetchone()
            if found is None:
                raise NotFound(f"There is no exchange {exchange!r} in this conversation.", _HINT)
            db.execute("DELETE FROM exchanges WHERE conversation = ? AND place >= ?", (conversation, *found))

    def rename(self, conversation: str, title: str) -> None:
        """Give a conversation another title; raises NotFound."""
        with self._open() as db:
            done = db.execute("UPDATE conversations SET title = ? WHERE id = ?", (_title(title), conversation))
            if not done.rowcount:
                raise NotFound(_NONE.format(conversation), _HINT)

    def delete(self, conversation: str) -> None:
        """Forget a conversation; what it held is overwritten on the disk. Raises NotFound."""
        with self._open() as db:
            if not db.execute("DELETE FROM conversations WHERE id = ?", (conversation,)).rowcount:
                raise NotFound(_NONE.format(conversation), _HINT)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file, made where there is none, for one transaction."""
        try:
            with contextlib.closing(connected(self._file, _TABLES)) as db, db:
                yield db
        except sqlite3.Error as error:
            raise _failed(self._file, error) from error


def _failed(file: Path, error: sqlite3.Error) -> LorebookError:
    return StorageFailed(
        f"The conversations in {file} cannot be read or written ({error}).",
        "Free some space or make it writable; where the file is damaged, move it away.",
    )


def _title(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_LONGEST else f"{line[: TITLE_LONGEST - 1].rstrip()}…"


def _messages(exchange: Exchange) -> tuple[Message, Message]:
    told = exchange.answer.answer if exchange.answer else ""
    return Message("user", exchange.question), Message("assistant", told)
