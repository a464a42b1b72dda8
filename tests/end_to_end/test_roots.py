"""Folders that change: two at once, files that come and go, a daemon that is killed while it reads them."""

from __future__ import annotations

import psutil
import pytest

from end_to_end.contract import check_answer, check_index
from end_to_end.person import is_over, until

pytestmark = [pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(300)]

FERRY = "# Ferry\n\nThe ferry to Amrum leaves at 9:40 from pier 3.\n"
ORCHARD = "# Orchard\n\nThe Boskoop apple trees were planted in 1987.\n"


def notes(person, name, **texts):
    """Write Markdown files into a folder of the person's, and return it."""
    folder = person.folder / name
    folder.mkdir()
    for file, text in texts.items():
        (folder / f"{file}.md").write_text(text, encoding="utf-8")
    return folder


def places(person, query, *roots):
    words = [word for root in roots for word in ("--root", str(root))]
    return [(r["root"], r["path"]) for r in person.type("search", query, *words, "--json").document()["results"]]


def test_two_roots_at_once_by_two_people_who_start_one_daemon(person):
    north, south = notes(person, "north", ferry=FERRY), notes(person, "south", orchard=ORCHARD)
    runs = [person.start("index", str(root), "--json") for root in (north, south)]
    for root, run in zip((north, south), runs, strict=True):
        check_index(person.hear(run).document(), [root])
    assert person.home.log_file.read_text(encoding="utf-8").count("serving at") == 1

    words = ("--root", str(north), "--root", str(south), "--max-tokens", "40", "--json")
    body = person.type("ask", "When does the ferry to Amrum leave?", *words).document()
    check_answer(body, [north, south])
    assert body["sources"][0]["root"] == str(north)
    body = person.type("ask", "When were the Boskoop apple trees planted?", *words).document()
    assert body["sources"][0]["root"] == str(south)
    assert places(person, "Boskoop apple trees", north, south)[0] == (str(south), "orchard.md")


def test_one_root_by_two_people_at_once(person):
    root = notes(person, "notes", ferry=FERRY, orchard=ORCHARD)
    runs = [person.start("index", str(root), "--json") for _ in range(2)]
    for run in runs:
        body = person.hear(run).document()
        check_index(body, [root])
        assert body["roots"][0]["files"] == 2


def test_a_changed_folder_is_read_again_first_and_the_answer_says_so(person):
    root = notes(person, "notes", ferry=FERRY, orchard=ORCHARD)
    question = ("ask", "When does the ferry to Amrum leave?", "--root", str(root), "--max-tokens", "40", "--json")
    first = person.type(*question).document()
    assert any("Indexed" in notice and "2 files" in notice for notice in first["notices"])
    assert not person.type(*question).document()["notices"]

    (root / "ferry.md").write_text(FERRY.replace("9:40", "17:25"), encoding="utf-8")
    (root / "orchard.md").unlink()
    body = person.type(*question).document()
    check_answer(body, [root])
    assert "Index updated: 2 files changed." in body["notices"]
    assert "17:25" in body["sources"][0]["text"]
    assert {source["path"] for source in body["sources"]} == {"ferry.md"}
    assert (str(root), "orchard.md") not in places(person, "Boskoop apple trees", root)


def test_a_daemon_killed_while_it_indexes_costs_that_command_alone(person):
    root = notes(person, "notes", **{f"note{n}": f"# Note {n}\n\nThe zebra{n} lives here.\n" for n in range(300)})
    run = person.start("index", str(root))
    until(lambda: person.home.daemon_file.exists())
    until(lambda: person.children("start") and list(person.home.cache.glob("index/*/index.sqlite3*")))
    killed = person.daemon()
    (worker,) = person.children("start")
    psutil.Process(killed.pid).kill()
    complaint = person.hear(run, code=1).err.splitlines()[-1]
    assert f"(pid {killed.pid})" in complaint and "Try again" in complaint
    until(lambda: is_over(worker), within_s=10)
    assert person.daemon() == killed  # the runtime file is stale now

    words = ("ask", "Where does the zebra299 live?", "--root", str(root), "--max-tokens", "20", "-k", "2", "--json")
    body = person.type(*words).document()
    check_answer(body, [root])
    assert person.daemon().pid != killed.pid
    for n in (0, 299):
        assert places(person, f"zebra{n}", root)[0] == (str(root), f"note{n}.md")
    (report,) = person.type("index", str(root), "--json").document()["roots"]
    assert report["files"] == 300
