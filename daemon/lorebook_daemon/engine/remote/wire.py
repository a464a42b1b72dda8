"""The line to an engine elsewhere: JSON there, JSON or an event stream back, and every way in which that fails."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx

from lorebook_api.errors import BadRequest, EngineDied, EngineFailed, LorebookError, NotFound, TooLong
from lorebook_api.sse import EventParser
from lorebook_daemon.engine.remote.address import Address

PATIENCE_S = 300.0
"""Seconds without a byte after which a server counts as gone: it may be reading a long prompt on a slow machine."""
_CONNECT_S = 10.0
_LONGEST_MESSAGE = 300
_TOO_LONG = re.compile(r"context (size|length|window)|maximum model length|max_model_len|context_length", re.IGNORECASE)
"""How llama-server, vLLM, Ollama and OpenAI say that a prompt does not fit."""


class Wire:
    """Sends requests to a server; every failure is an error that names its host. Use `close` at the end.

    Raises EngineDied where nobody answers or the answer breaks off, BadRequest and TooLong for what the server does
    not take, NotFound for what it does not have, EngineFailed for everything else that it refuses.
    """

    def __init__(self, address: Address, patience_s: float = PATIENCE_S) -> None:
        """Describe the line; nothing is sent yet."""
        self.address = address
        self._patience_s = patience_s
        self._client = httpx.AsyncClient(
            base_url=address.url,
            headers={"Authorization": f"Bearer {address.key}"} if address.key else {},
            timeout=httpx.Timeout(patience_s, connect=_CONNECT_S, pool=None),
            # A proxy that the environment names is on the network, even where the server is on this machine.
            trust_env=not address.loopback,
        )

    async def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        return await self._whole("GET", path, None)

    async def post(self, path: str, body: Any) -> Any:
        """Return the JSON that the server answers `body` with."""
        return await self._whole("POST", path, body)

    async def tell(self, path: str, body: Any) -> None:
        """Send `body` to a route whose answer says no more than that it was heard."""
        async with self._answer("POST", path, body) as response:
            await response.aread()

    async def stream(self, path: str, body: Any) -> AsyncGenerator[str, None]:
        """Yield the data of each event up to `[DONE]`; closing the iterator hangs up, which ends the work there."""
        async with self._answer("POST", path, body) as response:
            parser = EventParser()
            async for data in response.aiter_bytes():
                for event in parser.feed(data):
                    if event.data == "[DONE]":
                        return
                    yield event.data

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()

    def refusal(self, status: int, message: str) -> LorebookError:
        """Return the error for a status above 299 and what the server said with it."""
        host, said = self.address.host, f": {message}" if message else ""
        if status >= 400 and _TOO_LONG.search(message):
            return TooLong(f"The prompt does not fit the engine at {host}{said}", "Ask with fewer sources.")
        told = f"The engine at {host} answered {status}{said}"
        if status in (401, 403):
            return EngineFailed(told, f"Set LOREBOOK_ENGINE_KEY to a key that {host} takes.")
        if status == 404:
            return NotFound(told, f"Set LOREBOOK_MODEL to a model that {host} has; see LOREBOOK_ENGINE_URL too.")
        if status == 429:
            return EngineFailed(told, f"{host} has too much to do: ask again in a moment.")
        if 400 <= status < 500:
            return BadRequest(told, f"LOREBOOK_ENGINE_URL says that {host} takes what OpenAI's API has; does it?")
        return EngineFailed(told, f"Ask again; its own log says more, and LOREBOOK_ENGINE_URL where it is: {host}")

    def garbled(self) -> EngineFailed:
        """Return the error for an answer that is not what the API has."""
        host = self.address.host
        return EngineFailed(
            f"The answer of {host} is not what OpenAI's API has.",
            "Set LOREBOOK_ENGINE_URL to the address of an OpenAI-compatible server.",
        )

    def broken_off(self) -> EngineDied:
        """Return the error for an answer that ended in the middle."""
        return EngineDied(
            f"The engine at {self.address.host} broke off in the middle of its answer.",
            "Ask again; LOREBOOK_ENGINE_URL says where it is.",
        )

    async def _whole(self, method: str, path: str, body: Any) -> Any:
        async with self._answer(method, path, body) as response:
            text = await response.aread()
        try:
            return json.loads(text)
        except ValueError as error:
            raise self.garbled() from error

    @contextlib.asynccontextmanager
    async def _answer(self, method: str, path: str, body: Any) -> AsyncIterator[httpx.Response]:
        """Yield an answer of status 200 or so; its body is yet to be read."""
        # json.dumps, not httpx's own: half a surrogate pair goes as \udXXX, where UTF-8 would fail.
        sent = {} if body is None else {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}
        try:
            async with self._client.stream(method, path, **sent) as response:  # type: ignore[arg-type]
                if not response.is_success:
                    raise self.refusal(response.status_code, _message(await response.aread()))
                yield response
        except httpx.HTTPError as error:
            raise self._lost(error) from error

    def _lost(self, error: httpx.HTTPError) -> EngineDied:
        """Return the error for a line that failed."""
        host = self.address.host
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            why = f" ({error})" if str(error) else ""
            return EngineDied(
                f"Nobody answers at {host}{why}.", "Start the server, or set LOREBOOK_ENGINE_URL to where it runs."
            )
        if isinstance(error, httpx.TimeoutException):
            return EngineDied(
                f"The engine at {host} said nothing for {self._patience_s:g} seconds.",
                "Ask again once it is less busy, or set LOREBOOK_ENGINE_URL to a faster one.",
            )
        return self.broken_off()


def _message(data: bytes) -> str:
    """Return what a server says of its error in one line: OpenAI's shape, FastAPI's, or Ollama's own."""
    try:
        return message_of(json.loads(data))
    except ValueError:
        return ""


def message_of(body: Any) -> str:
    """Return the message in an error's body, empty where there is none."""
    while isinstance(body, dict):
        body = next((body[name] for name in ("error", "message", "detail") if name in body), "")
    line = " ".join(str(body).split()) if body else ""
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"
