"""uvicorn on a bound socket, ended by our own hand: by a signal, a request, or idleness."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from socket import socket

import uvicorn
from starlette.types import ASGIApp

_GRACE_SECONDS = 3
"""How long open connections may take to end."""


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals alone: its own handlers would end the process before we have cleaned up."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,  # the guard's journal writes that, without query strings
                server_header=False,
                ws="none",
                lifespan="off",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: `signals_calling` does."""
        yield

    async def run_until(self, stop: asyncio.Event, sock: socket, ending: Callable[[], None]) -> None:
        """Serve until `stop` is set; `ending` is called then, before open connections are waited for."""
        serving = asyncio.create_task(self.serve(sockets=[sock]))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        ending()
        self.should_exit = True
        await serving


@contextlib.contextmanager
def signals_calling(stop: Callable[[], None]) -> Iterator[None]:
    """Have SIGINT and SIGTERM (and Ctrl-Break on Windows) call `stop` in the event loop for the block."""
    loop = asyncio.get_running_loop()
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # signal.signal, not the loop's own way, which Windows lacks.
    before = {number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
