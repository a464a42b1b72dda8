"""The widgets that are one board: search and index."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import lorebook
from fake_daemon import REPORT, RESULT, FakeDaemon
from fake_page import click, eventually, values
from lorebook.indexing import IndexView
from lorebook.searching import SearchBox
from lorebook_api.errors import BadRequest, Conflict, NotFound


def test_a_search_without_a_query_is_a_widget(fake: FakeDaemon, tmp_path: Path) -> None:
    box = lorebook.search(root=tmp_path, k=3)
    assert isinstance(box, SearchBox) and "lorebook.search('" in repr(box)
    click(box, 1, type="search", query="fare", kind="code")
    eventually(lambda: values(box)["results"])
    assert fake.of("/api/search")[0].body["query"] == "fare"
    assert (fake.of("/api/search")[0].body["k"], fake.of("/api/search")[0].body["kind"]) == (3, "code")
    assert values(box)["results"] == [asdict(RESULT)] and values(box)["told"] == "1 passage · 3 ms"
    assert box.results is not None and list(box.results) == [RESULT] and "src/fare.py:10-12" in repr(box)
    click(box, 2, type="search", query=" ", kind=None)
    assert values(box)["results"] == [] and values(box)["told"] == ""


def test_of_two_searches_the_later_one_is_shown(fake: FakeDaemon, tmp_path: Path) -> None:
    box = SearchBox((str(tmp_path),))
    first, second = box.search("fare"), box.search("tide")
    first.join()
    second.join()
    assert box.results is not None and box.results.request.query == "tide" and values(box)["query"] == "tide"


def test_a_search_that_cannot_be_is_told(fake: FakeDaemon, tmp_path: Path) -> None:
    box = SearchBox((str(tmp_path),))
    with pytest.raises(BadRequest, match="songs"):
        box.search("x", "songs")  # type: ignore[arg-type]
    heard: list[dict[str, Any]] = []
    box.channel._send = heard.append
    fake.scripts.error = NotFound("no root.", "Check it.")
    box.search("fare").join()
    notices = [one["message"] for one in heard if one.get("message", {}).get("type") == "notice"]
    assert notices[0]["failure"]["message"] == "no root." and values(box)["told"] == ""


def test_an_index_is_brought_up_to_date_and_told(fake: FakeDaemon, tmp_path: Path) -> None:
    view = lorebook.index(tmp_path).wait()
    assert isinstance(view, IndexView) and fake.of("/api/index")[0].body["roots"] == [str(tmp_path)]
    assert values(view)["updating"] is False and values(view)["progress"] is None
    click(view, 1, type="full")
    view.wait()
    assert fake.of("/api/index")[1].body["full"] is True


def test_what_was_left_out_is_told_with_why(fake: FakeDaemon) -> None:
    view = IndexView(("/data",))
    assert "being brought up to date" in repr(view)
    view.update()
    assert view.wait().reports == (REPORT,)
    assert values(view)["infos"][0]["passages"] == 17
    assert "  skipped big.csv: 120 MB, above max_file_mb = 20" in repr(view)
    assert repr(view) == view._repr_mimebundle_()[0]["text/plain"]


def test_one_update_at_a_time_and_its_failure_ends_it(fake: FakeDaemon) -> None:
    fake.scripts.index[1:1] = [0.3]
    view = IndexView(("/data",))
    view.update()
    with pytest.raises(Conflict):
        view.update()
    view.wait()
    fake.scripts.error = NotFound("no root.", "Check it.")
    view.update()
    view.wait()
    assert values(view)["updating"] is False
