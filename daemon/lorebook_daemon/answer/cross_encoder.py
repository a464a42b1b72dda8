"""A cross-encoder: a small model that reads a question and a passage together and says how well they fit.

Nogueira and Cho, arXiv:1901.04085. None comes with lorebook; who has one as ONNX names its folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from lorebook_api.errors import Unusable
from lorebook_daemon.answer.prompts import passage_text
from lorebook_daemon.answer.retrieved import RootHit

_WINDOW = 512
"""Tokens of question and passage together at the most, as these models are trained; of the passage the rest is cut."""

_FEEDS = ("input_ids", "attention_mask", "token_type_ids")


class CrossEncoder:
    """Scores pairs of question and passage with `model.onnx` and `tokenizer.json` of one folder.

    The model takes `input_ids`, and `attention_mask` and `token_type_ids` if it wants them, each batch × length; its
    first output is one logit a pair, or two, of which the second says yes.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Load both files; raises Unusable where one is missing or is not what its name says."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a waiting thread starves the engine
        try:
            self._session = onnxruntime.InferenceSession(
                folder / "model.onnx", options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # tokenizers and onnxruntime have no class of their own for a broken file
            hint = "Set LOREBOOK_CROSS_ENCODER to a folder with model.onnx and tokenizer.json."
            raise Unusable(f"{folder} holds no cross-encoder ({error}).", hint) from error
        self._wanted = {put.name for put in self._session.get_inputs()}
        if "input_ids" not in self._wanted or not self._wanted <= set(_FEEDS):
            raise Unusable(
                f"{folder / 'model.onnx'} takes {', '.join(sorted(self._wanted)) or 'nothing'}; a cross-encoder takes "
                f"{', '.join(_FEEDS)}.",
                "Export it for sequence classification, without token embeddings of its own.",
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_WINDOW)

    @classmethod
    def at(cls, folder: Path) -> CrossEncoder:
        """Return the cross-encoder of a folder, which stays in memory: one at a time, anew where its file changed."""
        try:
            changed_ns = (folder / "model.onnx").stat().st_mtime_ns
        except OSError:
            changed_ns = 0
        return _loaded(folder, changed_ns)

    async def scores(self, query: str, hits: Sequence[RootHit]) -> list[float]:
        """Return a logit for each passage."""
        return await asyncio.to_thread(self.logits, query, [passage_text(hit) for hit in hits])

    def logits(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return a logit for each text, in the order given. Raises Unusable where the model cannot be run."""
        if not texts:
            return []
        try:
            encodings = self._tokenizer.encode_batch([(query, text) for text in texts])
            feeds = {name: feed for name, feed in _padded(encodings).items() if name in self._wanted}
            (output, *_) = self._session.run(None, feeds)
            return [float(logit) for logit in np.asarray(output).reshape(len(texts), -1)[:, -1]]
        except Exception as error:  # onnxruntime has a class of its own for each failure, and no base of them
            raise Unusable(f"The cross-encoder failed ({error}).", "Choose another reranker: --rerank none") from error


@lru_cache(maxsize=1)
def _loaded(folder: Path, changed_ns: int) -> CrossEncoder:
    return CrossEncoder(folder)


def _padded(encodings: Sequence[Encoding]) -> dict[str, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """Return the tensors of a batch, padded to its longest pair."""
    shape = (len(encodings), max(len(encoding) for encoding in encodings))
    feeds = {name: np.zeros(shape, np.int64) for name in _FEEDS}
    for row, encoding in enumerate(encodings):
        for name, values in zip(_FEEDS, (encoding.ids, encoding.attention_mask, encoding.type_ids), strict=True):
            feeds[name][row, : len(encoding)] = values
    return feeds
