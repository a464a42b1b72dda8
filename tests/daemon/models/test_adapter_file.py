"""Whether an adapter's file is sound and fits: with files as they come, and as they should not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_models
from lorebook_api.errors import Unusable
from lorebook_daemon.models import adapter_file
from lorebook_daemon.models.adapter_file import check_fits, check_numbers, read_adapter

WIDTH = 64
"""Of the tiny models."""
Q = "blk.0.attn_q.weight"


def zeros(*shape: int, kind: type[np.generic] = np.float32) -> np.ndarray:
    return np.zeros(shape, kind)


def pair(weight: str = Q, inputs: int = WIDTH, outputs: int = WIDTH, rank: int = 4) -> dict[str, np.ndarray]:
    return {f"{weight}.lora_a": zeros(rank, inputs), f"{weight}.lora_b": zeros(outputs, rank)}


def write(
    path: Path,
    tensors: dict[str, np.ndarray] | None = None,
    architecture: str = "llama",
    kind: str = "adapter",
    also: Callable[[gguf.GGUFWriter], Any] = lambda writer: writer.add_float32("adapter.lora.alpha", 8.0),
    lora: str = "lora",
) -> Path:
    """Write an adapter whose weights are 0."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(kind)
    writer.add_string("adapter.type", lora)
    also(writer)
    for name, values in (pair() if tensors is None else tensors).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.tiny_llama(tmp_path_factory.mktemp("model") / "base.gguf")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.gguf"


def test_what_an_adapter_says_of_itself(path: Path, model: Path) -> None:
    invocation = tiny_models.invocation()
    tiny_models.tiny_adapter(path, model, rank=4, alora_invocation=invocation)
    adapter = read_adapter(path)
    assert (adapter.name, adapter.path, adapter.size) == ("notes", str(path), path.stat().st_size)
    assert (adapter.architecture, adapter.ranks, adapter.alpha) == ("llama", (4,), 4.0)
    assert {"attn_q", "attn_v"} <= set(adapter.targets) and adapter.layers == (0, 1)
    assert adapter.invocation == invocation
    assert not adapter.damaged
    check_fits(adapter, model)


def test_what_else_a_file_may_say(path: Path) -> None:
    def more(writer: gguf.GGUFWriter) -> None:
        writer.add_string("adapter.lora.task_name", "title")
        writer.add_string("adapter.lora.prompt_prefix", "Title: ")
        writer.add_string(adapter_file.BASE_NAME, "Tiny")
        writer.add_string(adapter_file.BASE_SHA256, "AB" * 32)

    tensors = {**pair(rank=2), **pair("output.weight", rank=8), "blk.1.attn_norm.weight": zeros(WIDTH)}
    adapter = read_adapter(write(path, tensors, also=more), "mine")
    assert (adapter.name, adapter.alpha, adapter.ranks) == ("mine", 0.0, (2, 8))
    assert (adapter.task, adapter.prompt_prefix) == ("title", "Title: ")
    assert (adapter.base, adapter.base_sha256) == ("Tiny", "ab" * 32)
    assert (adapter.targets, adapter.layers) == (("attn_q", "output"), (0,))
    assert adapter.ignored == ("blk.1.attn_norm.weight",)
    assert adapter.invocation == ()


def no_alpha(writer: gguf.GGUFWriter) -> None:
    """Say nothing more."""


DAMAGED: dict[str, dict[str, Any]] = {
    "it changes nothing": {"tensors": {"blk.0.attn_norm.weight": zeros(WIDTH)}},
    "has only its lora_a": {"tensors": {f"{Q}.lora_a": zeros(4, WIDTH)}},
    "is no part of a LoRA": {"tensors": {**pair(), "token_embd.weight": zeros(4, WIDTH)}},
    "is no matrix": {"tensors": {f"{Q}.lora_a": zeros(4), f"{Q}.lora_b": zeros(WIDTH, 4)}},
    r"is no matrix \(64 × 0\)": {"tensors": {f"{Q}.lora_a": zeros(0, WIDTH), f"{Q}.lora_b": zeros(WIDTH, 1)}},
    "do not go together": {"tensors": {f"{Q}.lora_a": zeros(4, WIDTH), f"{Q}.lora_b": zeros(WIDTH, 8)}},
    "ggml type 26": {"tensors": {f"{Q}.lora_a": zeros(4, WIDTH, kind=np.int32), f"{Q}.lora_b": zeros(WIDTH, 4)}},
    "ggml type 28": {"tensors": {f"{Q}.lora_a": zeros(4, WIDTH, kind=np.float64), f"{Q}.lora_b": zeros(WIDTH, 4)}},
    "name is too long": {"tensors": pair("blk.0." + "x" * 60 + ".weight")},
    "alpha is of the type float64": {"also": lambda writer: writer.add_float64("adapter.lora.alpha", 8.0)},
    "alpha is nan": {"also": lambda writer: writer.add_float32("adapter.lora.alpha", float("nan"))},
    "list of int32": {"also": lambda writer: writer.add_array("adapter.alora.invocation_tokens", [1, 2])},
    "type 'control'": {"lora": "control"},
    "whole model": {"kind": "model"},
    "kind 'vocab'": {"kind": "vocab"},
    "for which architecture": {"architecture": ""},
}


@pytest.mark.parametrize("says", DAMAGED)
def test_what_is_wrong_with_a_file_is_named(path: Path, model: Path, says: str) -> None:
    write(path, **DAMAGED[says])
    with pytest.raises(Unusable, match=says) as caught:
        read_adapter(path)
    assert path.name in caught.value.message and caught.value.hint


def test_an_invocation_beyond_all_measure(path: Path) -> None:
    def long(writer: gguf.GGUFWriter) -> None:
        kinds = {"sub_type": gguf.GGUFValueType.UINT32}
        writer.add_key_value("adapter.alora.invocation_tokens", [1] * 1025, gguf.GGUFValueType.ARRAY, **kinds)

    with pytest.raises(Unusable, match="invocation"):
        read_adapter(write(path, also=long))


MISFITS: dict[str, dict[str, Any]] = {
    "it is for qwen2, the model is llama": {"architecture": "qwen2"},
    "64 × 64 in the model and 32 × 64 in the adapter": {"tensors": pair(inputs=32)},
    "64 × 64 in the model and 64 × 96 in the adapter": {"tensors": pair(outputs=96)},
    "changes blk.7.attn_q.weight, which the model does not have": {"tensors": pair("blk.7.attn_q.weight")},
    "blk.0.attn_norm.weight is 64 in the model and 64 × 1": {"tensors": pair("blk.0.attn_norm.weight", outputs=1)},
}


@pytest.mark.parametrize("says", MISFITS)
def test_what_does_not_fit_the_model_is_named(path: Path, model: Path, says: str) -> None:
    with pytest.raises(Unusable, match=says) as caught:
        check_fits(read_adapter(write(path, **MISFITS[says])), model)
    assert (
        "notes" in caught.value.message and "base.gguf" in caught.value.message and "adapters list" in caught.value.hint
    )


def embedding(vocabulary: int) -> dict[str, np.ndarray]:
    """Return the factors of an embedding, of which the first is looked up by row."""
    return {"token_embd.weight.lora_a": zeros(vocabulary, 4), "token_embd.weight.lora_b": zeros(WIDTH, 4)}


def test_an_embedding_s_factors_lie_the_other_way_round(path: Path, model: Path, tmp_path: Path) -> None:
    size = len(tiny_models.vocabulary())
    check_fits(read_adapter(write(path, embedding(size))), model)
    with pytest.raises(Unusable, match=f"64 × {size} in the model and 64 × {size + 1}"):
        check_fits(read_adapter(write(path, embedding(size + 1))), model)
    tied = write(tmp_path / "tied.gguf", {"token_embd.weight": zeros(size, WIDTH)}, kind="model")
    with pytest.raises(Unusable, match="the output's weight too"):
        check_fits(read_adapter(write(path, embedding(size))), tied)


def test_an_adapter_that_names_the_file_it_was_trained_on(path: Path, model: Path) -> None:
    def trained_on(name: str) -> Callable[[gguf.GGUFWriter], None]:
        def say(writer: gguf.GGUFWriter) -> None:
            writer.add_string(adapter_file.BASE_NAME, name)
            writer.add_string(adapter_file.BASE_SHA256, "ab" * 32)

        return say

    other = read_adapter(write(path, also=trained_on("Other 2B")))
    check_fits(other, model, "ab" * 32)
    for sha256 in (None, "cd" * 32):
        with pytest.raises(Unusable, match="it was trained on Other 2B"):
            check_fits(other, model, sha256)
    check_fits(read_adapter(write(path, also=trained_on("random llama"))), model, "cd" * 32)


def test_a_model_in_several_files(path: Path, tmp_path: Path) -> None:
    first = write(tmp_path / "m-00001-of-00002.gguf", {Q: zeros(WIDTH, WIDTH)}, kind="model")
    later = "blk.1.attn_q.weight"
    adapter = read_adapter(write(path, {**pair(), **pair(later)}))
    with pytest.raises(Unusable, match="m-00002-of-00002"):
        check_fits(adapter, first)
    write(tmp_path / "m-00002-of-00002.gguf", {later: zeros(WIDTH, WIDTH)}, kind="model")
    check_fits(adapter, first)


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_found(path: Path, model: Path, kind: type[np.floating[Any]], value: float) -> None:
    tensors = {name: values.astype(kind) + kind(0.5) for name, values in pair().items()}
    check_fits(read_adapter(write(path, tensors)), model)
    tensors[f"{Q}.lora_b"][7, 2] = value
    with pytest.raises(Unusable, match="lora_b holds what is no number"):
        check_fits(read_adapter(write(path, tensors)), model)


def test_what_is_no_number_in_bfloat16(path: Path) -> None:
    tensors = {name: gguf.quantize(values, gguf.GGMLQuantizationType.BF16) for name, values in pair().items()}

    def written() -> Path:
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        for name, values in tensors.items():
            writer.add_tensor(name, values, raw_dtype=gguf.GGMLQuantizationType.BF16)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    check_numbers(written())
    tensors[f"{Q}.lora_a"].view(np.uint16)[1, 3] = 0x7FC0
    with pytest.raises(Unusable, match="lora_a holds"):
        check_numbers(written())


def test_a_file_that_changed_is_read_again(path: Path, model: Path) -> None:
    check_fits(read_adapter(write(path)), model)
    write(path, pair(inputs=32))
    with pytest.raises(Unusable, match="32 × 64"):
        check_fits(read_adapter(path), model)


@pytest.mark.parametrize("tenth", range(10))
def test_a_file_cut_short(path: Path, model: Path, tenth: int) -> None:
    data = tiny_models.tiny_adapter(path, model).read_bytes()
    path.write_bytes(data[: len(data) * tenth // 10])
    with pytest.raises(Unusable, match="cut short"):
        read_adapter(path)


def test_a_tensor_that_lies_elsewhere(path: Path) -> None:
    name = f"{Q}.lora_b".encode()
    data = bytearray(write(path).read_bytes())
    offset = data.index(name) + len(name) + 4 + 2 * 8 + 4
    assert int.from_bytes(data[offset : offset + 8], "little") == 4 * WIDTH * 4
    data[offset : offset + 8] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(Unusable, match=r"attn_q\.weight\.lora_b does not lie where"):
        read_adapter(path)


def test_a_text_and_nothing(path: Path) -> None:
    path.write_text("a shopping list\n" * 100)
    with pytest.raises(Unusable, match="begins with"):
        read_adapter(path)
    path.unlink()
    with pytest.raises(Unusable, match="cannot be read"):
        read_adapter(path)


@given(place=st.integers(8, 1200), byte=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_one_wrong_byte_raises_nothing_but_unusable(tmp_path: Path, model: Path, place: int, byte: int) -> None:
    path = tmp_path / "bent.gguf"
    data = bytearray(write(path, {**pair(), **pair("blk.1.attn_v.weight")}).read_bytes())
    data[place] = byte
    path.write_bytes(data)
    try:
        check_fits(read_adapter(path), model)
    except Unusable as error:
        assert error.hint and "\n" not in error.message
