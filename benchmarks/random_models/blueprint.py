"""Models before they have weights: what llama.cpp wants in the file of each architecture, at any size.

The keys and shapes are those that llama.cpp asks for when it loads a file (its src/models/*.cpp).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gguf

Shapes = dict[str, tuple[int, ...]]
"""Tensors by name, and the shape of each as numpy has it: rows first."""

_KERNEL = 4
"""Tokens that a convolution sees."""


@dataclass(frozen=True)
class Size:
    """How big a model is. The last layer of a hybrid is attention, the others are recurrent."""

    layers: int = 2
    width: int = 64
    head: int = 16
    """Width of a head, of attention and of state alike."""
    feed_forward: int = 128
    state: int = 16
    """Numbers of state that Mamba keeps for each channel."""
    context: int = 4096

    @property
    def heads(self) -> int:
        """Heads of attention."""
        return self.width // self.head


@dataclass(frozen=True)
class Blueprint:
    """llama.cpp's name for the architecture, what is peculiar to it, and its tensors but for the vocabulary's."""

    architecture: str
    size: Size
    keys: Mapping[str, Any]
    """By key, without the architecture's name before it."""
    tensors: Shapes


# -- the parts that layers are made of


def _linear(prefix: str, sizes: Mapping[str, tuple[int, int]]) -> Shapes:
    return {f"{prefix}.{name}.weight": (wide, narrow) for name, (narrow, wide) in sizes.items()}


def _vectors(prefix: str, width: int, *names: str) -> Shapes:
    return {f"{prefix}.{name}": (width,) for name in names}


def _attention(prefix: str, size: Size) -> Shapes:
    square = (size.width, size.width)
    return _linear(prefix, dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), square))


def _feed_forward(prefix: str, size: Size) -> Shapes:
    wide = (size.width, size.feed_forward)
    return {
        **_vectors(prefix, size.width, "ffn_norm.weight"),
        **_linear(prefix, {"ffn_gate": wide, "ffn_up": wide, "ffn_down": wide[::-1]}),
    }


def _mamba(prefix: str, size: Size, *, norms: bool = False) -> Shapes:
    """Mamba's first version (arXiv 2312.00752); `norms` as Jamba has them."""
    inner, rank = 2 * size.width, size.head
    shapes = {
        **_linear(prefix, {"ssm_in": (size.width, 2 * inner), "ssm_out": (inner, size.width)}),
        **_linear(prefix, {"ssm_x": (inner, rank + 2 * size.state), "ssm_dt": (rank, inner)}),
        **_vectors(prefix, inner, "ssm_conv1d.bias", "ssm_dt.bias", "ssm_d"),
        f"{prefix}.ssm_conv1d.weight": (inner, _KERNEL),
        f"{prefix}.ssm_a": (inner, size.state),
    }
    if norms:
        shapes |= _vectors(prefix, size.state, "ssm_b_norm.weight", "ssm_c_norm.weight")
        shapes |= _vectors(prefix, rank, "ssm_dt_norm.weight")
    return shapes


def _mamba2(prefix: str, size: Size) -> Shapes:
    """Mamba's second version (arXiv 2405.21060), with one group."""
    inner, heads = 2 * size.width, 2 * size.heads
    convolved = inner + 2 * size.state
    return {
        **_linear(prefix, {"ssm_in": (size.width, inner + convolved + heads), "ssm_out": (inner, size.width)}),
        **_vectors(prefix, convolved, "ssm_conv1d.bias"),
        **_vectors(prefix, heads, "ssm_dt.bias"),
        f"{prefix}.ssm_conv1d.weight": (convolved, _KERNEL),
        f"{prefix}.ssm_a": (heads, 1),
        f"{prefix}.ssm_d": (heads, 1),
        f"{prefix}.ssm_norm.weight": (1, inner),
    }


def _mamba_keys(size: Size, rank: int, groups: int) -> dict[str, int]:
    numbers = {"conv_kernel": _KERNEL, "inner_size": 2 * size.width, "state_size": size.state, "time_step_rank": rank}
    keys = {f"ssm.{name}": value for name, value in numbers.items()}
    return keys | ({"ssm.group_count": groups} if groups else {})


# -- the architectures


def _hybrid(
    architecture: str, size: Size, keys: Mapping[str, Any], recurrent: Callable[[str, Size], Shapes]
) -> Blueprint:
    """Return a model with attention in its last layer, `recurrent` in the others, and a feed-forward in each."""
    attention = tuple(layer == size.layers - 1 for layer in range(size.layers))
    tensors = _vectors("output_norm", size.width, "weight")
    for layer, attends in enumerate(attention):
        prefix = f"blk.{layer}"
        tensors |= _vectors(prefix, size.width, "attn_norm.weight")
        tensors |= (_attention if attends else recurrent)(prefix, size) | _feed_forward(prefix, size)
    heads = {"attention.head_count": size.heads, "attention.head_count_kv": [size.heads * a for a in attention]}
    return Blueprint(architecture, size, {**heads, "feed_forward_length": size.feed_forward, **keys}, tensors)


def _transformer(architecture: str, size: Size) -> Blueprint:
    whole = _hybrid(architecture, size, {}, _attention)
    return replace(whole, keys={**whole.keys, "attention.head_count_kv": size.heads})


def llama(size: Size) -> Blueprint:
    """Return Llama's blueprint: attention in every layer."""
    plain = _transformer("llama", size)
    return replace(plain, keys={**plain.keys, "rope.dimension_count": size.head})


def qwen2(size: Size) -> Blueprint:
    """Return Qwen2's blueprint: as Llama, with biases on queries, keys and values."""
    plain = _transformer("qwen2", size)
    biases = [_vectors(f"blk.{n}", size.width, "attn_q.bias", "attn_k.bias", "attn_v.bias") for n in range(size.layers)]
    return replace(plain, tensors={**plain.tensors, **{name: shape for one in biases for name, shape in one.items()}})


def _pure(architecture: str, size: Size, keys: Mapping[str, Any], layer: Callable[[str, Size], Shapes]) -> Blueprint:
    """Return a model of `layer` in every place and nothing else."""
    tensors = _vectors("output_norm", size.width, "weight")
    for n in range(size.layers):
        tensors |= _vectors(f"blk.{n}", size.width, "attn_norm.weight") | layer(f"blk.{n}", size)
    return Blueprint(architecture, size, keys, tensors)


def mamba(size: Size) -> Blueprint:
    """Return the blueprint of Mamba (arXiv 2312.00752)."""
    return _pure("mamba", size, _mamba_keys(size, size.head, 0), _mamba)


def mamba2(size: Size) -> Blueprint:
    """Return the blueprint of Mamba 2 (arXiv 2405.21060)."""
    return _pure("mamba2", size, _mamba_keys(size, 2 * size.heads, 1), _mamba2)


def jamba(size: Size) -> Blueprint:
    """Return the blueprint of Jamba (arXiv 2403.19887) without experts: Mamba, attention in the last layer."""
    return _hybrid("jamba", size, _mamba_keys(size, size.head, 0), lambda prefix, s: _mamba(prefix, s, norms=True))


def granitehybrid(size: Size) -> Blueprint:
    """Return the blueprint of Granite 4 without experts: Mamba 2, attention in the last layer."""
    return _hybrid("granitehybrid", size, _mamba_keys(size, 2 * size.heads, 1), _mamba2)


def lfm2(size: Size) -> Blueprint:
    """Return the blueprint of LFM2: short gated convolutions, attention in the last layer."""

    def convolution(prefix: str, size: Size) -> Shapes:
        square = {"shortconv.in_proj": (size.width, 3 * size.width), "shortconv.out_proj": (size.width, size.width)}
        return {**_linear(prefix, square), f"{prefix}.shortconv.conv.weight": (size.width, _KERNEL - 1)}

    whole = _hybrid("lfm2", size, {"shortconv.l_cache": _KERNEL - 1}, convolution)
    last = _vectors(f"blk.{size.layers - 1}", size.head, "attn_q_norm.weight", "attn_k_norm.weight")
    # llama.cpp looks for the last norm of this architecture under another name.
    named = {name.replace("output_norm", "token_embd_norm"): shape for name, shape in whole.tensors.items()}
    return replace(whole, tensors=named | last)


def kimi_linear(size: Size) -> Blueprint:
    """Return the blueprint of Kimi Linear (arXiv 2510.26692): delta attention, then latent attention and experts."""
    latent, rotated = 2 * size.head, size.head // 2
    keys = {
        "kda.head_dim": size.head,
        "ssm.conv_kernel": _KERNEL,
        "rope.dimension_count": rotated,
        "attention.kv_lora_rank": latent,
        "attention.key_length": latent + rotated,
        "attention.value_length": latent,
        "attention.key_length_mla": size.head + rotated,
        "attention.value_length_mla": size.head,
        "expert_count": 4,
        "expert_used_count": 2,
        "expert_shared_count": 1,
        "expert_feed_forward_length": size.feed_forward // 2,
        "expert_gating_func": gguf.ExpertGatingFuncType.SIGMOID.value,
        "leading_dense_block_count": size.layers - 1,
        # Latent attention keeps one key for all its heads.
        "attention.head_count_kv": [int(layer == size.layers - 1) for layer in range(size.layers)],
    }
    whole = _hybrid("kimi-linear", size, keys, _delta_attention)
    last = f"blk.{size.layers - 1}"
    rest = {
        name: shape for name, shape in whole.tensors.items() if not name.startswith((f"{last}.attn", f"{last}.ffn"))
    }
    return replace(whole, tensors=rest | _latent_attention(last, size, latent, rotated) | _experts(last, size))


def _delta_attention(prefix: str, size: Size) -> Shapes:
    convolutions = {f"{prefix}.ssm_conv1d_{name}.weight": (size.width, 1, _KERNEL) for name in "qkv"}
    down, up = (size.width, size.head), (size.head, size.width)
    return {
        **_attention(prefix, size),
        **convolutions,
        **_linear(prefix, {"ssm_f_a": down, "ssm_f_b": up, "ssm_g_a": down, "ssm_g_b": up}),
        **_linear(prefix, {"ssm_beta": (size.width, size.heads)}),
        **_vectors(prefix, size.width, "ssm_dt.bias"),
        **_vectors(prefix, size.head, "ssm_norm.weight"),
        f"{prefix}.ssm_a": (size.heads, 1),
    }


def _latent_attention(prefix: str, size: Size, latent: int, rotated: int) -> Shapes:
    queries = size.heads * (size.head + rotated)
    return {
        **_vectors(prefix, size.width, "attn_norm.weight"),
        **_vectors(prefix, latent, "attn_kv_a_norm.weight"),
        **_linear(prefix, {"attn_q": (size.width, queries), "attn_kv_a_mqa": (size.width, latent + rotated)}),
        **_linear(prefix, {"attn_output": (size.width, size.width)}),
        f"{prefix}.attn_k_b.weight": (size.heads, latent, size.head),
        f"{prefix}.attn_v_b.weight": (size.heads, size.head, latent),
    }


def _experts(prefix: str, size: Size) -> Shapes:
    half, experts = size.feed_forward // 2, 4
    shapes = _vectors(prefix, size.width, "ffn_norm.weight") | _vectors(prefix, experts, "exp_probs_b.bias")
    shapes |= _linear(prefix, {"ffn_gate_inp": (size.width, experts)})
    for name, (narrow, wide) in {
        "gate": (size.width, half),
        "up": (size.width, half),
        "down": (half, size.width),
    }.items():
        shapes[f"{prefix}.ffn_{name}_exps.weight"] = (experts, wide, narrow)
        shapes |= _linear(prefix, {f"ffn_{name}_shexp": (narrow, wide)})
    return shapes


def rwkv6(size: Size) -> Blueprint:
    """Return the blueprint of RWKV 6 (arXiv 2404.05892)."""
    keys = {"time_mix_extra_dim": size.head // 2, "time_decay_extra_dim": size.head // 2}

    def layer(prefix: str, size: Size) -> Shapes:
        square, low = (size.width, size.width), size.head // 2
        names = ("time_mix_key", "time_mix_value", "time_mix_receptance", "time_mix_gate", "channel_mix_receptance")
        return {
            **_rwkv(prefix, size),
            **_linear(prefix, dict.fromkeys(names, square)),
            **_linear(prefix, {"time_mix_w1": (size.width, 5 * low)}),
            **_linear(prefix, {"time_mix_decay_w1": (size.width, low), "time_mix_decay_w2": (low, size.width)}),
            **_vectors(prefix, size.width, "time_mix_decay.weight"),
            f"{prefix}.time_mix_w2.weight": (5, size.width, low),
            f"{prefix}.time_mix_first.weight": (size.heads, size.head),
            f"{prefix}.time_mix_lerp_x.weight": (1, 1, size.width),
            f"{prefix}.time_mix_lerp_fused.weight": (5, 1, 1, size.width),
            f"{prefix}.channel_mix_lerp_r.weight": (1, 1, size.width),
        }

    return _recurrent_rwkv("rwkv6", size, keys, layer)


def rwkv7(size: Size) -> Blueprint:
    """Return the blueprint of RWKV 7 (arXiv 2503.14456), with heads of 64 at least.

    llama.cpp's kernel for it takes up to 64 numbers at a time and reads beyond a narrower head.
    """
    low = size.head // 2
    size = replace(size, head=max(size.head, 64))
    ranks = {f"attention.{name}_lora_rank": low for name in ("decay", "iclr", "value_residual_mix", "gate")}

    def layer(prefix: str, size: Size) -> Shapes:
        names = ("time_mix_key", "time_mix_value", "time_mix_receptance")
        zeroth = [f"time_mix_{name}.weight" for name in ("w0", "a0", "v0", "k_k", "k_a", "r_k")]
        shapes = _rwkv(prefix, size) | _linear(prefix, dict.fromkeys(names, (size.width, size.width)))
        shapes |= _vectors(prefix, size.width, *zeroth)
        for name in "wavg":
            shapes |= _linear(prefix, {f"time_mix_{name}1": (size.width, low), f"time_mix_{name}2": (low, size.width)})
        return shapes | {f"{prefix}.time_mix_lerp_fused.weight": (6, 1, 1, size.width)}

    return _recurrent_rwkv("rwkv7", size, ranks, layer)


def _rwkv(prefix: str, size: Size) -> Shapes:
    wide = (size.width, size.feed_forward)
    norms = [f"{name}.{part}" for name in ("attn_norm", "attn_norm_2", "time_mix_ln") for part in ("weight", "bias")]
    return {
        **_vectors(prefix, size.width, *norms),
        **_linear(prefix, {"time_mix_output": (size.width, size.width)}),
        **_linear(prefix, {"channel_mix_key": wide, "channel_mix_value": wide[::-1]}),
        f"{prefix}.channel_mix_lerp_k.weight": (1, 1, size.width),
    }


def _recurrent_rwkv(
    architecture: str, size: Size, keys: Mapping[str, Any], layer: Callable[[str, Size], Shapes]
) -> Blueprint:
    common = {"wkv.head_size": size.head, "feed_forward_length": size.feed_forward, "attention.head_count": 0}
    whole = _pure(architecture, size, {**common, **keys}, layer)
    norms = {f"token_embd_norm.{part}": (size.width,) for part in ("weight", "bias")}
    return replace(whole, tensors={**whole.tensors, **norms, "output_norm.bias": (size.width,)})


ATTENTION: dict[str, Callable[[Size], Blueprint]] = {"llama": llama, "qwen2": qwen2}
"""Models whose KV can be cut and moved."""

RECURRENT: dict[str, Callable[[Size], Blueprint]] = {"mamba": mamba, "mamba2": mamba2, "rwkv6": rwkv6, "rwkv7": rwkv7}
"""Models that keep a state of one size and nothing else."""

HYBRID: dict[str, Callable[[Size], Blueprint]] = {
    "jamba": jamba,
    "granitehybrid": granitehybrid,
    "lfm2": lfm2,
    "kimi-linear": kimi_linear,
}
"""Models with a state and KV."""

ARCHITECTURES = {**RECURRENT, **HYBRID}
"""All models whose memory cannot be cut at a token."""
