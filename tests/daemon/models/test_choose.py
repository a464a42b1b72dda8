from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.errors import StorageFailed
from lorebook_api.home import Home
from lorebook_daemon.models.catalogue import CATALOGUE, answering
from lorebook_daemon.models.choose import BESIDE_WEIGHTS, choose, choose_here, recall_speeds, remember_speed

LARGE, SMALL = (model.name for model in answering())
ROOM = CATALOGUE[LARGE].size + BESIDE_WEIGHTS


@pytest.mark.parametrize(
    ("memory", "measured", "chosen"),
    [
        (ROOM, {}, LARGE),
        (ROOM - 1, {}, SMALL),
        (0, {}, SMALL),
        (ROOM, {LARGE: 3.9}, SMALL),
        (ROOM, {LARGE: 4.0}, LARGE),
        (ROOM, {LARGE: 1.0, SMALL: 1.0}, SMALL),
    ],
)
def test_memory_and_speed_decide(memory: int, measured: dict[str, float], chosen: str) -> None:
    assert choose(memory, measured) == chosen


@given(st.integers(0, 2**40), st.dictionaries(st.sampled_from(list(CATALOGUE)), st.floats(0, 1000)))
def test_only_answering_models_are_chosen(memory: int, measured: dict[str, float]) -> None:
    assert CATALOGUE[choose(memory, measured)].purpose == "answer"


def test_speeds_are_remembered_and_the_best_counts(home: Home) -> None:
    assert recall_speeds(home) == {}
    remember_speed(home, LARGE, 12.344)
    remember_speed(home, SMALL, 30.0)
    remember_speed(home, LARGE, 2.0)
    assert recall_speeds(home) == {LARGE: 12.34, SMALL: 30.0}


def test_a_slow_machine_takes_the_smaller_one(home: Home) -> None:
    remember_speed(home, LARGE, 1.0)
    assert choose_here(home) == SMALL


@pytest.mark.parametrize("text", ["", "[]", "{", '{"other cpu": {"m": 1}}'])
def test_a_damaged_file_of_speeds_is_written_anew(home: Home, text: str) -> None:
    (home.cache / "speed.json").write_text(text)
    assert recall_speeds(home) == {}
    remember_speed(home, SMALL, 9.0)
    assert recall_speeds(home) == {SMALL: 9.0}


def test_a_cache_that_cannot_be_written_is_said(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    broken = Home(home.config, home.state, tmp_path / "file" / "cache", home.models, home.runtime)
    with pytest.raises(StorageFailed):
        remember_speed(broken, SMALL, 9.0)
