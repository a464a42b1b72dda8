"""One request to the daemon, and its answer as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from lorebook_api.discovery import Daemon, open_async_http
from lorebook_api.errors import DaemonUnavailable
from lorebook_extension.route import Request


@dataclass(frozen=True)
class Answer:
    """An answer whose head is here and whose body is still to come."""

    daemon: Daemon
    response: httpx.Response
    silence_seconds: float

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All headers, in their order."""
        return self.response.headers.multi_items()

    @property
    def is_events(self) -> bool:
        """Whether the body is a stream of server-sent events."""
        return str(self.response.headers.get("content-type", "")).startswith("text/event-stream")

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes; raises DaemonUnavailable where it stops before its end or falls silent."""
        chunks = self.response.aiter_raw()
        try:
            while True:
                async with asyncio.timeout(self.silence_seconds):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield chunk
        except TimeoutError as error:
            message = f"the daemon (pid {self.daemon.pid}) fell silent for {self.silence_seconds:.0f} s."
            raise DaemonUnavailable(message, _HINT) from error
        except httpx.TransportError as error:
            raise _gone(self.daemon) from error


@asynccontextmanager
async def open_answer(daemon: Daemon, request: Request, silence_seconds: float) -> AsyncIterator[Answer]:
    """Send the request and yield the answer; left early, it hangs up on the daemon.

    Waits for the head as long as it takes: a search may index a whole folder first. Raises DaemonUnavailable where
    the daemon is gone.
    """
    async with open_async_http(daemon, read_seconds=None) as http:
        body = request.body or None
        sent = http.build_request(request.method, request.target, headers=request.headers, content=body)
        try:
            response = await http.send(sent, stream=True)
        except httpx.TransportError as error:
            raise _gone(daemon) from error
        try:
            # A 401 would be taken for Jupyter's own, and the person sent to log in again.
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise DaemonUnavailable("the daemon no longer knows the token in its runtime file.", _HINT)
            yield Answer(daemon, response, silence_seconds)
        finally:
            await response.aclose()


def _gone(daemon: Daemon) -> DaemonUnavailable:
    message = f"the daemon (pid {daemon.pid}) ended or stopped answering while it was at this."
    return DaemonUnavailable(message, _HINT)


_HINT = "Try again. What happened: lorebook logs"
