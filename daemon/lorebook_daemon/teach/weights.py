"""The weights of a GGUF file as torch tensors, in the layout that PEFT and Hugging Face's classes have."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    size: int
    """Bytes of the file."""
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
        size=contents.header.size,
        rope_base=float(_value(contents, "rope.freq_base", 10000.0)),
        norm_eps=float(_value(contents, "attention.layer_norm_rms_epsilon", 1e-5)),
        tied="output.weight" not in tensors,
    )


@dataclass(frozen=True)
class Weight:
    """A tensor of a model."""

    values: torch.Tensor
    """Its numbers, rows first; of one that is kept as the file packs it, [rows, bytes]."""
    kind: int | None = None
    """The packing, by ggml's number."""


def read_weights(path: Path, shape: Shape, dtype: torch.dtype, *, packed: bool = False) -> Iterator[tuple[str, Weight]]:
    """Yield Hugging Face's name and the values of each tensor, matrices in `dtype`, the rest in float32.

    Where `packed`, matrices are left as the file packs them, in memory that is the file's own.
    """
    import torch

    contents = read_contents(path)
    for tensor in contents.tensors:
        name = _torch_name(tensor.name)
        if name is None:
            continue
        matrix = len(tensor.shape) > 1
        weight = _read(path, contents, tensor, dtype if matrix else torch.float32, packed=packed and matrix)
        if shape.architecture == "llama" and tensor.name.split(".")[-2] in _TURNED:
            heads = shape.heads if "attn_q" in tensor.name else shape.kv_heads
            weight = replace(weight, values=unturned(weight.values, heads))
        yield name, weight


def _read(path: Path, contents: GGUFContents, tensor: Tensor, dtype: torch.dtype, *, packed: bool) -> Weight:
    import numpy as np
    import torch

    from lorebook_daemon.teach.packing import unpacked

    if tensor.block is None:
        raise Unusable(f"{path.name} packs {tensor.name} in a way that is not known.", "Teach another: --base NAME")
    weights, size = tensor.block
    columns, *rows = tensor.shape
    # Mode c: torch wants memory that could be written to; nothing is.
    place = np.memmap(path, np.uint8, "c", contents.start + tensor.offset, (math.prod(rows), columns // weights * size))
    bytes_ = torch.from_numpy(np.asarray(place))
    if packed:
        return Weight(bytes_, tensor.kind)
    return Weight(unpacked(bytes_, tensor.kind, dtype).view(*reversed(tensor.shape)))


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
