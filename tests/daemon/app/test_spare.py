"""The engine for work that nobody waits for: held beside nobody, counted for nobody, left when it is wanted."""

import asyncio
import contextlib
from pathlib import Path

from fake_app import eventually
from fakes import FakeEngine
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.models.shelf import LocalModel


def model(name):
    return LocalModel(name, Path("/models") / name, None, "lorebook")


def nobody(progress):
    """Hear nothing."""


def engines():
    async def load(model, report):
        return FakeEngine(model.name)

    return Engines(load)


async def loaded():
    """Return engines with one in memory that nobody uses."""
    these = engines()
    async with these.using(model("a"), nobody):
        pass
    return these


def test_there_is_none_before_one_was_asked_for_and_none_while_somebody_uses_it():
    async def check():
        these = engines()
        async with these.spare() as spare:
            assert spare is None
        assert these.state == "none", "and none was loaded for that"
        async with these.using(model("a"), nobody), these.spare() as spare:
            assert spare is None
        async with these.spare() as spare:
            assert (spare.model, spare.engine.model) == (model("a"), "a")
            assert these.depth == 0
        await these.close()
        async with these.spare() as spare:
            assert spare is None

    asyncio.run(check())


def test_who_wants_the_same_model_comes_in_beside_it():
    async def check():
        these = await loaded()
        async with these.spare(), these.using(model("a"), nobody) as engine:
            assert engine.model == "a" and these.depth == 1

    asyncio.run(check())


def test_who_wants_another_model_waits_until_it_was_left_and_is_told_of_nobody():
    async def check():
        these, heard = await loaded(), []

        async def use():
            async with these.using(model("b"), heard.append) as engine:
                return engine.model

        async with these.spare() as spare:
            user = asyncio.create_task(use())
            await asyncio.wait_for(these.wanted(), 1)
            await asyncio.sleep(0.01)
            assert not user.done() and not spare.engine.closed
        assert await user == "b" and spare.engine.closed
        assert heard == []

    asyncio.run(check())


def test_wanted_returns_as_soon_as_somebody_comes():
    async def check():
        these = await loaded()
        async with these.spare():
            waiting = asyncio.create_task(these.wanted())
            await asyncio.sleep(0.01)
            assert not waiting.done()
            async with these.using(model("a"), nobody):
                await eventually(waiting.done)
                await asyncio.wait_for(these.wanted(), 1)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(these.wanted(), 0.01)
                raise AssertionError("nobody wants it now")

    asyncio.run(check())
