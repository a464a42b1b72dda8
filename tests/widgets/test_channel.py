from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook.channel import KEPT, Channel
from lorebook.state import WidgetState


class Page:
    """A page as the front end is: it asks again for what it lacks, and sends again what is not acknowledged."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name, self.wire = name, wire
        self.have = -1
        self.state = WidgetState()
        self.pending: list[tuple[int, Any]] = []
        self.last = 0

    def click(self, what: str) -> None:
        self.last += 1
        self.pending.append((self.last, {"type": "click", "what": what}))

    def push(self) -> None:
        self.wire.to_kernel({"page": self.name, "have": self.have})
        for n, message in list(self.pending):
            self.wire.to_kernel({"page": self.name, "n": n, "message": message})

    def hear(self, content: dict[str, Any]) -> None:
        if "ack" in content:
            if content["page"] == self.name:
                self.pending = [one for one in self.pending if one[0] > content["ack"]]
        elif "state" in content:
            if content["n"] > self.have:
                self.have = content["n"]
                self.state = WidgetState(**{k: v for k, v in content["state"].items() if k != "turns"})
                self.state.turns = [dict(turn) for turn in content["state"]["turns"]]
        elif self.have >= 0 and content["n"] == self.have + 1:
            self.have = content["n"]
            self.state.apply(content["message"])


class Wire:
    """Loses what it is told to lose, either way."""

    def __init__(self, loses: Any) -> None:
        self.loses = loses
        self.pages: list[Page] = []
        self.clicks: list[str] = []
        self.state = WidgetState(name="first")
        self.channel = Channel(self.to_pages, self.act, self.state)

    def to_pages(self, content: dict[str, Any]) -> None:
        for page in self.pages:
            if not self.loses():
                page.hear(content)

    def to_kernel(self, content: dict[str, Any]) -> None:
        if not self.loses():
            self.channel.receive(content)

    def act(self, message: dict[str, Any]) -> None:
        self.clicks.append(message["what"])
        self.channel.post({"type": "turn", "id": message["what"], "text": ""})


def test_a_page_that_loses_nothing_sees_every_message() -> None:
    wire = Wire(lambda: False)
    page = Page("p", wire)
    wire.pages.append(page)
    page.push()
    page.click("a")
    page.push()
    wire.channel.post({"type": "token", "id": "a", "text": "hello"})
    assert page.state.turns == [{"id": "a", "text": "hello"}] and page.pending == []
    assert page.state.values == {"name": "first"}


def test_a_page_that_the_kernel_cannot_hear_is_told_the_state() -> None:
    wire = Wire(lambda: False)
    page = Page("p", wire)
    wire.pages.append(page)
    wire.channel.post({"type": "turn", "id": "a", "text": ""})
    wire.channel.post({"type": "token", "id": "a", "text": "hello"})
    assert page.state.snapshot() == wire.state.snapshot()


def test_a_message_that_comes_twice_acts_once() -> None:
    wire = Wire(lambda: False)
    for _ in range(3):
        wire.channel.receive({"page": "p", "n": 1, "message": {"type": "click", "what": "a"}})
    assert wire.clicks == ["a"]


def test_a_message_before_its_turn_waits_for_the_one_before() -> None:
    wire = Wire(lambda: False)
    wire.channel.receive({"page": "p", "n": 2, "message": {"type": "click", "what": "b"}})
    assert wire.clicks == []


def test_who_lacks_more_than_is_kept_gets_the_state() -> None:
    wire = Wire(lambda: False)
    page = Page("p", wire)
    page.have = 0
    for i in range(KEPT + 1):
        wire.channel.post({"type": "turn", "id": str(i)})
    wire.pages.append(page)
    wire.to_kernel({"page": "p", "have": 0})
    assert len(page.state.turns) == KEPT + 1 and page.have == KEPT + 1


@pytest.mark.parametrize("reloads", [0, 50])
def test_nothing_is_lost_in_reloads_on_a_wire_that_loses_every_second_message(reloads: int) -> None:
    chance = random.Random(7)
    wire = Wire(lambda: chance.random() < 0.5)
    clicked = []
    for reload in range(reloads + 1):
        page = Page(f"page {reload}", wire)
        wire.pages = [page]
        for click in range(3):
            page.click(f"{reload}.{click}")
            clicked.append(f"{reload}.{click}")
            page.push()
        while page.pending or page.state.snapshot() != wire.state.snapshot():
            page.push()
    assert wire.clicks == clicked
    assert [turn["id"] for turn in wire.pages[0].state.turns] == clicked


@given(st.lists(st.sampled_from(["click", "post", "push", "reload", "second page"]), max_size=60), st.randoms())
def test_in_the_end_every_page_shows_what_the_kernel_knows(deeds: list[str], chance: random.Random) -> None:
    losing = True
    wire = Wire(lambda: losing and chance.random() < 0.4)
    wire.pages = [Page("0", wire)]
    for i, deed in enumerate(deeds):
        page = wire.pages[-1]
        if deed == "click":
            page.click(str(i))
        elif deed == "post":
            wire.channel.post({"type": "set", "values": {"name": i}})
        elif deed == "push":
            page.push()
        elif deed == "reload":
            wire.pages[-1] = Page(str(i), wire)
        else:
            wire.pages.append(Page(str(i), wire))
    losing = False
    for page in wire.pages:
        page.push()
    for page in wire.pages:
        page.push()
        assert page.pending == [] and page.state.snapshot() == wire.state.snapshot()
    assert len(wire.clicks) == len(set(wire.clicks))
    assert sorted(wire.clicks, key=int) == [click for click in sorted(wire.clicks, key=int)]
