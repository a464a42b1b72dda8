"""What narrows a question or a search in Python: what is sent of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import lorebook
from fake_daemon import FakeDaemon
from lorebook_api.errors import BadRequest


def test_one_value_or_several_of_each(fake: FakeDaemon, tmp_path: Path) -> None:
    lorebook.search("fare", tmp_path, kind="code", path="src/", since="2026-11-01T14:00Z", tag=["a", "b"])
    lorebook.ask("fare?", tmp_path, show=False, kind="doc", language=["python", "sql"], notebook="eda.ipynb")
    search, ask = (fake.of(f"/api/{route}")[0].body for route in ("search", "ask"))
    assert search["kind"] == "code"
    assert search["filters"] == {
        "paths": ["src/"],
        "kinds": [],
        "languages": [],
        "modified_since": "2026-11-01T14:00:00+00:00",
        "notebooks": [],
        "tags": ["a", "b"],
    }
    assert (ask["filters"]["kinds"], ask["filters"]["languages"]) == (["doc"], ["python", "sql"])
    assert ask["filters"]["notebooks"] == ["eda.ipynb"]


def test_a_bad_value_says_what_to_type(fake: FakeDaemon, tmp_path: Path) -> None:
    for wrong in ({"since": "soon"}, {"path": ""}, {"tag": ["a", " "]}):
        with pytest.raises(BadRequest) as caught:
            lorebook.search("fare", tmp_path, **wrong)
        assert caught.value.hint
    assert not fake.of("/api/search")


def test_a_search_box_keeps_to_them(fake: FakeDaemon, tmp_path: Path) -> None:
    box = lorebook.search(root=tmp_path, path="src/")
    box.search("fare", "code").join()
    sent = fake.of("/api/search")[0].body
    assert (sent["filters"]["paths"], sent["kind"], sent["query"]) == (["src/"], "code", "fare")
