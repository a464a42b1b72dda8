from __future__ import annotations

import numpy as np
import pytest

from lorebook_api.errors import Unusable
from lorebook_daemon.index.embed import EMBEDDERS, MiniLM, passage_text
from lorebook_daemon.index.passage import Passage


def test_what_is_embedded_names_the_file_and_what_encloses():
    passage = Passage("src/store/lru.py", 3, 4, "def get(self): ...", "code", context=("class Lru:",))
    assert passage_text(passage) == "lru.py\nclass Lru:\ndef get(self): ..."


@pytest.mark.parametrize("name", EMBEDDERS)
def test_folder_without_weights_is_unusable(tmp_path, name):
    with pytest.raises(Unusable, match="holds no embedder"):
        EMBEDDERS[name](tmp_path)


def test_file_that_is_no_model_is_unusable(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Unusable, match="holds no embedder"):
        MiniLM(tmp_path)


@pytest.fixture(scope="module")
def minilm(minilm_folder):
    return MiniLM(minilm_folder)


@pytest.mark.embedder
def test_vectors_have_length_one_and_the_order_of_the_texts(minilm):
    texts = ["a cat sat on the mat " * 9, "cat", "", "how are rows with null values dropped?"]
    matrix = minilm.embed(texts)
    assert matrix.shape == (4, minilm.dimensions)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1.0, atol=1e-5)
    for text, row in zip(texts, matrix, strict=True):
        assert float(minilm.embed([text])[0] @ row) > 0.98  # int8 takes its scale from the whole batch


@pytest.mark.embedder
def test_nearer_in_meaning_is_nearer(minilm):
    question, right, wrong = minilm.embed(["remove missing values", "frame.dropna()", "plot.savefig('a.png')"])
    assert question @ right > question @ wrong


@pytest.mark.embedder
def test_identity_names_the_weights(minilm):
    assert minilm.identity.startswith("all-minilm-l6-v2-int8@")
    assert minilm.embed([]).shape == (0, 384)


@pytest.mark.embedder
def test_the_end_of_a_long_text_is_read_too(minilm):
    filler = "rows = load(path)\n" * 60
    question, plain, told = minilm.embed(
        ["the fire brigade", filler, filler + "Then the fire brigade is called. " * 12]
    )
    assert question @ told > question @ plain + 0.1
