"""Weights as a file packs them, unpacked by ggml."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training is tested where pip install 'lorebook[train]' was typed")

import gguf
import numpy as np
import torch

import tiny_models
from lorebook_daemon.teach import packing
from lorebook_daemon.teach.packing import unpacked
from lorebook_daemon.teach.teacher import load
from lorebook_daemon.teach.weights import read_shape

pytestmark = pytest.mark.train

KINDS = [
    *("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"),
    *("IQ4_NL", "IQ4_XS", "IQ3_S", "IQ2_XS", "MXFP4"),
]


def some_bytes(kind: gguf.GGMLQuantizationType, rows: int, columns: int, seed: int) -> np.ndarray:
    """Return a weight's bytes as they may come: any numbers, no infinite scales among them."""
    weights, size = gguf.GGML_QUANT_SIZES[kind]
    drawn = np.random.default_rng(seed).integers(0, 0x78, (rows, columns // weights * size), dtype=np.uint8)
    return drawn & 0x3B  # the high bits of an exponent are never all set


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("rows", "columns"), [(1, 256), (7, 512), (1200, 256)])
def test_what_is_unpacked_is_what_gguf_says(name, rows, columns):
    kind = gguf.GGMLQuantizationType[name]
    packed = some_bytes(kind, rows, columns, seed=rows)
    expected = np.array(gguf.dequantize(packed, kind), np.float32)
    assert np.isfinite(expected).all()
    assert np.unique(expected).size > 10
    ours = unpacked(torch.from_numpy(packed), int(kind), torch.float32)
    assert torch.equal(ours, torch.from_numpy(expected))
    narrow = unpacked(torch.from_numpy(packed), int(kind), torch.bfloat16)
    assert torch.equal(narrow, torch.from_numpy(expected).bfloat16())


def test_without_ggmls_functions_it_is_the_same(monkeypatch):
    kind = gguf.GGMLQuantizationType.Q4_K
    packed = torch.from_numpy(some_bytes(kind, 900, 256, seed=1))
    expected = {dtype: unpacked(packed, int(kind), dtype) for dtype in (torch.float32, torch.bfloat16)}
    monkeypatch.setattr(packing, "_function", lambda name: None)
    for dtype, numbers in expected.items():
        assert torch.equal(unpacked(packed, int(kind), dtype), numbers)


def test_the_workplace_is_overwritten_and_no_weight_is():
    kinds = [gguf.GGMLQuantizationType[name] for name in ("F32", "Q4_0", "F32", "Q6_K", "Q4_0")]
    weights = [torch.from_numpy(some_bytes(kind, 8, 256, seed)) for seed, kind in enumerate(kinds)]
    before = [weight.clone() for weight in weights]
    workplace = packing.Workplace()
    for weight, kind in zip(weights, kinds, strict=True):
        numbers = workplace.unpacked(weight, int(kind), torch.float32)
        assert torch.equal(numbers, unpacked(weight, int(kind), torch.float32))
    assert all(map(torch.equal, weights, before))
    first = workplace.unpacked(weights[1], int(kinds[1]), torch.float32)
    again = workplace.unpacked(weights[4], int(kinds[4]), torch.float32)
    assert first.data_ptr() == again.data_ptr()


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_model_kept_packed_says_what_the_unpacked_one_says(tmp_path, family):
    path = tiny_models.tiny(tmp_path / "tiny.gguf", family, weights=gguf.GGMLQuantizationType.Q4_1)
    shape = read_shape(path)
    plain, packed = load(path, shape), load(path, shape, packed=True)
    kept, unkept = (sum(one.nbytes for one in model.parameters()) for model in (packed, plain))
    assert kept < unkept / 3
    gradients = []
    for model in (plain, packed):
        x = torch.ones(1, 3, shape.width, requires_grad=True)
        layer = model.model.layers[0].self_attn
        model.logits(layer.o_proj(layer.q_proj(x))).square().sum().backward()
        gradients.append(x.grad)
        tokens, positions = torch.tensor([[5, 6, 7]]), torch.arange(3)[None]
        gradients.append(model(tokens, positions, torch.ones(1, 1, 3, 3, dtype=torch.bool))[0])
    assert torch.equal(gradients[0], gradients[2])
    assert torch.equal(gradients[1], gradients[3])
