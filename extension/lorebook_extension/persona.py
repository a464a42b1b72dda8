"""`@lorebook` in Jupyter AI's chat: the persona that Jupyter AI finds by its entry point."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

from jupyter_ai_persona_manager import BasePersona, PersonaDefaults
from jupyterlab_chat.models import BaseChatModel, Message, NewMessage

from lorebook_api.asking import Answer, AskRequest
from lorebook_api.client import Client, TokenText, new_request_id
from lorebook_api.discovery import connect
from lorebook_api.errors import LorebookError
from lorebook_api.home import find_home
from lorebook_api.indexing import Progress
from lorebook_api.markdown import plain
from lorebook_extension.events import follow
from lorebook_extension.reply import finished, growing, told
from lorebook_extension.served import served_roots

SECONDS_BETWEEN = 0.5
"""How often the message is written anew while the answer grows: the chat is saved, and drawn again, each time."""


class LorebookPersona(BasePersona):
    """Answers from the files that Jupyter serves, and cites the lines; the daemon keeps each chat as a conversation."""

    _work: asyncio.Task[None] | None = None

    @property
    def defaults(self) -> PersonaDefaults:
        """Return what Jupyter AI shows of it. There is no system prompt: the daemon has its own."""
        return PersonaDefaults(
            name="lorebook",
            description="Answers from your own notebooks and code, offline, and cites the lines.",
            avatar_path=str(Path(__file__).with_name("avatar.svg")),
            system_prompt="",
        )

    async def process_message(self, message: Message) -> None:
        """Answer a message in the chat, by one of ours that grows; whatever goes wrong is said in it, in a line."""
        question = told(message.body, self.name)
        if not question:
            self.send_message("Ask a question about your files, for example: @lorebook which cell drops the null rows?")
            return
        reply = _Reply(self.chat, self.id)
        self.set_status("is looking it up...")
        # A task of its own, so that who stops it stops nothing of Jupyter AI's.
        self._work = asyncio.create_task(self._answer(question, reply))
        try:
            await asyncio.wait({self._work})
        finally:
            self._work.cancel()
            self.clear_status()
        if self._work.cancelled():
            reply.write(f"{reply.body}\n\n*Stopped before its end.*")
        elif isinstance(error := self._work.exception(), LorebookError):
            reply.write(plain(str(error)))
        else:
            self._work.result()

    async def cancel_response(self) -> None:
        """Stop the answer, here and in the daemon."""
        if self._work is not None:
            self._work.cancel()

    async def _answer(self, question: str, reply: _Reply) -> None:
        roots = served_roots()
        daemon = await asyncio.to_thread(connect, find_home())
        # A name that the daemon takes, whatever the chat's own id is made of.
        chat = hashlib.sha256(str(self.chat.get_id()).encode()).hexdigest()[:32]
        request = AskRequest(question, roots, request_id=new_request_id(), conversation=f"chat-{chat}")
        text = ""
        async for event in follow(Client(daemon), request):
            match event:
                case Progress():
                    reply.grow(f"*{plain(event.what)}* …")
                case TokenText():
                    text += event.text
                    reply.grow(growing(text))
                case Answer():
                    reply.write(finished(event, roots))
                case _:
                    pass  # the sources come again with the answer


class _Reply:
    """Our message in the chat, which begins with the first thing that there is to say and is written anew as it grows.

    Nobody is mentioned by it, whatever it cites: `find_mentions`, which would wake other personas, is not among its
    actions.
    """

    def __init__(self, chat: BaseChatModel, sender: str) -> None:
        self.body = ""
        self._chat = chat
        self._sender = sender
        self._id = ""
        self._written = 0.0

    def grow(self, body: str) -> None:
        """Write what there is so far, unless something was written a moment ago."""
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.write(body)

    def write(self, body: str) -> None:
        """Write the message anew."""
        self.body = body
        self._written = time.monotonic()
        if not self._id:
            self._id = self._chat.add_message(NewMessage(body=body, sender=self._sender), trigger_actions=[])
            return
        message = Message(id=self._id, body=body, time=time.time(), sender=self._sender, raw_time=False)
        self._chat.update_message(message, trigger_actions=[])
