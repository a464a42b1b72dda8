"""Writes models and adapters with random weights; the same seed gives the same bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from benchmarks.random_models.blueprint import Blueprint
from benchmarks.random_models.vocabulary import (
    CHAT_TEMPLATE,
    CONTROL,
    END,
    END_OF_TEXT,
    merges,
    token,
    unspoken,
    vocabulary,
)

Array = npt.NDArray[np.float32]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

ADAPTED = (
    "attn_q",
    "attn_v",
    "attn_output",
    "ffn_down",
    "ssm_in",
    "shortconv.in_proj",
    "time_mix_value",
    "channel_mix_value",
)
"""The weights that an adapter changes, where the model has them."""


def write_model(
    path: Path,
    blueprint: Blueprint,
    seed: int = 0,
    weights: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
) -> Path:
    """Write the model to `path` and return that; `weights` is how its matrices are packed."""
    writer = gguf.GGUFWriter(path, blueprint.architecture)
    _describe(writer, blueprint)
    for name, values in _tensors(blueprint, np.random.default_rng(seed)):
        if weights == gguf.GGMLQuantizationType.F32 or not _is_matrix(name, values):
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quantize(values, weights), raw_dtype=weights)
    return _finish(writer, path)


def write_adapter(
    path: Path,
    model: Path,
    rank: int = 4,
    seed: int = 1,
    alora_invocation: tuple[int, ...] | None = None,
    task: str = "",
) -> Path:
    """Write a LoRA for `model` that changes what it says; return `path`. `task` is what it says that it is for.

    With `alora_invocation` it is an activated one (aLoRA, arXiv 2504.12397) that begins at these tokens.
    """
    reader = gguf.GGUFReader(model)
    architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
    if task:
        writer.add_string(gguf.Keys.Adapter.LORA_TASK_NAME, task)
    if alora_invocation is not None:
        writer.add_key_value(
            gguf.Keys.Adapter.ALORA_INVOCATION_TOKENS,
            list(alora_invocation),
            gguf.GGUFValueType.ARRAY,
            sub_type=gguf.GGUFValueType.UINT32,
        )
    rng = np.random.default_rng(seed)
    for tensor in reader.tensors:
        if re.fullmatch(rf"blk\.\d+\.({'|'.join(map(re.escape, ADAPTED))})\.weight", tensor.name):
            narrow, wide = (int(n) for n in tensor.shape)
            writer.add_tensor(f"{tensor.name}.lora_a", _normal(1.0)(rng, (rank, narrow)))
            writer.add_tensor(f"{tensor.name}.lora_b", _normal(1.0)(rng, (wide, rank)))
    return _finish(writer, path)


def _finish(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, blueprint: Blueprint) -> None:
    size = blueprint.size
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(f"random {blueprint.architecture}")
    writer.add_context_length(size.context)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    for name, value in blueprint.keys.items():
        _add(writer, f"{blueprint.architecture}.{name}", value)
    words = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_vocab_size(len(words))
    writer.add_token_list(list(words))
    writer.add_token_types([gguf.TokenType.CONTROL if word in CONTROL else gguf.TokenType.NORMAL for word in words])
    writer.add_token_merges([f"{first} {second}" for first, second in merges()])
    writer.add_bos_token_id(token(END_OF_TEXT))
    writer.add_eos_token_id(token(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    else:
        writer.add_uint32(key, value)


# -- the weights


def _normal(gain: float, mean: float = 0.0) -> Draw:
    """Draw so that what goes in and what comes out are of one size, times `gain`."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        values = rng.standard_normal(shape, dtype=np.float32) * np.float32(gain / np.sqrt(shape[-1]))
        return values + np.float32(mean)

    return draw


def _near(mean: float, spread: float) -> Draw:
    return lambda rng, shape: (mean + spread * rng.standard_normal(shape)).astype(np.float32)


def _decaying(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw rates of forgetting, which are below 0: some channels keep a dozen tokens, some hundreds."""
    return -np.exp(_near(-3.0, 1.5)(rng, shape))


_DRAWS: tuple[tuple[str, Draw], ...] = (
    (r"ssm_a", _decaying),
    (r"ssm_d", _near(1.0, 0.1)),
    (r"attn_[qk]_norm\.weight", _near(2.0, 0.2)),
    (r"norm(_2)?\.weight|time_mix_ln\.weight|time_mix_k_[ka]\.weight", _near(1.0, 0.1)),
    (r"time_mix_(decay|w0)\.weight", _near(-4.0, 1.0)),
    (r"lerp_\w+\.weight", _near(0.5, 0.2)),
    (r"\.bias", _near(0.0, 0.1)),
    (r"token_embd\.weight", _near(0.0, 1.0)),
    (r"attn_([qkv]|output)\.weight|ssm_out\.weight", _normal(2.0)),
    (r"", _normal(1.0)),
)
"""The first whose pattern the end of a tensor's name fits."""


def _tensors(blueprint: Blueprint, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    rows = (len(vocabulary()), blueprint.size.width)
    for name, shape in {"token_embd.weight": rows, "output.weight": rows, **blueprint.tensors}.items():
        draw = next(draw for pattern, draw in _DRAWS if re.search(f"({pattern})$", name))
        values = draw(rng, shape)
        if name == "output.weight":
            values[list(unspoken())] = 0.0
        yield name, values


def _is_matrix(name: str, values: Array) -> bool:
    return name.endswith(".weight") and values.ndim == 2 and min(values.shape) >= 32
