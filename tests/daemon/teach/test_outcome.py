"""What a training left in its folder counts where it learnt from what is still there, and from nothing else."""

import json
from dataclasses import asdict

import pytest

from lorebook_daemon.teach.examples import Example, Origin, Turn, write_examples
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.outcome import ADAPTER, outcome

JOB = TrainJob("j1", "lab", "base", "/models/base.gguf", "cafe", "lora", "chat", "auto")
CODE, PROSE = Origin("/work/lab.ipynb", "c1", "aa"), Origin("/work/lab.ipynb", "c2", "bb")
EXPLAINED = Example((Turn("user", "What does this do?"),), "It drops rows.", CODE, also=(PROSE,))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ADAPTER).write_bytes(b"learnt")
    card = {"job": "j1", "base": {"sha256": "cafe"}, "cells": [asdict(CODE), asdict(PROSE)]}
    (tmp_path / "card.json").write_text(json.dumps(card))
    write_examples(tmp_path / "examples.jsonl", [EXPLAINED])
    return tmp_path


def test_what_was_trained_from_the_examples_that_are_there_counts(folder):
    assert outcome(folder, JOB)["job"] == "j1"


def test_nothing_counts_that_learnt_from_a_cell_which_was_forgotten(folder):
    write_examples(folder / "examples.jsonl", [Example(EXPLAINED.turns, EXPLAINED.answer, CODE)])
    assert outcome(folder, JOB) == {}


@pytest.mark.parametrize("missing", [ADAPTER, "card.json"])
def test_half_of_an_outcome_is_none(folder, missing):
    (folder / missing).unlink()
    assert outcome(folder, JOB) == {}
