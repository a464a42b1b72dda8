"""An engine to measure, and passages of real files to measure it with."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from lorebook_api.home import find_home
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.models.shelf import LocalModel, resolve
from lorebook_daemon.settings import Settings

SAMPLES = Path(__file__).resolve().parent.parent / "samples"


def chosen_model() -> LocalModel:
    """Return the model named by `--model`, or the one that `auto` means here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="auto", help="a name or a path; the default is what lorebook itself takes")
    return resolve(parser.parse_args().model, find_home().make())


@asynccontextmanager
async def running(model: LocalModel, **changes: object) -> AsyncIterator[EngineProcess]:
    """Run an engine with the default settings but for `changes`."""
    settings = replace(Settings(), **changes)  # type: ignore[arg-type]
    engine = await EngineProcess.start(model.path, model.name, settings, find_home().make())
    try:
        yield engine
    finally:
        await engine.close()


def sample_passages(*paths: str) -> list[str]:
    """Return the first passage of each file below samples/, as the model reads it."""
    return [passage_text(RootHit("", read_passages(SAMPLES / path, path)[1], 0.0)) for path in paths]
