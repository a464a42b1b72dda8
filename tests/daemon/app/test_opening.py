import dataclasses
import json

import pytest

from fake_app import Bench, client_of
from lorebook_daemon.engine.diskblocks import BlockKey, DiskBlocks
from lorebook_daemon.engine.kvplace import kv_root


class Told:
    """Hears what was opened."""

    def __init__(self):
        self.files = []

    def opened(self, root, path):
        self.files.append((root, path))


@pytest.fixture
def bench(notes):
    bench = Bench(served=(notes,))
    bench.parts = dataclasses.replace(bench.parts, warmer=Told())
    return bench


@pytest.fixture
def post(bench):
    with client_of(bench) as client:
        yield lambda **body: client.post(
            "/api/open", content=json.dumps(body), headers={"content-type": "application/json"}
        )


def test_an_open_notebook_is_told_to_the_warmer_after_its_root_was_brought_up_to_date(bench, notes, post):
    (notes / "new.txt").write_text("just saved")
    response = post(root=str(notes), path="new.txt")
    assert (response.status_code, response.json()) == (200, {"root": str(notes), "path": "new.txt"})
    assert bench.parts.warmer.files == [(notes, "new.txt")]
    assert "new.txt" in bench.indexes.committed[notes]


def test_a_root_that_is_indexed_need_not_be_served(bench, notes, tmp_path, post):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("text")
    refused = post(root=str(other), path="a.txt")
    assert refused.status_code == 404
    assert refused.json()["error"]["hint"] == f"Index it: lorebook index {other}"
    bench.indexes.committed[other] = {}
    assert post(root=str(other), path="a.txt").status_code == 200
    assert bench.parts.warmer.files == [(other, "a.txt")]


def test_the_path_is_told_as_the_index_has_it(bench, notes, post):
    (notes / "deep").mkdir()
    (notes / "deep" / "c.txt").write_text("text")
    for path in ("deep/c.txt", "./deep/../deep/c.txt", str(notes / "deep" / "c.txt")):
        assert post(root=str(notes), path=path).json()["path"] == "deep/c.txt"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../outside.txt", 400),
        ("/", 400),
        ("link.txt", 400),
        ("gone.txt", 404),
        (".", 404),
        ("", 400),
        ("a\0.txt", 400),
        ("\ud800.txt", 400),
        ("a" * 5000, 404),
    ],
)
def test_only_files_inside_the_root(bench, notes, tmp_path, post, path, status):
    (tmp_path / "outside.txt").write_text("not yours")
    (notes / "link.txt").symlink_to(tmp_path / "outside.txt")
    response = post(root=str(notes), path=path)
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"]
    assert bench.parts.warmer.files == []


@pytest.mark.parametrize("body", [{}, {"root": 1, "path": "a.txt"}, {"root": "/"}, {"root": "notes", "path": "a.txt"}])
def test_a_body_of_another_shape_is_refused(post, body):
    assert post(**body).status_code in (400, 422)


def test_status_tells_what_is_kept_of_the_reading(home):
    bench = Bench()
    disk = DiskBlocks(kv_root(home) / "model", 10**9)
    disk.put(BlockKey(bytes(20), bytes(16)), bytes(3 << 20))
    assert disk.flush()
    disk.close()
    with client_of(bench) as client:
        status = client.get("/api/status").json()
    assert status["kv_disk_mb"] == 3.0
    assert 0 < status["kv_disk_most_mb"] <= 8192 and 0 < status["kv_memory_most_mb"] <= 2048
