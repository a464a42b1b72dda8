"""The conversations that the daemon keeps, as a chat widget shows them: listed, opened, renamed, deleted, exported."""

from __future__ import annotations

import re
from dataclasses import asdict

from lorebook.channel import Message
from lorebook.errands import Post, run_errand
from lorebook.session import ChatSession, Reach, shown_attachment
from lorebook_api.client import Client, new_request_id
from lorebook_api.conversation import Conversation, Exchange
from lorebook_api.errors import Conflict
from lorebook_api.transcript import transcript


class Shelf:
    """Every method returns at once, and posts what comes of it."""

    def __init__(self, session: ChatSession, post: Post, reach: Reach) -> None:
        self._session = session
        self._post = post
        self._reach = reach

    def refresh(self) -> None:
        """Post the list, the latest first."""
        run_errand(lambda: self._list(self._client()), self._post, "list")

    def begin(self) -> None:
        """Begin a conversation; it is kept from its first question on. Raises Conflict while an answer is made."""
        self._refuse_running()
        self._show(Conversation(new_request_id(), "", "", "", ()))

    def open(self, conversation: str) -> None:
        """Show another conversation, and go on with it. Raises Conflict while an answer is made."""
        self._refuse_running()
        run_errand(lambda: self._show(self._client().conversation(conversation)), self._post, "open")

    def rename(self, conversation: str, title: str) -> None:
        """Give a conversation another title."""

        def work() -> None:
            client = self._client()
            client.rename_conversation(conversation, title)
            self._list(client)

        run_errand(work, self._post, "rename")

    def delete(self, conversation: str) -> None:
        """Forget a conversation; the one that is shown makes way for a new one."""
        if conversation == self._session.conversation:
            self._refuse_running()

        def work() -> None:
            client = self._client()
            client.delete_conversation(conversation)
            if conversation == self._session.conversation:
                self.begin()
            self._list(client)

        run_errand(work, self._post, "delete")

    def export(self) -> None:
        """Post the conversation as a Markdown file to be saved."""

        def work() -> None:
            found = self._client().conversation(self._session.conversation)
            name = re.sub(r"[^\w]+", "-", found.title).strip("-")[:60] or "conversation"
            self._post({"type": "file", "name": f"{name}.md", "text": transcript(found)})

        run_errand(work, self._post, "export")

    def _client(self) -> Client:
        return self._reach(lambda line: None)

    def _list(self, client: Client) -> None:
        listed = [asdict(info) for info in client.conversations()]
        self._post({"type": "set", "values": {"conversations": listed}})

    def _show(self, found: Conversation) -> None:
        self._session.conversation = found.id
        self._post({"type": "set", "values": {"conversation": found.id}})
        self._post({"type": "replace", "turns": [shown_exchange(exchange) for exchange in found.exchanges]})

    def _refuse_running(self) -> None:
        if self._session.running:
            raise Conflict("An answer is being written.", "Stop it first, or wait for its end.")


def shown_exchange(exchange: Exchange) -> Message:
    """Return a kept exchange as a turn of the chat."""
    turn: Message = {
        "id": exchange.id,
        "question": exchange.question,
        "attachments": [shown_attachment(one) for one in exchange.attachments],
        "state": "done" if exchange.answer else "stopped" if exchange.stopped else "failed",
        "text": exchange.answer.answer if exchange.answer else exchange.text,
        "progress": None,
        "answer": asdict(exchange.answer) if exchange.answer else None,
        "failure": None,
    }
    if turn["state"] == "failed":
        turn["failure"] = {"message": exchange.error, "hint": "", "type": "internal_error"}
    return turn
