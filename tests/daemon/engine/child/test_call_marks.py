"""Control tokens around calls of tools are a part of the text where tools were offered, and only there."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import pytest

from lorebook_api.asking import Sampling
from lorebook_daemon.engine.child import vocabulary
from lorebook_daemon.engine.child.blocks import Blocks
from lorebook_daemon.engine.child.chat import PromptTokens
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.reader import Reader
from lorebook_daemon.engine.child.tasks import Tasks
from lorebook_daemon.engine.child.work import Piece, Rows
from lorebook_daemon.engine.protocol import Token
from tiny_models import token

MARK = "<|im_start|>"


def said(llama: Llama, marks: Set[int]) -> str:
    """Return what a model says that is made to say the mark."""
    shown: list[str] = []
    tasks = Tasks(llama, Reader(llama, "off", Blocks(0)), speculation=False)
    sampling = Sampling(logit_bias=((token(MARK), 1e6),))

    def show(one: Token) -> None:
        shown.append(one.text)

    work = tasks.generate(PromptTokens((), (), (40, 41, 42)), (), sampling, 2, show, marks)
    rows: Rows | None = None
    while True:
        try:
            wanted = work.send(rows) if rows is not None else next(work)
        except StopIteration:
            return "".join(shown)
        assert isinstance(wanted, Piece)
        (rows,) = llama.decode([wanted])


def test_marks_of_calls_are_shown_where_they_are_wanted(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "CALL_MARKS", (MARK, "[ARGS]"))
    llama = Llama(tiny_gguf, 256, 1)
    assert llama.vocabulary.call_marks == {token(MARK)}
    assert said(llama, llama.vocabulary.call_marks) == MARK * 2
    assert said(llama, frozenset()) == ""


def test_most_models_have_no_such_marks(tiny_gguf: Path) -> None:
    assert Llama(tiny_gguf, 256, 1).vocabulary.call_marks == frozenset()
