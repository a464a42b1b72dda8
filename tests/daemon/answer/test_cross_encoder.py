"""A cross-encoder from a folder, with a real ONNX file of a few hundred bytes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lorebook_api.errors import Unusable
from lorebook_daemon.answer.cross_encoder import CrossEncoder
from lorebook_daemon.answer.reranking import RERANKERS, Means
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.index.passage import Passage
from tiny_onnx import write_cross_encoder

WORTH = {"valve": 2.0, "bar": 1.0, "cheese": -3.0}
TEXTS = ["the valve opens at 4 bar", "cheese", "nothing at all", "valve valve bar cheese"]


def test_passages_of_any_length_are_scored_in_their_order(tmp_path: Path) -> None:
    encoder = CrossEncoder(write_cross_encoder(tmp_path / "tiny", WORTH))
    assert encoder.logits("when does the valve open", TEXTS) == [3.0, -3.0, 0.0, 2.0]
    assert [encoder.logits("valve cheese", [text])[0] for text in TEXTS] == [3.0, -3.0, 0.0, 2.0]
    assert encoder.logits("valve", []) == []


def test_only_the_inputs_that_a_model_has_are_fed(tmp_path: Path) -> None:
    folder = write_cross_encoder(tmp_path / "tiny", WORTH, ("input_ids", "token_type_ids"))
    assert CrossEncoder(folder).logits("q", TEXTS[:2]) == [3.0, -3.0]


def test_what_is_too_long_is_cut(tmp_path: Path) -> None:
    encoder = CrossEncoder(write_cross_encoder(tmp_path / "tiny", WORTH))
    (cut,) = encoder.logits("q", ["bar " * 2000])
    assert 0 < cut <= 512
    assert len(encoder.logits("long question " * 1000, ["bar"])) == 1


def test_it_is_one_of_the_rerankers_and_is_read_anew_where_its_file_changed(tmp_path: Path) -> None:
    folder = write_cross_encoder(tmp_path / "tiny", WORTH)
    hits = [RootHit("", Passage("a.md", 1, 1, text, "doc"), 1.0) for text in TEXTS]

    def scores() -> list[float]:
        return asyncio.run(RERANKERS["cross-encoder"](Means(None, cross_encoder=str(folder))).scores("valve", hits))

    assert scores() == [3.0, -3.0, 0.0, 2.0]
    write_cross_encoder(folder, {**WORTH, "nothing": 5.0})
    os.utime(folder / "model.onnx", (1, 1))
    assert scores() == [3.0, -3.0, 5.0, 2.0]


def test_what_is_no_cross_encoder_is_refused_with_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="holds no cross-encoder"):
        CrossEncoder.at(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(Unusable, match="holds no cross-encoder"):
        CrossEncoder.at(tmp_path)
    odd = write_cross_encoder(tmp_path / "odd", WORTH, ("input_ids", "pixels"))
    with pytest.raises(Unusable, match="pixels"):
        CrossEncoder.at(odd)
