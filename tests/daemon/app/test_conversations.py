import sqlite3
from dataclasses import replace

import pytest

from fake_app import parse_events
from lorebook_api.asking import Answer, Message
from lorebook_api.conversation import Conversation, Exchange
from lorebook_api.errors import EngineDied, NotFound, StorageFailed
from lorebook_daemon.app.conversations import HISTORY_MOST, Conversations

ANSWER = Answer("42 percent", False, 1.0, (), (), (), "fake")


@pytest.fixture
def kept(home):
    return Conversations(home)


def ask(client, notes, question, **fields):
    body = {"question": question, "roots": [str(notes)], "conversation": "c1", **fields}
    response = client.post("/api/ask", json=body)
    assert response.status_code == 200, response.text
    return parse_events(response.text)[-1]


def test_what_is_kept_comes_back_the_same(kept):
    first = Exchange("q1", "the rate?\nnow", "2030", replace(ANSWER, answer="\ud800 half a pair"))
    kept.keep("c1", first)
    kept.keep("c1", Exchange("q2", "and?", "2031", text="half", error="Stopped.", stopped=True))
    found = kept.get("c1")
    assert isinstance(found, Conversation) and found.title == "the rate? now"
    assert found.exchanges == (first, Exchange("q2", "and?", "2031", text="half", error="Stopped.", stopped=True))
    (info,) = kept.list()
    assert (info.id, info.exchanges) == ("c1", 2)


def test_an_exchange_is_kept_once(kept):
    kept.keep("c1", Exchange("q1", "a", "2030"))
    kept.keep("c1", Exchange("q2", "b", "2030"))
    kept.keep("c1", Exchange("q1", "a", "2030", ANSWER))
    assert [(one.id, one.answer) for one in kept.get("c1").exchanges] == [("q1", ANSWER), ("q2", None)]


def test_cut_drops_what_follows_and_other_conversations_stay(kept):
    for conversation in ("c1", "c2"):
        for n in range(4):
            kept.keep(conversation, Exchange(f"q{n}", f"{n}", "2030", ANSWER))
    kept.cut("c1", "q2")
    assert [one.id for one in kept.get("c1").exchanges] == ["q0", "q1"]
    assert len(kept.get("c2").exchanges) == 4
    kept.delete("c2")
    assert [info.id for info in kept.list()] == ["c1"]


def test_the_history_is_the_latest_answers(kept):
    for n in range(HISTORY_MOST + 3):
        kept.keep("c1", Exchange(f"q{n}", f"question {n}", "2030", ANSWER if n != 4 else None))
    history = kept.history("c1")
    assert len(history) == 2 * HISTORY_MOST
    assert history[-2:] == (Message("user", f"question {HISTORY_MOST + 2}"), Message("assistant", "42 percent"))
    assert Message("user", "question 4") not in history
    assert kept.history("nothing") == ()


def test_a_deleted_conversation_is_not_left_on_the_disk(kept, home):
    kept.keep("c1", Exchange("q1", "my very own question", "2030", ANSWER))
    kept.delete("c1")
    data = b"".join(file.read_bytes() for file in home.state.glob("conversations*"))
    assert data and b"my very own question" not in data


@pytest.mark.parametrize("deed", [lambda k: k.get("x"), lambda k: k.delete("x"), lambda k: k.rename("x", "t")])
def test_what_is_not_there(kept, deed):
    with pytest.raises(NotFound):
        deed(kept)


def test_a_damaged_file_is_told(kept, home):
    (home.state / "conversations.sqlite3").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageFailed):
        kept.list()


def test_an_ask_is_kept_with_its_answer_and_the_next_one_knows_it(bench, client, notes):
    seen = []
    plain = bench.parts.answer

    async def answer(request, *rest):
        seen.append(request)
        return await plain(request, *rest)

    object.__setattr__(bench.parts, "answer", answer)
    name, told = ask(client, notes, "what was the rate?", request_id="q1")
    assert name == "answer"
    ask(client, notes, "and of which rows?", request_id="q2")
    assert seen[0].history == ()
    assert seen[1].history == (Message("user", "what was the rate?"), Message("assistant", told["answer"]))
    found = client.get("/api/conversations/c1").json()
    assert [one["id"] for one in found["exchanges"]] == ["q1", "q2"]
    assert found["exchanges"][0]["answer"] == told
    assert "# what was the rate?" in client.get("/api/conversations/c1/markdown").text


def test_an_error_is_kept_too_and_a_question_of_its_own_is_not(bench, client, notes):
    async def fails(request, retriever, engine, emit, settings):
        await emit("token", {"text": "half"})
        raise EngineDied("it died.", "Ask again.")

    object.__setattr__(bench.parts, "answer", fails)
    assert ask(client, notes, "why?")[0] == "error"
    assert ask(client, notes, "why?", conversation="")[0] == "error"
    (exchange,) = client.get("/api/conversations/c1").json()["exchanges"]
    assert (exchange["text"], exchange["error"], exchange["answer"]) == ("half", "it died. Ask again.", None)
    assert len(client.get("/api/conversations").json()["conversations"]) == 1


def test_an_answer_is_given_where_it_cannot_be_kept(client, notes, home):
    (home.state / "conversations.sqlite3").write_bytes(b"not a database" * 100)
    response = client.post("/api/ask", json={"question": "rate?", "roots": [str(notes)], "conversation": "c1"})
    assert response.status_code == 507  # what went before cannot be read, so the question would be another one
    history = [{"role": "user", "content": "a"}]
    name, told = ask(client, notes, "what was the rate?", history=history)
    assert name == "answer" and "not kept" in told["notices"][-1]


def test_the_routes(client):
    exchange = {"id": "q1", "question": "why?", "asked": "2030"}
    assert client.post("/api/conversations/c%2F1/exchanges", json=exchange).status_code == 404
    assert client.post("/api/conversations/c1/exchanges", json=exchange).json() == {"kept": "q1"}
    assert client.post("/api/conversations/c1/title", json={"title": " A  name "}).json() == {"renamed": "c1"}
    assert client.get("/api/conversations").json()["conversations"][0]["title"] == "A name"
    assert client.post("/api/conversations/c1/cut", json={"exchange": "q1"}).json() == {"cut": "q1"}
    assert client.get("/api/conversations/c1").json()["exchanges"] == []
    assert client.delete("/api/conversations/c1").json() == {"deleted": "c1"}
    for method, path in [("GET", "c1"), ("DELETE", "c1"), ("GET", "c1/markdown")]:
        assert client.request(method, f"/api/conversations/{path}").status_code == 404
    assert client.post("/api/conversations/c1/title", json={"title": ""}).status_code == 400
    assert client.post("/api/conversations/c1/exchanges", json={**exchange, "question": " "}).status_code == 400


def test_two_writers_at_once(kept):
    other = sqlite3.connect(kept._file)
    kept.keep("c1", Exchange("q1", "a", "2030"))
    other.execute("SELECT * FROM exchanges").fetchone()
    kept.keep("c1", Exchange("q2", "b", "2030"))
    other.close()
    assert len(kept.get("c1").exchanges) == 2
