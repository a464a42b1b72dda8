"""The real index room: indexes cut in another way lie beside the daemon's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorebook_api.home import Home, find_home
from lorebook_api.indexing import RootInfo
from lorebook_api.retrieval import Similarity
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.app.forgetting import Forgetter
from lorebook_daemon.app.indexroom import indexes_at, indexes_cut
from lorebook_daemon.app.roots import Indexes
from lorebook_daemon.index.stores import choice
from lorebook_daemon.settings import Settings

SETTINGS = Settings(model="tiny", offline=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "lab"
    root.mkdir()
    (root / "a.py").write_text("\n\n".join(f"def f{n}():\n    return {n}" for n in range(80)))
    return root


async def never(model: object, report: object) -> Any:
    """Load no engine."""
    raise AssertionError


def made(indexes: Indexes, root: Path) -> RootInfo:
    """Return what the index of `root` holds once it is up to date."""

    async def run() -> None:
        async for _ in indexes.run(root, False, None):
            pass
        await indexes.close()

    asyncio.run(run())
    index = indexes.open(root)
    assert index is not None
    try:
        return index.info()
    finally:
        index.close()


def test_another_splitter_has_an_index_of_its_own(home: Home, root: Path) -> None:
    own, cut = indexes_at(find_home(), SETTINGS), indexes_cut(find_home(), SETTINGS, "lines:200")
    usual, short = made(own, root), made(cut, root)
    assert short.passages > 2 * usual.passages
    assert (own.stale(root), cut.stale(root)) == (0, 0)
    assert made(own, root).passages == usual.passages


def test_what_a_killed_measurement_left_is_emptied_by_the_next_daemon(home: Home, root: Path) -> None:
    cut = indexes_cut(find_home(), SETTINGS, "structure:300")
    assert made(cut, root).passages
    indexes_at(find_home(), SETTINGS)
    assert cut.open(root) is None
    forgetter = Forgetter(Engines(never), find_home())
    assert asyncio.run(forgetter.forget())
    held = b"".join(file.read_bytes() for file in home.cache.rglob("*") if file.is_file())
    assert b"return 79" not in held


def test_a_setting_cuts_the_daemons_own_otherwise(home: Home, root: Path) -> None:
    usual = made(indexes_at(find_home(), SETTINGS), root)
    shorter = indexes_at(find_home(), Settings(model="tiny", offline=True, splitter="structure:200"))
    assert shorter.stale(root) == 1
    assert made(shorter, root).passages > usual.passages


@pytest.mark.parametrize("similarity", ["ip", "cosine"])
def test_the_similarity_that_is_set_stands_beside_the_indexes(home: Home, similarity: Similarity) -> None:
    indexes_at(find_home(), replace(SETTINGS, similarity="l2"))
    indexes_at(find_home(), replace(SETTINGS, similarity=similarity))
    assert choice(home.cache / "index").similarity == similarity
