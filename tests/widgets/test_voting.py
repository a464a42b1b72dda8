"""`lorebook.arena`: both answer, a person votes blind, the names come after the vote; as a widget and as text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import lorebook
from fake_daemon import FakeDaemon
from fake_page import click, eventually, values
from lorebook.voting import side_of
from lorebook_api.arena import Battle, Revealed, Side, Standing, Standings
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, Conflict
from lorebook_api.evaluation import Figure
from lorebook_api.indexing import Progress

BATTLE = Battle("b1", "Why?", "Because **it** is.", "<script>no</script>")
STANDING = Standing("auto+mine", 1002.0, Figure(1020.0, 980.0, 1060.0, 4), None, 3, 1, 0)
STANDINGS = Standings((STANDING,), 4, False, ("Too few votes to tell.",))


@pytest.fixture
def fake(fake: FakeDaemon) -> FakeDaemon:
    progress = ("progress", asdict(Progress("answering", 1, 2)))
    fake.scripts.replies = {
        "/api/eval/arena/battle": [progress, ("done", asdict(BATTLE))],
        "/api/eval/arena/vote": asdict(Revealed("b1", "auto", "auto+mine", "b")),
        "/api/eval/arena": asdict(STANDINGS),
    }
    return fake


def test_the_names_come_after_the_vote(fake: FakeDaemon) -> None:
    ring = lorebook.arena("auto", "auto+mine:0.5")
    click(ring, 1, type="ask", question=" Why? ")
    ring.wait()
    sent = fake.of("/api/eval/arena/battle")[0].body
    assert sent["question"] == "Why?" and [one["name"] for one in sent["sides"]] == ["auto", "auto+mine:0.5"]
    assert sent["sides"][1]["adapters"] == [{"name": "mine", "scale": 0.5}]
    assert (values(ring)["phase"], values(ring)["names"]) == ("voting", None)
    assert "mine" not in repr(ring) and "A (?): Because" in repr(ring)
    click(ring, 2, type="vote", winner="b")
    eventually(lambda: values(ring)["votes"] == 4)
    assert fake.of("/api/eval/arena/vote")[0].body == {"battle": "b1", "winner": "b"}
    assert values(ring)["phase"] == "told" and values(ring)["names"] == {"a": "auto", "b": "auto+mine"}
    assert values(ring)["standings"][0]["strength"]["low"] == 980 and values(ring)["remarks"]
    assert "auto+mine: 1020 [980, 1060], won 3, tied 0, lost 1" in repr(ring)
    assert "Too few votes to tell." in repr(ring)
    text = ring.bundle()["text/markdown"]
    assert "<script>" not in text and "**it**" in text


def test_from_python(fake: FakeDaemon) -> None:
    ring = lorebook.arena("auto", Side("warm", temperature=0.8)).ask("Why?").wait()
    assert ring.battle == BATTLE and ring.vote("b").a == "auto"
    with pytest.raises(BadRequest, match="nothing to vote on"):
        ring.vote("a")
    assert ring.refresh() == STANDINGS


def test_one_question_at_a_time_and_stop(fake: FakeDaemon) -> None:
    progress = ("progress", asdict(Progress("answering", 1, 2)))
    fake.scripts.replies["/api/eval/arena/battle"] = [progress, *([0.05, progress] * 100)]
    ring = lorebook.arena("auto", "auto+mine").ask("Why?")
    with pytest.raises(Conflict):
        ring.ask("And?")
    heard: list[dict[str, Any]] = []
    ring.channel._send = heard.append
    eventually(lambda: values(ring)["progress"])
    click(ring, 1, type="stop")
    ring.wait()
    assert values(ring)["phase"] == "resting" and ring.battle is None
    assert any("taken back" in str(one) for one in heard) and "taken back" in repr(ring)


def test_a_vote_that_is_not_kept_can_be_given_again(fake: FakeDaemon) -> None:
    ring = lorebook.arena("auto", "auto+mine").ask("Why?").wait()
    fake.scripts.error = Conflict("It was voted on already.", "Ask again.")
    click(ring, 1, type="vote", winner="a")
    eventually(lambda: values(ring)["phase"] == "voting" and fake.of("/api/eval/arena/vote"))
    fake.scripts.error = None
    assert ring.vote("tie").b == "auto+mine"


def test_what_cannot_be_meant_is_said_at_once(fake: FakeDaemon) -> None:
    with pytest.raises(BadRequest, match="the same"):
        lorebook.arena("auto", "auto")
    ring = lorebook.arena("auto", "auto+mine")
    for call in (lambda: ring.ask(" "), lambda: ring.vote("c"), lambda: ring.vote("a")):
        with pytest.raises(BadRequest):
            call()
    assert "an arena of two sides" in repr(ring).casefold() and ring.bundle()["text/markdown"]


def test_sides() -> None:
    assert side_of("echo-1b+a+b:2") == Side("echo-1b+a+b:2", "echo-1b", (AdapterUse("a"), AdapterUse("b", 2.0)))
    here = str(Path.cwd())
    looking = side_of("root=.,k=12,rerank=judge,rewrite=hyde,steps=copies+window")
    assert (looking.roots, looking.k, looking.rerank) == ((here,), 12, "judge")
    assert (looking.rewrite, looking.context_steps) == ("hyde", "copies,window")
    assert side_of(Side("here", roots=(".",))).roots == (here,)
    assert side_of("") == Side("", "auto") and side_of("+a") == Side("+a", "auto", (AdapterUse("a"),))
