"""A cross-encoder of some hundred bytes: each word of the passage is worth what a table says, and the logit is the sum.

ONNX files are protocol buffers; these few messages are written by hand, so that no test needs the `onnx` package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

_FLOAT, _INT64 = 1, 7
_FEEDS = ("input_ids", "attention_mask", "token_type_ids")


def write_cross_encoder(folder: Path, worth: Mapping[str, float], feeds: Sequence[str] = _FEEDS) -> Path:
    """Write `model.onnx` and `tokenizer.json` into a new folder, which is returned; words in lower case.

    `feeds` are the names of the model's inputs. Every word that is not in `worth` is worth nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: n for n, word in enumerate(("[PAD]", "[UNK]", "[SEP]", *worth))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="$A [SEP]", pair="$A [SEP] $B:1 [SEP]:1", special_tokens=[("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    weights = np.array([0, 0, 0, *worth.values()], np.float32)
    (folder / "model.onnx").write_bytes(_model(weights, feeds))
    return folder


def _model(weights: np.ndarray, feeds: Sequence[str]) -> bytes:
    """Return sum(weights[input_ids] * token_type_ids) a row; the mask is taken and not used."""
    nodes = [
        _node("Gather", ["weights", feeds[0]], ["each"]),
        _node("Cast", [feeds[-1]], ["second"], _text(1, "to") + _number(3, _FLOAT) + _number(20, 2)),
        _node("Mul", ["each", "second"], ["counted"]),
        _node("ReduceSum", ["counted", "axes"], ["logits"]),
    ]
    initializers = [
        _number(1, len(weights)) + _number(2, _FLOAT) + _text(8, "weights") + _bytes(9, weights.tobytes()),
        _number(1, 1) + _number(2, _INT64) + _text(8, "axes") + _bytes(9, np.array([1], np.int64).tobytes()),
    ]
    graph = b"".join(_bytes(1, node) for node in nodes) + _text(2, "tiny")
    graph += b"".join(_bytes(5, one) for one in initializers)
    graph += b"".join(_bytes(11, _value(name, _INT64)) for name in feeds) + _bytes(12, _value("logits", _FLOAT))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], attribute: bytes = b"") -> bytes:
    named = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
    return named + _text(4, kind) + (_bytes(5, attribute) if attribute else b"")


def _value(name: str, kind: int) -> bytes:
    """Return an input or output with two dimensions of any size."""
    shape = _bytes(1, _text(2, "rows")) + _bytes(1, _text(2, f"columns of {name}"))
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
