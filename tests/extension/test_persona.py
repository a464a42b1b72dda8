"""`@lorebook` in Jupyter AI's chat, on the published base class and a real chat document."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fake_daemon import FakeDaemon
from lorebook_api.errors import EngineDied
from rendered import render

pytest.importorskip("jupyter_ai_persona_manager", reason="jupyter-ai-persona-manager is not installed")


@pytest.fixture
def in_chat(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return what sends a message to the persona, and returns all that its reply was while it grew."""
    from jupyterlab_chat.models import NewMessage
    from jupyterlab_chat.ychat import YChat

    from lorebook_extension import persona

    monkeypatch.setattr(persona, "served_roots", lambda: ("/data",))
    monkeypatch.setattr(persona, "SECONDS_BETWEEN", 0.0)

    class Watched(YChat):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def add_message(self, new_message: Any, trigger_actions: Any = None) -> str:
            self.seen.append(new_message.body)
            return super().add_message(new_message, trigger_actions)

        def update_message(self, update: Any, append: bool = False, trigger_actions: Any = None) -> None:
            self.seen.append(update.body)
            super().update_message(update, append, trigger_actions)

    async def talk(body: str, meanwhile: Callable[[Any], Any] | None) -> list[str]:
        chat = Watched()
        speaker = persona.LorebookPersona(chat=chat)
        message = chat.get_message(chat.add_message(NewMessage(body=body, sender="ada")))
        answering = asyncio.create_task(speaker.on_message(message))
        if meanwhile:
            await meanwhile(speaker)
        await asyncio.wait_for(answering, 20)
        assert chat.get_messages()[-1].body == chat.seen[-1]
        assert [one.sender for one in chat.get_messages()] == ["ada", speaker.id]
        return chat.seen[1:]

    def send(body: str, meanwhile: Callable[[Any], Any] | None = None) -> list[str]:
        return asyncio.run(talk(body, meanwhile))

    return send


def test_the_answer_grows_and_is_cited_at_the_end(in_chat: Callable[..., list[str]], fake: FakeDaemon) -> None:
    bodies = in_chat("@lorebook which cell drops the null rows?")
    assert any(render(body).text.strip() == "Cell 5 drops them. …" for body in bodies)
    shown = render(bodies[-1]).text
    assert "[1] clean.ipynb · cell 5 [In 7] lines 2-3" in shown and "df = df.dropna()" in shown
    body = fake.of("/api/ask")[0].body
    assert (body["question"], body["roots"]) == ("which cell drops the null rows?", ["/data"])
    assert body["conversation"].startswith("chat-")


def test_what_goes_wrong_is_said_in_the_chat_in_a_line(in_chat: Callable[..., list[str]], fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), ("error", EngineDied("the engine died.", "Ask again.").body())]
    assert render(in_chat("@lorebook why?")[-1]).text.strip() == "the engine died. Ask again."


def test_no_question_is_told_what_one_is(in_chat: Callable[..., list[str]], fake: FakeDaemon) -> None:
    assert "for example: @lorebook" in in_chat("@lorebook ")[-1]
    assert not fake.of("/api/ask")


def test_stopping_the_reply_takes_the_question_back(in_chat: Callable[..., list[str]], fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), 20]

    async def stop(speaker: Any) -> None:
        while not fake.of("/api/ask"):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        await speaker.cancel_response()

    assert "Stopped" in in_chat("@lorebook why?", stop)[-1]
    assert fake.of("/api/cancel")[0].body == {"request_id": fake.of("/api/ask")[0].body["request_id"]}
