"""`@lorebook` in Jupyter AI's chat: the persona that Jupyter AI finds by its entry point."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

from jupyter_ai_persona_manager import BasePersona, PersonaDefaults
from jupyterlab_chat.models import Message, NewMessage

from lorebook_api.client import Client, TokenText, new_request_id
from lorebook_api.discovery import connect
from lorebook_api.errors import LorebookError
from lorebook_api.home import find_home
from lorebook_api.markdown import plain
from lorebook_api.schema import Answer, AskRequest, Progress
from lorebook_extension.events import follow
from lorebook_extension.reply import finished, growing, told
from lorebook_extension.served import served_roots

SECONDS_BETWEEN = 0.25
"""How often the message is written anew while the answer grows: every page that shows the chat draws it again."""


class LorebookPersona(BasePersona):
    """Answers from the files that Jupyter serves, and cites the lines; the daemon keeps each chat as a conversation."""

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
        reply = _Reply(self, self.ychat.add_message(NewMessage(body="…", sender=self.id)))
        if not question:
            reply.write("Ask a question about your files, for example: @lorebook which cell drops the null rows?")
            return
        self.awareness.set_local_state_field("isWriting", reply.id)
        try:
            await self._answer(question, reply)
        except LorebookError as error:
            reply.write(plain(str(error)))
        finally:
            self.awareness.set_local_state_field("isWriting", False)

    async def _answer(self, question: str, reply: _Reply) -> None:
        roots = await asyncio.to_thread(served_roots)
        daemon = await asyncio.to_thread(connect, find_home())
        # By what the chat is called on the server, which others cannot guess from the id.
        chat = hashlib.sha256(str(self.ychat.get_id()).encode()).hexdigest()[:32]
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
    """Our message in the chat, written anew as it grows."""

    def __init__(self, persona: LorebookPersona, message_id: str) -> None:
        self.id = message_id
        self._persona = persona
        self._written = 0.0

    def grow(self, body: str) -> None:
        """Write what there is so far, unless something was written a moment ago."""
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.write(body)

    def write(self, body: str) -> None:
        """Write the message anew."""
        self._written = time.monotonic()
        sender = self._persona.id
        self._persona.ychat.update_message(Message(id=self.id, body=body, time=time.time(), sender=sender))
