"""An engine to measure, what it wrote and when, and passages of real files to measure it with."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lorebook_api.asking import AdapterUse, Sampling, Usage
from lorebook_api.home import Home, find_home
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.engine.probe import Probe
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import ASKING, AnyPrompt, Finished, Message, Plain, Prompt, Scored, Turn
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.models.shelf import LocalModel, resolve
from lorebook_daemon.settings import Settings

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every benchmark takes: `--model` and `--quick`."""
    made = argparse.ArgumentParser(description=doc)
    made.add_argument("--model", default="auto", help="a name or a path; the default is what lorebook itself takes")
    made.add_argument("--quick", action="store_true", help="a small run, which shows that it works")
    return made


def find_model(name: str) -> LocalModel:
    """Return the model of a name or a path; raises NotFound."""
    return resolve(name, find_home().make())


@contextmanager
def fresh_home() -> Iterator[Home]:
    """Give a home of the person's models with an empty cache: nothing was read before, and nothing stays."""
    home = find_home().make()
    with tempfile.TemporaryDirectory() as cache:
        fresh = replace(home, cache=Path(cache))
        if Probe(home).fast_settings_crash:
            Probe(fresh).remember_crash()
        yield fresh


@asynccontextmanager
async def running_at(home: Home, model: LocalModel, **changes: object) -> AsyncIterator[EngineProcess]:
    """Run an engine with the default settings but for `changes`, which keeps what it reads in `home`."""
    settings = replace(Settings(), **changes)  # type: ignore[arg-type]
    engine = await EngineProcess.start(model.path, model.name, settings, home)
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def running(model: LocalModel, **changes: object) -> AsyncIterator[EngineProcess]:
    """Run an engine with the default settings but for `changes`, which has read nothing before."""
    with fresh_home() as home:
        async with running_at(home, model, **changes) as engine:
            yield engine


@dataclass(frozen=True)
class Written:
    """An answer, when it was asked for, and when each piece of it came, in seconds of `time.perf_counter`."""

    text: str
    asked: float
    times: tuple[float, ...]
    end: Finished
    scored: tuple[Scored, ...] = ()
    """The tokens with their log-probabilities, where they were asked for."""

    @property
    def tokens(self) -> int:
        """Tokens that were written."""
        return self.end.usage.completion_tokens

    @property
    def first_ms(self) -> float:
        """Milliseconds to the first piece."""
        return (self.times[0] - self.asked) * 1000


async def write(
    engine: EngineProcess,
    prompt: AnyPrompt,
    tokens: int,
    adapters: tuple[AdapterUse, ...] = (),
    turn: Turn = ASKING,
    sampling: Sampling | None = None,
) -> Written:
    """Have at most `tokens` tokens written, greedily where nothing else is said."""
    text, times, end = "", [], Finished("stop", Usage(), 0.0, 0.0)
    scored: list[Scored] = []
    asked = time.perf_counter()
    async with aclosing(engine.generate(prompt, sampling or Sampling(), tokens, adapters, turn)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Finished):
                end = piece
            else:
                times.append(time.perf_counter())
                text += piece.text
                scored += piece.scored
    return Written(text, asked, tuple(times), end, tuple(scored))


async def endless(engine: EngineProcess) -> Sampling:
    """Return greedy sampling under which an answer does not end by itself, for models that speak ChatML."""
    ends = await engine.score(Plain("<|im_end|><|endoftext|>"))
    return Sampling(logit_bias=tuple((end.token, -100.0) for end in ends))


def plain_prompt(text: str) -> Prompt:
    """Return a question without sources."""
    return Prompt((Message("user", text),))


def sample_passages(*paths: str) -> list[str]:
    """Return the second passage of each file below samples/, as the model reads it."""
    return [passage_text(RootHit("", read_passages(SAMPLES / path, path)[1], 0.0)) for path in paths]
