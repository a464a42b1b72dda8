import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

import fake_daemon
from fake_daemon import FakeDaemon
from lorebook_api.asking import AskRequest
from lorebook_api.client import Client, SourcesFound, TokenText
from lorebook_api.discovery import Daemon
from lorebook_api.errors import Cancelled, DaemonUnavailable, EngineDied, LorebookError, NotFound, Unauthorized
from lorebook_api.feedback import Feedback
from lorebook_api.indexing import IndexRequest, Progress
from lorebook_api.retrieval import SearchRequest


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    with FakeDaemon(tmp_path) as fake:
        yield fake


@pytest.fixture
def client(daemon: FakeDaemon) -> Client:
    return Client(Daemon(daemon.url, fake_daemon.TOKEN, 1, "0", ""))


def test_an_ask_yields_typed_events_and_the_answer_last(client: Client, daemon: FakeDaemon) -> None:
    events = list(client.ask(AskRequest("why?", ("/data",), k=3)))
    assert events[0] == Progress("loading echo-1b", 50, 100)
    assert events[1] == SourcesFound((fake_daemon.SOURCE,))
    assert "".join(event.text for event in events if isinstance(event, TokenText)) == "".join(fake_daemon.TOKENS)
    assert events[-1] == fake_daemon.ANSWER
    sent = daemon.of("/api/ask")[0].body
    assert sent["question"] == "why?" and sent["k"] == 3 and sent["request_id"]


def test_the_other_routes(client: Client, daemon: FakeDaemon) -> None:
    assert client.search(SearchRequest("fare")).results == (fake_daemon.RESULT,)
    assert list(client.index(IndexRequest(("/data",))))[-1] == fake_daemon.REPORT
    assert client.status() == daemon.status()
    assert client.models() == (fake_daemon.MODEL,)
    assert client.add_model("/m.gguf") == fake_daemon.MODEL
    assert list(client.pull_model("echo-1b"))[-1] == fake_daemon.MODEL
    given = Feedback("up", "why?", "42 [1]", (fake_daemon.CITATION,))
    assert (client.give_feedback(given).feedback, client.forget_feedback()) == (given, 2)
    assert client.feedback().mode == "keep"
    client.remove_model("echo-1b")
    assert daemon.calls[-1].method == "DELETE"


def test_an_error_before_and_within_the_stream_keeps_its_class(client: Client, daemon: FakeDaemon) -> None:
    daemon.scripts.ask = [("token", {"text": "a"}), ("error", EngineDied("it died.", "Ask again.").body())]
    with pytest.raises(EngineDied) as caught:
        list(client.ask(AskRequest("why?")))
    assert caught.value.hint == "Ask again."
    daemon.scripts.error = NotFound("no root.", "Check it.")
    with pytest.raises(NotFound, match="no root"):
        list(client.ask(AskRequest("why?")))
    with pytest.raises(NotFound):
        client.status()


def test_a_wrong_token(daemon: FakeDaemon) -> None:
    with pytest.raises(Unauthorized):
        Client(Daemon(daemon.url, "another", 1, "0", "")).status()


@pytest.mark.parametrize("script", [[("token", {"text": "a"}), fake_daemon.HANG_UP], []])
def test_a_daemon_that_dies_within_the_stream(client: Client, daemon: FakeDaemon, script: list) -> None:
    daemon.scripts.ask = script
    with pytest.raises(DaemonUnavailable) as caught:
        list(client.ask(AskRequest("why?")))
    assert "lorebook logs" in caught.value.hint


def test_a_daemon_that_is_not_there(client: Client, daemon: FakeDaemon) -> None:
    daemon.end()
    with pytest.raises(DaemonUnavailable):
        client.status()
    with pytest.raises(DaemonUnavailable):
        list(client.ask(AskRequest("why?")))


def test_a_second_connection_cancels_the_first_request(client: Client, daemon: FakeDaemon) -> None:
    daemon.scripts.ask = [("token", {"text": "a"}), 30, ("answer", asdict(fake_daemon.ANSWER))]
    events = client.ask(AskRequest("why?", request_id="r1"))
    assert next(events) == TokenText("a")
    threading.Thread(target=client.cancel, args=("r1",)).start()
    with pytest.raises(Cancelled):
        next(events)
    assert daemon.of("/api/cancel")[0].body == {"request_id": "r1"}


def test_an_answer_of_another_shape_is_told_in_one_line(client: Client, daemon: FakeDaemon) -> None:
    daemon.scripts.ask = [("answer", {"answer": "x"})]
    with pytest.raises(LorebookError, match="abstained") as caught:
        list(client.ask(AskRequest("why?")))
    assert "\n" not in str(caught.value)


def test_what_a_newer_daemon_adds_is_left_out(client: Client, daemon: FakeDaemon) -> None:
    daemon.scripts.ask = [("mood", {}), ("answer", {**asdict(fake_daemon.ANSWER), "mood": "fine"})]
    assert list(client.ask(AskRequest("why?"))) == [fake_daemon.ANSWER]
