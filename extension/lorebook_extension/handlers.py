"""The one handler: a request to `lorebook/*` becomes a request to the daemon. It names no endpoint of the daemon."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from lorebook_api.errors import DaemonUnavailable, Forbidden, LorebookError
from lorebook_extension.door import Door
from lorebook_extension.route import Request, find_target, pick_answer_headers, pick_request_headers

if TYPE_CHECKING:
    from lorebook_extension.upstream import Answer


class ForwardHandler(APIHandler):
    """Forwards, behind Jupyter's login, and adds the daemon's token, which the browser never sees.

    Bytes are passed on as they come. A browser that hangs up hangs up on the daemon. Every error has the body of
    `LorebookError.body`, those of Jupyter's own login as well. A request with the header `X-Lorebook-Start: no` starts
    no daemon and is answered with 204 where none runs: a page that only looks whether one does must not start it.
    """

    auth_resource = "lorebook"

    def initialize(self, door: Door, quiet_door: Door, silence_seconds: float) -> None:
        """Take what the app hands over; `quiet_door` starts no daemon."""
        self._quiet = self.request.headers.get("X-Lorebook-Start") == "no"
        self._door = quiet_door if self._quiet else door
        self._silence_seconds = silence_seconds
        self._work: asyncio.Task[None] | None = None

    # Three methods, not one under three names: `authorized` keeps the action of the first request that it saw.
    @authenticated
    @authorized
    async def get(self, _path: str) -> None:
        """Forward a GET."""
        await self._forward()

    @authenticated
    @authorized
    async def post(self, _path: str) -> None:
        """Forward a POST."""
        await self._forward()

    @authenticated
    @authorized
    async def delete(self, _path: str) -> None:
        """Forward a DELETE."""
        await self._forward()

    def on_connection_close(self) -> None:
        """Hang up on the daemon as the browser did."""
        if self._work is not None:
            self._work.cancel()
        super().on_connection_close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer what Jupyter or tornado refused, in our shape."""
        cause = kwargs.get("exc_info", (None, None))[1]
        self.finish(_describe(status_code, cause).body())

    async def _forward(self) -> None:
        self.update_api_activity()  # now as well as at the end: a server is culled for idleness while an answer is long
        # A task of its own, because tornado reports the cancellation of a handler as an error.
        work = self._work = asyncio.create_task(self._pass_on())
        try:
            await asyncio.wait({work})
        finally:
            work.cancel()
        if work.cancelled():
            return
        try:
            work.result()
        except StreamClosedError:
            return  # the browser has gone
        except LorebookError as error:
            self._refuse(error)

    async def _pass_on(self) -> None:
        request = self._read_request()
        daemon = await self._door.find_daemon()
        from lorebook_extension.upstream import open_answer  # httpx: loaded by now, in the thread that found the daemon

        async with open_answer(daemon, request, self._silence_seconds) as answer:
            self.set_status(answer.status)
            self.clear_header("Content-Type")
            for name, value in pick_answer_headers(answer.headers):
                self.set_header(name, value)
            await self.flush()
            await self._send_body(answer)

    def _read_request(self) -> Request:
        # Undecoded: the name of a model may hold %2F.
        path = self.request.path[len(url_path_join(self.base_url, "lorebook/")) :]
        target = find_target(path, self.request.query)
        return Request(str(self.request.method), target, pick_request_headers(self.request.headers), self.request.body)

    async def _send_body(self, answer: Answer) -> None:
        """Pass the body on; where it breaks off, the browser must be able to tell."""
        end = b"\n\n"
        try:
            async with aclosing(answer.read()) as chunks:
                async for chunk in chunks:
                    end = (end + chunk)[-2:]
                    self.write(chunk)
                    await self.flush()
        except DaemonUnavailable as error:
            self.log.warning("lorebook: %s", error)
            if not answer.is_events or end != b"\n\n":
                self.detach().close()  # without the end that HTTP wants
                return
            self.write(f"event: error\ndata: {json.dumps(error.body())}\n\n")
        await self.finish()

    def _refuse(self, error: LorebookError) -> None:
        self.clear()
        if self._quiet and isinstance(error, DaemonUnavailable):
            self.set_status(HTTPStatus.NO_CONTENT)
            self.finish()
            return
        self.log.warning("lorebook: %s", error)
        self.set_status(error.status)
        self.finish(error.body())


def _describe(status: int, cause: BaseException | None) -> LorebookError:
    """Return what Jupyter or tornado refused as one of our errors."""
    told = cause.log_message if isinstance(cause, HTTPError) else None
    if status == HTTPStatus.FORBIDDEN:
        return Forbidden(told or "Jupyter did not let this request in.", "Log in to Jupyter and reload the page.")
    error = LorebookError(told or f"Jupyter answered HTTP {status}.", "See the log of Jupyter Server.")
    error.status = status
    return error
