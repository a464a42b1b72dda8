"""What the daemon adds before a job is written down: what the base asks about cells, answers that were approved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fake_app import Bench
from fakes import asked
from lorebook_api.errors import BadRequest
from lorebook_api.feedback import Feedback
from lorebook_api.home import Home
from lorebook_api.teaching import TeachRequest
from lorebook_daemon.app.teachroom import Room, Teaching
from lorebook_daemon.engine.protocol import Prompt
from lorebook_daemon.index.feedback import FeedbackStore
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.teach.examples import read_examples


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    sources = [f"Step {n} drops all rows that have no date." for n in range(2)]
    cells = [
        {"cell_type": "markdown", "id": f"c{n}", "metadata": {}, "source": source} for n, source in enumerate(sources)
    ]
    path = tmp_path / "lab.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


async def sure(prompts: Sequence[Prompt], **_more: object) -> list[float]:
    return [2.0 for _ in prompts]


def prepared(
    home: Home, tmp_path: Path, request: TeachRequest, question: str, given: Sequence[Feedback] = ()
) -> list[tuple[str, str, str]]:
    """Return question, answer and cell of what is taught, where the model asks this and that feedback was given."""
    bench = Bench()
    bench.engine._reply = lambda prompt: question if asked(prompt).startswith("Write ") else "Those without a date."
    bench.engine.judge = sure
    (tmp_path / "base.gguf").write_bytes(b"GGUF")

    async def find(name: str, report: object) -> LocalModel:
        return LocalModel("base", tmp_path / "base.gguf", "0" * 64, "lorebook")

    store = FeedbackStore(home.state)
    for one in given:
        store.keep(one)
    parts = bench.parts
    teaching = Teaching(Room(home, parts.settings, find, parts.engines, parts.adapters, feedback=store.all))
    asyncio.run(teaching.prepare(request, "j1", ()))
    examples = read_examples(teaching.folder("j1") / "examples.jsonl")
    used = [example for example in examples if not example.held_out and not example.left_out]
    return [(example.question, example.answer, example.origin.cell) for example in used]


def test_what_the_model_asked_and_grounded_is_taught(home: Home, notebook: Path, tmp_path: Path) -> None:
    request = TeachRequest(notebooks=(str(notebook),), cells="1", recipe="synth", name="lab")
    taught = prepared(home, tmp_path, request, "1. Which rows are dropped?")
    assert taught == [("Which rows are dropped?", "Those without a date.", "c1")]


def test_a_model_that_asks_nothing_is_told(home: Home, notebook: Path, tmp_path: Path) -> None:
    request = TeachRequest(notebooks=(str(notebook),), whole=True, recipe="synth", name="lab")
    with pytest.raises(BadRequest, match="recipe 'synth'"):
        prepared(home, tmp_path, request, "I do not know.")


def test_answers_that_were_approved_are_taught(home: Home, tmp_path: Path) -> None:
    given = (Feedback("up", "What is it?", "A well."), Feedback("edited", "Where?", "Here.", edited="In Sylt."))
    taught = prepared(home, tmp_path, TeachRequest(approved=True), "", given)
    assert taught == [("What is it?", "A well.", ""), ("Where?", "In Sylt.", "")]


def test_where_none_was_approved_that_is_said(home: Home, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="No answer was approved yet"):
        prepared(home, tmp_path, TeachRequest(approved=True), "")
