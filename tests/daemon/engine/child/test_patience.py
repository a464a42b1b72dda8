"""Tests of patience: what ends in time is returned, what does not is given up, and others are still asked."""

from __future__ import annotations

import threading

import pytest

from lorebook_api.errors import BadRequest
from lorebook_daemon.engine.child.patience import Patience


def test_what_ends_in_time_is_returned() -> None:
    patience = Patience(5)
    assert patience.ask(lambda: 3) == 3
    assert patience.ask(threading.current_thread) is not threading.current_thread()
    assert not patience.lost


def test_what_does_not_end_is_given_up_and_the_next_is_asked() -> None:
    patience, ended = Patience(0.05), threading.Event()
    with pytest.raises(BadRequest, match="grammar"):
        patience.ask(ended.wait)
    assert patience.lost
    assert patience.ask(lambda: 3) == 3
    ended.set()


def test_what_a_call_raises_is_raised() -> None:
    patience = Patience(5)
    with pytest.raises(TimeoutError, match="its own"):
        patience.ask(_raise_timeout)
    assert not patience.lost


def _raise_timeout() -> None:
    raise TimeoutError("its own")
