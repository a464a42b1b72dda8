"""Tests of the watchdog: what takes too long is told once, what ends in time never."""

from __future__ import annotations

import threading
import time

from lorebook_daemon.engine.child.watchdog import Watchdog


def test_what_takes_too_long_is_told_once() -> None:
    told, came = list[str](), threading.Event()

    def stuck(what: str) -> None:
        told.append(what)
        came.set()

    watchdog = Watchdog[str](0.05, stuck)
    with watchdog.watching("the slow one"):
        assert came.wait(5)
        time.sleep(0.15)
    assert told == ["the slow one"]


def test_what_ends_in_time_is_not_told() -> None:
    told = list[str]()
    watchdog = Watchdog[str](0.2, told.append)
    for _ in range(20):
        with watchdog.watching("a quick one"):
            time.sleep(0.02)
    time.sleep(0.3)  # and nothing is watched while nothing is done
    assert told == []
