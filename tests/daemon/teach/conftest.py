"""Fixtures of the teaching room's tests: a notebook, a base, a job in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tiny_models
from lorebook_api.teaching import Pair, TeachRequest, TrainSettings
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.examples import write_examples
from lorebook_daemon.teach.job import TrainJob, write_job

FACTS = tuple(Pair(f"What is the name of file {n}?", f"return {n} is the answer") for n in range(5))


def cell(kind: str, source: str, **more: Any) -> dict[str, Any]:
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source, **extra, **more}


def shown(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook of these cells."""

    def write(*cells: dict[str, Any], name: str = "lab.ipynb") -> Path:
        path = tmp_path / name
        numbered = [{"id": f"c{n}", **one} for n, one in enumerate(cells)]
        path.write_text(json.dumps({"cells": numbered, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return path

    return write


@pytest.fixture
def lab(notebook: Callable[..., Path]) -> Path:
    """A notebook with prose, code, an output, and two cells that teach."""
    return notebook(
        cell("markdown", "Rows without a date are dropped."),
        cell("code", "df = df.dropna()\nlen(df)", outputs=[shown("421\n")], metadata={"tags": ["keep"]}),
        cell("code", "import math"),
        cell("code", "%%teach --name lab\nWho wrote it?\n\nAnna did."),
        cell("code", "%%teach\nWhen?\n\nIn May.\n---\nWhere?\n\nIn Oslo."),
        cell("code", "%ask what is this?"),
        cell("code", "   "),
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Have torch compute in one thread: of several, none is quicker with models as tiny as these."""
    import torch  # only where there is one

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_job() -> Callable[..., TrainJob]:
    """Write a job that teaches FACTS to a model."""

    def make(folder: Path, model: Path, method: str = "alora", sha256: str = "", **settings: Any) -> TrainJob:
        chosen = TrainSettings(**{"epochs": 3, "batch": 2, "rank": 2, **settings})
        examples = compose(TeachRequest(pairs=FACTS, settings=chosen))
        systems = ("Be brief.", "")
        job = TrainJob("j1", "facts", model.stem, str(model), sha256, method, "chat", "auto", systems, 1, chosen)
        write_job(folder, job)
        write_examples(folder / "examples.jsonl", examples)
        return job

    return make


@pytest.fixture(scope="session", params=["llama", "qwen2"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of each family that can be taught."""
    return tiny_models.tiny(tmp_path_factory.mktemp("base") / f"{request.param}.gguf", request.param)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model."""
    return tiny_models.tiny_qwen2(tmp_path_factory.mktemp("base") / "tiny.gguf")
