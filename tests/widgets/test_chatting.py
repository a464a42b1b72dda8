from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import lorebook
from fake_daemon import ANSWER, CONVERSATION, FakeDaemon
from fake_page import eventually
from lorebook.chatting import Chat, chat
from lorebook_api.asking import Attachment
from lorebook_api.errors import BadRequest, Cancelled, Conflict, EngineDied, NotFound


class Page:
    """A page that shows the chat: what it was sent, and a way to click."""

    def __init__(self, shown: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chat, self.heard, self.clicks = shown, [], 0
        monkeypatch.setattr(shown.channel, "_send", self.heard.append)

    def click(self, kind: str, **fields: Any) -> None:
        self.clicks += 1
        message = {"type": kind, **fields}
        self.chat._hear(self.chat, {"page": "p", "n": self.clicks, "message": message}, [])

    @property
    def state(self) -> dict[str, Any]:
        return self.chat._state.snapshot()

    def of(self, kind: str) -> list[dict[str, Any]]:
        messages = [one["message"] for one in self.heard if "message" in one]
        return [message for message in messages if message["type"] == kind]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    shown = chat(tmp_path)
    yield Page(shown, monkeypatch)
    shown.close()


def done(page: Page) -> bool:
    turns = page.state["turns"]
    return bool(turns) and turns[-1]["state"] != "running" and not page.chat._session.running


def test_a_question_of_a_page_streams_to_it(page: Page, fake: FakeDaemon, tmp_path: Path) -> None:
    fake.scripts.ask[3:3] = [0.1]
    page.click("ask", id="q1", question=" which cell? ", **{"with": []})
    eventually(lambda: done(page))
    sent = fake.of("/api/ask")[0].body
    assert (sent["question"], sent["request_id"], sent["roots"]) == ("which cell?", "q1", [str(tmp_path)])
    assert sent["conversation"] == page.chat._session.conversation
    (turn,) = page.state["turns"]
    assert turn["state"] == "done" and turn["answer"] == asdict(ANSWER)
    assert len(page.of("token")) >= 2
    progress = [turn["progress"]["what"] for turn in page.of("turn") if turn.get("progress")]
    assert progress == ["asking", "loading echo-1b", "reading 1 passage"]
    assert {"ack": 1, "page": "p"} in page.heard


def test_stop_takes_the_question_back_and_leaves_the_text(page: Page, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), 30, ("answer", asdict(ANSWER))]
    page.click("ask", id="q1", question="why?", **{"with": []})
    eventually(lambda: page.of("token"))
    page.click("stop")
    eventually(lambda: done(page))
    assert fake.of("/api/cancel")[0].body == {"request_id": "q1"}
    assert page.state["turns"][0]["state"] == "stopped" and page.state["turns"][0]["text"] == "half"


def test_one_question_at_a_time(page: Page, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("token", {"text": "half"}), 30]
    page.click("ask", id="q1", question="why?", **{"with": []})
    page.click("ask", id="q2", question="and?", **{"with": []})
    assert "being written" in page.of("notice")[0]["failure"]["message"]
    with pytest.raises(Conflict):
        page.chat.ask("and?")
    page.click("stop")
    eventually(lambda: done(page))
    assert [turn["id"] for turn in page.state["turns"]] == ["q1"]


def test_an_error_ends_the_turn_and_asking_again_takes_its_place(page: Page, fake: FakeDaemon) -> None:
    whole = fake.scripts.ask
    fake.scripts.ask = [("token", {"text": "a"}), ("error", EngineDied("it died.", "Ask again.").body())]
    page.click("ask", id="q1", question="why?", **{"with": []})
    eventually(lambda: done(page))
    assert page.state["turns"][0]["failure"] == {
        "message": "it died.",
        "hint": "Ask again.",
        "type": "engine_died_error",
    }
    fake.scripts.ask = whole
    page.click("retry", id="q1")
    eventually(lambda: page.state["turns"] and page.state["turns"][0]["state"] == "done")
    (turn,) = page.state["turns"]
    assert turn["question"] == "why?" and turn["id"] != "q1"
    assert fake.of(f"/api/conversations/{page.chat._session.conversation}/cut")[0].body == {"exchange": "q1"}


def test_an_edited_question_drops_what_followed(page: Page, fake: FakeDaemon) -> None:
    for turn_id in ("q1", "q2"):
        page.click("ask", id=turn_id, question=turn_id, **{"with": []})
        eventually(lambda: done(page))
    page.click("ask", id="q3", question="better", after="q1", **{"with": []})
    eventually(lambda: done(page) and page.state["turns"][-1]["id"] == "q3")
    assert [turn["question"] for turn in page.state["turns"]] == ["better"]


def test_what_went_along_with_an_edited_question_goes_along_again_unless_it_is_taken_out(
    page: Page, fake: FakeDaemon
) -> None:
    cell = Attachment("cell 3", "x = 1", "a.ipynb", 1, "c3", 3)
    page.chat._session.ask("why?", "q1", (cell,))
    eventually(lambda: done(page))
    page.click("reattach", id="q1")
    assert [one["title"] for one in page.state["context"]] == ["cell 3"]
    page.click("ask", id="q2", question="better", after="q1", **{"with": ["cell 3"]})
    eventually(lambda: done(page) and page.state["turns"][-1]["id"] == "q2")
    assert [one["cell_id"] for one in fake.of("/api/ask")[1].body["attachments"]] == ["c3"]
    assert page.state["context"] == []


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        ("ask", {"id": "q", "question": "  ", "with": []}, "no question"),
        ("retry", {"id": "q9"}, "not in the conversation"),
        ("attach", {"word": "weather"}, "weather"),
        ("attach", {"word": "var:nothing"}, "no variable"),
        ("sing", {}, "'sing'"),
    ],
)
def test_what_cannot_be_is_told_on_the_page(page: Page, kind: str, fields: dict[str, Any], told: str) -> None:
    page.click(kind, **fields)
    assert told in page.of("notice")[0]["failure"]["message"]


def test_other_models_and_adapters_and_the_model_alone(page: Page, fake: FakeDaemon) -> None:
    page.click("choices")
    eventually(lambda: page.state["models"])
    assert (page.state["models"], page.state["adapters"]) == (["echo-1b"], ["lab-notes"])
    page.click("choose", values={"model": "echo-1b", "adapters": ["lab-notes:0.5"], "grounding": False, "roots": ["/"]})
    page.click("ask", id="q1", question="why?", **{"with": []})
    eventually(lambda: done(page))
    sent = fake.of("/api/ask")[0].body
    assert (sent["model"], sent["grounding"], sent["roots"]) == ("echo-1b", False, [])
    assert sent["adapters"] == [{"name": "lab-notes", "scale": 0.5}]


def test_conversations_are_the_daemons(page: Page, fake: FakeDaemon) -> None:
    fake.scripts.conversations = [CONVERSATION]
    page.click("conversations")
    eventually(lambda: page.state["conversations"])
    page.click("open", id="c1")
    eventually(lambda: page.state["turns"])
    first, second = page.state["turns"]
    assert (first["state"], second["state"], second["text"]) == ("done", "stopped", "half")
    page.click("export")
    eventually(lambda: page.of("file"))
    (file,) = page.of("file")
    assert file["name"] == "Where-do-the-null-rows-go.md" and "df.dropna()" in file["text"]
    page.click("rename", id="c1", title="Nulls")
    eventually(lambda: fake.of("/api/conversations/c1/title"))
    page.click("ask", id="q3", question="more", **{"with": []})
    eventually(lambda: done(page))
    assert fake.of("/api/ask")[0].body["conversation"] == "c1"
    page.click("delete", id="c1")
    eventually(lambda: page.state["turns"] == [])
    assert page.state["conversation"] != "c1" and fake.scripts.conversations == []


def test_without_a_daemon_that_answers_the_page_says_so(page: Page, fake: FakeDaemon) -> None:
    fake.scripts.error = NotFound("no root.", "Check it.")
    page.click("ask", id="q1", question="why?", **{"with": []})
    eventually(lambda: done(page))
    assert page.state["turns"][0]["failure"]["message"] == "no root."
    page.click("conversations")
    eventually(lambda: page.of("notice"))


def test_from_python_and_without_a_front_end(page: Page, fake: FakeDaemon, tmp_path: Path) -> None:
    assert str(tmp_path) in repr(page.chat) and "lorebook.ask" in repr(page.chat)
    answer = page.chat.ask("which cell?")
    assert answer.body == ANSWER and "Cell 5 drops them." in repr(page.chat)
    bundle, _ = page.chat._repr_mimebundle_()
    assert bundle["text/plain"] == repr(page.chat)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    fake.scripts.ask = [("error", Cancelled("The request was cancelled.").body())]
    with pytest.raises(Cancelled):
        page.chat.ask("again?")


def test_what_cannot_be_meant_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        lorebook.chat(tmp_path / "gone")
    with pytest.raises(BadRequest, match="weather"):
        lorebook.chat(tmp_path, context=["weather"])
    assert lorebook.Chat is Chat and callable(lorebook.chat)


def test_what_is_thought_of_an_answer_is_kept_and_stays_shown(page: Page, fake: FakeDaemon) -> None:
    fake.scripts.feedback = "keep"
    page.click("ask", id="q1", question="which cell?", **{"with": []})
    eventually(lambda: done(page))
    assert page.state["feedback"] is True
    page.click("vote", id="q1", rating="down")
    eventually(lambda: page.state["turns"][0].get("vote") == "down")
    page.click("vote", id="q1", rating="edited", edited=" Cell 6. ")
    eventually(lambda: page.state["turns"][0].get("vote") == "edited")
    first, second = (call.body for call in fake.of("/api/feedback"))
    assert (first["rating"], first["question"], first["answer"]) == ("down", "which cell?", ANSWER.answer)
    assert [one["path"] for one in first["citations"]] == [one.path for one in ANSWER.citations]
    assert (second["rating"], second["edited"]) == ("edited", "Cell 6.")


def test_a_citation_that_was_opened_is_kept(page: Page, fake: FakeDaemon) -> None:
    page.click("ask", id="q1", question="which cell?", **{"with": []})
    eventually(lambda: done(page))
    page.click("opened", id="q1", n=2)
    eventually(lambda: fake.of("/api/feedback"))
    body = fake.of("/api/feedback")[0].body
    assert (body["rating"], body["question"]) == ("opened", "which cell?")
    assert [one["path"] for one in body["citations"]] == ["src/fare.py"]
    page.click("opened", id="q1", n=7)
    assert "no citation 7" in page.of("notice")[0]["failure"]["message"]


def test_where_nothing_is_kept_no_thumbs_are_offered_and_a_vote_says_so(page: Page, fake: FakeDaemon) -> None:
    page.click("ask", id="q1", question="why?", **{"with": []})
    eventually(lambda: done(page))
    assert page.state["feedback"] is False
    fake.scripts.error = Conflict("Feedback is not kept.", "Turn it on.")
    page.click("vote", id="q1", rating="up")
    eventually(lambda: page.of("notice"))
    assert page.of("notice")[0]["failure"]["hint"] == "Turn it on." and "vote" not in page.state["turns"][0]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"id": "q1", "rating": "sideways"}, "no rating"),
        ({"id": "q1", "rating": "edited", "edited": " "}, "empty"),
        ({"id": "q9", "rating": "up"}, "not in the conversation"),
    ],
)
def test_half_an_opinion_is_refused(page: Page, fake: FakeDaemon, fields: dict[str, Any], told: str) -> None:
    page.click("ask", id="q1", question="why?", **{"with": []})
    eventually(lambda: done(page))
    page.click("vote", **fields)
    assert told in page.of("notice")[0]["failure"]["message"] and not fake.of("/api/feedback")


def test_an_answer_that_was_stopped_cannot_be_rated(page: Page, fake: FakeDaemon) -> None:
    fake.scripts.ask = [("error", Cancelled("The request was cancelled.").body())]
    page.click("ask", id="q1", question="why?", **{"with": []})
    eventually(lambda: done(page))
    page.click("vote", id="q1", rating="up")
    assert "no answer" in page.of("notice")[0]["failure"]["message"]


def test_the_conversation_as_markdown(page: Page, fake: FakeDaemon) -> None:
    page.chat.ask("which cell?")
    text = page.chat.bundle()["text/markdown"]
    assert "**which cell&#63;**" in text and "cell-id=c5" in text
