"""One search for the daemon, off the loop, however many wait."""

import asyncio
import threading

import pytest

from lorebook_api import discovery
from lorebook_api.discovery import Daemon
from lorebook_api.errors import DaemonUnavailable
from lorebook_extension.door import Door

FOUND = Daemon("http://127.0.0.1:1", "t", 1, "0", "")


@pytest.fixture
def searches(monkeypatch):
    """Record the searches; each waits until `go` is set."""
    record = []
    go = threading.Event()

    def connect(home, start):
        record.append((threading.current_thread(), start))
        assert go.wait(5)
        return FOUND

    monkeypatch.setattr(discovery, "connect", connect)
    record.append(go)
    return record


@pytest.mark.parametrize("start", [True, False])
def test_many_waiters_share_one_search_in_a_thread(searches, start):
    async def run():
        door = Door(start)
        waiters = [asyncio.create_task(door.find_daemon()) for _ in range(20)]
        await asyncio.sleep(0.05)
        waiters[0].cancel()
        searches[0].set()
        return await asyncio.gather(*waiters, return_exceptions=True)

    found = asyncio.run(run())
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [FOUND] * 19
    ((thread, started),) = searches[1:]
    assert thread is not threading.main_thread()
    assert started is start


def test_the_next_one_searches_anew(searches):
    searches[0].set()

    async def run():
        door = Door(True)
        await door.find_daemon()
        await door.find_daemon()

    asyncio.run(run())
    assert len(searches) == 3


def test_a_failure_is_told_to_all_and_not_kept(monkeypatch):
    answers = [DaemonUnavailable("gone."), FOUND]

    def connect(home, start):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(discovery, "connect", connect)

    async def run():
        door = Door(True)
        first = await asyncio.gather(door.find_daemon(), door.find_daemon(), return_exceptions=True)
        return first, await door.find_daemon()

    failures, found = asyncio.run(run())
    assert [type(failure) for failure in failures] == [DaemonUnavailable, DaemonUnavailable]
    assert found == FOUND
