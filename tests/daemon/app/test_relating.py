"""Passages near to a place, over HTTP."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fake_app import Bench


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A root of three files: one near to `a.txt`, one that has nothing to do with it."""
    root = tmp_path / "three"
    root.mkdir()
    (root / "a.txt").write_text("rows were dropped for null age")
    (root / "b.txt").write_text("age and null rows")
    (root / "c.txt").write_text("unheard of")
    return root


def ask(client: TestClient, root: Path, **fields: Any) -> Any:
    return client.post("/api/related", json={"roots": [str(root)], "k": 5, **fields})


def test_what_is_near_comes_without_the_passage_itself(client: TestClient, bench: Bench, three: Path) -> None:
    body = ask(client, three, path="a.txt").json()
    assert [(result["rank"], result["path"]) for result in body["results"]] == [(1, "b.txt")]
    assert bench.loads == []  # no model is wanted


def test_a_copy_is_not_told_as_something_near(client: TestClient, three: Path) -> None:
    (three / "copy.txt").write_text((three / "a.txt").read_text())
    assert [result["path"] for result in ask(client, three, path="a.txt").json()["results"]] == ["b.txt"]


def test_the_first_root_that_holds_the_file_is_meant_and_all_are_looked_in(
    client: TestClient, three: Path, notes: Path
) -> None:
    roots = [str(notes), str(three)]
    body = client.post("/api/related", json={"roots": roots, "path": "c.txt", "k": 5}).json()
    assert body["results"] == []
    body = client.post("/api/related", json={"roots": roots[::-1], "path": "a.txt", "k": 5}).json()
    assert {result["root"] for result in body["results"]} == set(roots)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [({"path": "gone.txt"}, 404, "not in the index"), ({"path": "../a.txt"}, 404, "not in the index"),
     ({"path": " "}, 400, "path is empty"), ({"path": "a.txt", "line": 0}, 400, "line is 0"),
     ({"path": "a.txt", "cell_index": 3}, 404, "No text stands"),
     ({"path": "a.txt", "cell_index": -1}, 400, "cell_index"), ({"path": "a.txt", "k": 0}, 400, "k is 0")],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_line(
    client: TestClient, three: Path, fields: dict[str, Any], status: int, words: str
) -> None:
    response = ask(client, three, **fields)
    error = response.json()["error"]
    assert (response.status_code, words in error["message"]) == (status, True), error
