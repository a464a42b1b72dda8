"""The published OpenAI client, or a plain one, against the app, which is served at a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from fake_app import AUTHORIZED, TOKEN, Bench

Scene = Callable[[Any], Awaitable[Any]]


@asynccontextmanager
async def openai_client(bench: Bench) -> AsyncIterator[AsyncOpenAI]:
    # It tries nothing twice, so that a test sees the first answer.
    async with bench.served() as url, httpx.AsyncClient(trust_env=False, verify=False) as http:
        yield AsyncOpenAI(base_url=f"{url}/v1", api_key=TOKEN, max_retries=0, http_client=http)


@asynccontextmanager
async def plain_client(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        bench.served() as url,
        httpx.AsyncClient(base_url=url, headers=AUTHORIZED, trust_env=False, verify=False) as http,
    ):
        yield http


@pytest.fixture
def play(bench: Bench) -> Callable[[Scene], Any]:
    """Play a scene with the OpenAI client; return what the scene does."""

    async def whole(scene: Scene) -> Any:
        async with openai_client(bench) as client:
            return await scene(client)

    return lambda scene: asyncio.run(whole(scene))


@pytest.fixture
def play_plainly(bench: Bench) -> Callable[[Scene], Any]:
    """Play a scene with a client that sends whatever it is told to."""

    async def whole(scene: Scene) -> Any:
        async with plain_client(bench) as client:
            return await scene(client)

    return lambda scene: asyncio.run(whole(scene))
