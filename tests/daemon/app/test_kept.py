"""With a real engine: what is read ahead is what an answer then needs not read, and outlives the engine's process."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from lorebook_api.asking import Sampling
from lorebook_daemon.answer.prompts import answer_prompt, stated_prompt, supported_prompt
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.app.forgetting import text_of
from lorebook_daemon.app.warming import Warmer
from lorebook_daemon.engine.kvplace import kv_folder, kv_root
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import Finished
from lorebook_daemon.index.lately import passages_of
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.index.update import update
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings
from tiny_models import tiny_llama

SETTINGS = Settings(n_ctx=1024, threads=1, kv_memory_mb=8, kv_disk_mb=8, speculation=False)


def nobody(progress):
    """Hear nothing."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return LocalModel("tiny", tiny_llama(tmp_path_factory.mktemp("models") / "tiny.gguf"), None, "lorebook")


@pytest.fixture
def root(home, tmp_path):
    top = tmp_path / "root"
    top.mkdir()
    for n in range(3):
        (top / f"{n}.md").write_text(f"Valve {n} opens at {n + 3} bar, and it closes at {n + 2} bar.")
    return top


def bring_up(home, root):
    folder = index_folder(home.cache, root)
    update(root, folder, max_file_mb=20, report=nobody)
    return [text_of(passage) for file in sorted(root.iterdir()) for passage in passages_of(folder, file.name)]


@asynccontextmanager
async def daemon(home, model):
    """Run what a daemon runs of this: engines, and the warmer beside them."""

    async def load(model, report):
        return await EngineProcess.start(model.path, model.name, SETTINGS, home)

    engines = Engines(load)
    warmer = Warmer(engines, home, SETTINGS, idle=lambda: True)
    running = asyncio.create_task(warmer.run())
    try:
        async with engines.using(model, nobody):
            pass
        yield engines, warmer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await engines.close()


async def until(holds, within_s=60.0):
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.05)


async def cached(engine, prompt):
    """Return how many of a prompt's tokens needed no reading, and how many its passages take."""
    (size,) = await engine.count([prompt])
    async for piece in engine.generate(prompt, Sampling(), 1):
        if isinstance(piece, Finished):
            return piece.usage.cached_tokens, sum(size.passages)
    raise AssertionError("no end")


def blocks(home):
    return sorted(kv_root(home).rglob("*.kv"))


@pytest.mark.daemon
def test_what_was_read_ahead_is_there_for_the_answer_and_for_the_next_daemon_and_goes_with_its_file(home, model, root):
    async def check():
        texts = bring_up(home, root)
        assert len(texts) == 3
        async with daemon(home, model) as (engines, warmer):
            warmer.indexed(root)
            await until(lambda: len(blocks(home)) == 3)
            assert {block.parent for block in blocks(home)} == {kv_folder(model.path, home, 1024)}
            async with engines.using(model, nobody) as engine:
                assert await engine.warm([stated_prompt("", text) for text in texts]) == 0, "it was read"
        async with daemon(home, model) as (engines, warmer):
            async with engines.using(model, nobody) as engine:
                for prompt in (
                    stated_prompt("When does valve 1 open?", texts[1]),
                    supported_prompt("When?", "At 4 bar.", texts[2]),
                    answer_prompt("When do they open?", tuple(reversed(texts))),
                ):
                    known, of_passages = await cached(engine, prompt)
                    assert known >= of_passages > 0
            (root / "1.md").unlink()
            left = bring_up(home, root)
            warmer.indexed(root)
            await until(lambda: len(blocks(home)) == 2)
            async with engines.using(model, nobody) as engine:
                assert await engine.warm([stated_prompt("", text) for text in left]) == 0
                assert await engine.warm([stated_prompt("", texts[1])]) > 0, "nothing was left of it"

    asyncio.run(check())
