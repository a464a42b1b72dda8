"""The weights of a GGUF file as torch tensors, in the layout that PEFT and Hugging Face's classes have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorebook_api.errors import Unusable
from lorebook_daemon.models.gguf_header import GGUFContents, Tensor, read_contents

if TYPE_CHECKING:
    import torch

FAMILIES = ("llama", "qwen2")
"""Architectures whose forward pass model.py knows."""

_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
"""Parts of a layer: GGUF's name, and Hugging Face's."""

_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LAYER = re.compile(r"blk\.(\d+)\.(\w+)\.(weight|bias)")
_TURNED = ("attn_q", "attn_k")
_IGNORED = ("rope_freqs.weight",)
_UNPACKED = 2**18
"""Weights that are unpacked at a time: a megabyte of numbers, which stays in the cache of a core."""


@dataclass(frozen=True)
class Shape:
    """What a decoder is built from."""

    architecture: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    """Width of a head."""
    feed_forward: int
    vocabulary: int
    context: int
    rope_base: float
    norm_eps: float
    tied: bool
    """Whether the embedding is the output's weight too."""

    @property
    def parameters(self) -> int:
        """Numbers in its matrices."""
        return self.layers * self.layer + self.width * self.vocabulary * (1 if self.tied else 2)

    @property
    def layer(self) -> int:
        """Numbers in the matrices of one layer."""
        return 2 * self.width * self.head * (self.heads + self.kv_heads) + 3 * self.width * self.feed_forward


def read_shape(path: Path) -> Shape:
    """Return the shape of the model at `path`; raises Unusable for one that cannot be trained here."""
    contents = read_contents(path)
    architecture = contents.header.architecture
    if contents.header.kind != "model" or architecture not in FAMILIES:
        raise Unusable(
            f"{path.name} is of the family {architecture or contents.header.kind!r}, which cannot be taught yet.",
            f"Teach a model of {' or '.join(FAMILIES)}: --base NAME, see `lorebook models list`",
        )
    tensors = {tensor.name: tensor for tensor in contents.tensors}
    missing = [name for name in ("token_embd.weight", "blk.0.ffn_gate.weight") if name not in tensors]
    if missing:
        raise Unusable(f"{path.name} has no {missing[0]}: is it one file of several?", "Teach another: --base NAME")
    strange = [name for name in tensors if _torch_name(name) is None and name not in _IGNORED]
    if strange or "rope_freqs.weight" in tensors or _scaled(contents, architecture):
        what = strange[0] if strange else "a scaled rotation of positions"
        raise Unusable(f"{path.name} has {what}, which the trainer does not know.", "Teach another: --base NAME")
    heads = _number(contents, "attention.head_count")
    width = _number(contents, "embedding_length")
    return Shape(
        architecture=architecture,
        layers=_number(contents, "block_count"),
        width=width,
        heads=heads,
        kv_heads=_number(contents, "attention.head_count_kv", heads),
        head=_number(contents, "attention.key_length", width // heads),
        feed_forward=tensors["blk.0.ffn_gate.weight"].shape[1],
        vocabulary=tensors["token_embd.weight"].shape[1],
        context=contents.header.context_length,
        rope_base=float(_value(contents, "rope.freq_base", 10000.0)),
        norm_eps=float(_value(contents, "attention.layer_norm_rms_epsilon", 1e-5)),
        tied="output.weight" not in tensors,
    )


def read_weights(path: Path, shape: Shape, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield Hugging Face's name and the values of each tensor, matrices in `dtype`, the rest in float32."""
    import torch

    contents = read_contents(path)
    for tensor in contents.tensors:
        name = _torch_name(tensor.name)
        if name is None:
            continue
        values = _unpacked(path, contents, tensor, dtype if len(tensor.shape) > 1 else torch.float32)
        if shape.architecture == "llama" and tensor.name.split(".")[-2] in _TURNED:
            values = unturned(values, shape.heads if "attn_q" in tensor.name else shape.kv_heads)
        yield name, values


def _unpacked(path: Path, contents: GGUFContents, tensor: Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return the numbers of a tensor, rows first, a piece at a time: a vocabulary in 32 bits would take a gigabyte.

    gguf's own reader takes seconds for the vocabulary beside them, and unpacks sixteen rows at a time.
    """
    import gguf
    import numpy as np
    import torch

    if tensor.block is None:
        raise Unusable(f"{path.name} packs {tensor.name} in a way that is not known.", "Teach another: --base NAME")
    weights, size = tensor.block
    count = math.prod(tensor.shape) // weights
    packed = np.asarray(np.memmap(path, np.uint8, "r", contents.start + tensor.offset, (count, size)))
    unpacked = torch.empty(count, weights, dtype=dtype)
    step = max(1, _UNPACKED // weights)
    for n in range(0, count, step):
        piece = packed[n : n + step].reshape(1, -1)
        numbers = np.array(gguf.dequantize(piece, gguf.GGMLQuantizationType(tensor.kind)), dtype=np.float32, copy=True)
        unpacked[n : n + step] = torch.from_numpy(numbers).view(-1, weights)
    return unpacked.view(*reversed(tensor.shape))


def unturned(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the rows of a llama file's query or key weight in the order of rotation by halves.

    llama.cpp rotates neighbouring rows for this family, Hugging Face the first half with the second.
    """
    rows = values.shape[0]
    return values.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)


def turned(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Return rows as a llama file has them: the inverse of `unturned`."""
    rows = values.shape[0]
    return values.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)


def gguf_name(name: str) -> str:
    """Return GGUF's name of a weight by Hugging Face's: `model.layers.3.self_attn.q_proj` → `blk.3.attn_q`."""
    _, _, layer, part = name.split(".", 3)
    return f"blk.{layer}.{next(ours for ours, theirs in _NAMES.items() if theirs == part)}"


def file_name(name: str) -> str:
    """Return the name of a tensor in the file by Hugging Face's: `model.norm.weight` → `output_norm.weight`."""
    outer = {theirs: ours for ours, theirs in _OUTER.items()}
    weight, _, kind = name.rpartition(".")
    return outer[name] if name in outer else f"{gguf_name(weight)}.{kind}"


def _torch_name(name: str) -> str | None:
    match = _LAYER.fullmatch(name)
    if match is None:
        return _OUTER.get(name)
    part = _NAMES.get(match[2])
    return None if part is None else f"model.layers.{match[1]}.{part}.{match[3]}"


def _value(contents: GGUFContents, key: str, default: Any) -> Any:
    field = contents.fields.get(f"{contents.header.architecture}.{key}")
    return default if field is None else field.value


def _number(contents: GGUFContents, key: str, default: int = 0) -> int:
    value = _value(contents, key, default)
    if not isinstance(value, int) or value < 1:
        raise Unusable(
            f"The model's {key} is {value!r}, which the trainer does not know.", "Teach another: --base NAME"
        )
    return value


def _scaled(contents: GGUFContents, architecture: str) -> bool:
    """Whether positions are rotated in another way than by the plain rule."""
    kind = contents.text(f"{architecture}.rope.scaling.type")
    rotated = _value(contents, "rope.dimension_count", None)
    head = _value(contents, "embedding_length", 0) // max(1, _value(contents, "attention.head_count", 1))
    return kind not in ("", "none") or (rotated is not None and rotated != head)
