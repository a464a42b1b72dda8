"""The daemon's life as a person meets it: found, stopped, its engine killed, its port taken, its home unwritable."""

from __future__ import annotations

import os
import socket

import pytest

from end_to_end.contract import check_answer
from end_to_end.person import until

pytestmark = [pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(300)]

STORY = ("ask", "Write a very long story about a river.", "--no-grounding", "--max-tokens", "4000", "--json")


def test_it_starts_on_demand_and_is_found_and_stops(person):
    assert "no daemon is running" in person.type("status", code=1).complaint()
    assert "no daemon is running" in person.type("models", "list", "--no-daemon-start", code=1).complaint()
    person.type("models", "list")  # outlives the command that started it
    daemon = person.daemon()
    assert person.type("status", "--json").document()["pid"] == daemon.pid

    second = person.type("serve", code=1)
    assert daemon.url in second.complaint() and "lorebook stop" in second.complaint()
    assert person.daemon() == daemon

    assert str(daemon.pid) in person.type("stop").out
    assert not person.home.daemon_file.exists()
    assert person.type("stop").out == "No daemon is running.\n"


def test_an_engine_killed_while_it_answers_costs_that_answer_alone(person):
    run = person.start(*STORY)
    until(person.home.daemon_file.exists)
    with person.http() as http:
        until(lambda: (status := http.get("/api/status").json())["queue"] and status["engine"] == "ready")
    daemon = person.daemon()
    (engine,) = until(lambda: person.children("child"))
    engine.kill()
    complaint = person.hear(run, code=1).err.splitlines()[-1]
    assert "engine" in complaint and "Ask again" in complaint

    said = person.type("ask", "What is a river?", "--no-grounding", "--max-tokens", "10", "--json")
    check_answer(said.document(), [])
    assert person.daemon() == daemon
    assert [child.pid for child in person.children("child")] != [engine.pid]


def test_a_port_in_use_is_named(person):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        complaint = person.type("serve", "--port", str(port), code=1).complaint()
    assert f"Port {port} is in use" in complaint and "--port 0" in complaint
    assert not person.home.daemon_file.exists()


def test_nothing_of_the_folder_that_it_was_started_in_is_run(person):
    for name in ("asyncio", "json", "numpy", "queue"):
        (person.folder / f"{name}.py").write_text("open('run', 'w')\nraise SystemExit('run')\n", encoding="utf-8")
    serving = person.start("serve")
    until(person.home.daemon_file.exists)
    assert person.type("ask", "What is run?", "-k", "1", "--max-tokens", "5", "--json").document()["sources"]
    person.type("stop")
    person.hear(serving)
    assert not (person.folder / "run").exists()


@pytest.mark.parametrize("obstacle", ["a file", "no right to write"])
def test_a_home_that_cannot_be_written_is_named(person, obstacle):
    home = person.folder / "home"
    if obstacle == "a file":
        home.write_text("not a folder", encoding="utf-8")
    else:
        home.mkdir(mode=0o500)
        if os.access(home, os.W_OK):
            pytest.skip("this user may write everywhere")
    person.env["LOREBOOK_HOME"] = str(home)
    for words in (("ask", "what?"), ("search", "what"), ("index",), ("serve",), ("models", "list")):
        complaint = person.type(*words, code=1).complaint()
        assert str(home) in complaint and "Set LOREBOOK_HOME" in complaint
    assert person.type("doctor", code=1).out.count("fail") >= 1
