"""Text to vectors: what an embedder is, and MiniLM, which needs neither torch nor a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from lorebook_api.errors import Unusable
from lorebook_daemon.index.passage import Passage

Matrix = NDArray[np.float32]

_WINDOW = 128
_BATCH = 8  # ONNX keeps every batch's activations: 32 texts of 256 tokens took 1.3 GB


class Embedder(Protocol):
    """Turns texts into vectors whose dot product says how near they are in meaning."""

    @property
    def identity(self) -> str:
        """Name and hash of the weights: an index made with another identity is of no use."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of one vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one row of length 1 for each text."""
        ...

    def count(self, texts: Sequence[str]) -> int:
        """Return how many tokens are read to embed the texts."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2 as int8 ONNX (arXiv 2002.10957): mean of the last layer over a text's tokens, length 1.

    `folder` holds `model.onnx` and `tokenizer.json`. A text is read in windows of 128 tokens, twice as fast for each
    token as 256, and its vector is the mean of theirs: a constant at the end of a passage is found as well as one at
    its start. Raises Unusable where a file is missing or is not what its name says.
    """

    dimensions = 384

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import onnxruntime  # heavy, and not needed by who only names passages

        model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a waiting thread starves the engine
        try:
            self.identity = f"all-minilm-l6-v2-int8@{_sha256(model)[:16]}-windows"
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # tokenizers and onnxruntime have no class of their own for a broken file
            hint = "Bring it again: lorebook models pull minilm"
            raise Unusable(f"{folder} holds no embedder ({error}).", hint) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_WINDOW)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one row of length 1 for each text, in the order given."""
        encodings = self._tokenizer.encode_batch(list(texts))
        windows = [(row, window) for row, whole in enumerate(encodings) for window in (whole, *whole.overflowing)]
        windows.sort(key=lambda window: len(window[1]))  # texts of like length together: little of a batch is padding
        sums = np.zeros((len(texts), self.dimensions), np.float32)
        for start in range(0, len(windows), _BATCH):
            rows, batch = zip(*windows[start : start + _BATCH], strict=True)
            np.add.at(sums, list(rows), self._run(batch))
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)

    def count(self, texts: Sequence[str]) -> int:
        """Return how many tokens are read to embed the texts, those that begin and end each window among them."""
        encodings = self._tokenizer.encode_batch(list(texts))
        return sum(len(window) for whole in encodings for window in (whole, *whole.overflowing))

    def _run(self, batch: Sequence[Encoding]) -> Matrix:
        """Return the vectors of one batch, padded to its longest text."""
        ids = np.zeros((len(batch), max(len(encoding) for encoding in batch)), np.int64)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(batch):
            ids[row, : len(encoding)] = encoding.ids
            mask[row, : len(encoding)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        states = self._session.run(["last_hidden_state"], feed)[0]
        means = np.einsum("bsd,bs->bd", states, mask.astype(np.float32)) / mask.sum(axis=1, keepdims=True)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


EMBEDDERS: dict[str, Callable[[Path], Embedder]] = {"minilm": MiniLM}
"""The embedders by name; each takes the folder that holds its files."""


def passage_text(passage: Passage) -> str:
    """Return what of a passage is embedded: the name of its file, what encloses it, and its text."""
    return "\n".join((_name(passage.path), *passage.context, passage.text))


@lru_cache(maxsize=64)
def _name(path: str) -> str:
    return PurePosixPath(path).name


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
