"""The trained adapter as files: a GGUF that llama.cpp loads, and a folder that PEFT loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import torch
from peft import LoraConfig
from safetensors.torch import save_file

from lorebook_api.errors import StorageFailed
from lorebook_daemon.models.adapter_file import BASE_NAME, BASE_SHA256
from lorebook_daemon.models.gguf_header import read_header
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.model import CausalLM, trained
from lorebook_daemon.teach.weights import Shape, gguf_name, turned

_FACTORS = {"lora_A": "lora_a", "lora_B": "lora_b"}


def factors(model: CausalLM) -> dict[str, torch.Tensor]:
    """Return the adapter's factors by Hugging Face's name: `model.layers.0.self_attn.q_proj.lora_A.weight`."""
    return {
        name.replace(".default.", "."): parameter.detach().clone().contiguous()
        for name, parameter in trained(model).items()
    }


def write_gguf(path: Path, model: CausalLM, job: TrainJob, invocation: tuple[int, ...]) -> None:
    """Write the adapter as GGUF; raises StorageFailed. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""
    tensors = [_tensor(name, values, model.shape) for name, values in factors(model).items()]
    write_adapter(path, job, model.shape.architecture, tensors, alpha=job.settings.alpha, invocation=invocation)


def write_adapter(
    path: Path,
    job: TrainJob,
    architecture: str,
    tensors: Sequence[tuple[str, npt.NDArray[np.float32]]],
    *,
    alpha: float = 0.0,
    invocation: tuple[int, ...] = (),
    task: str = "",
    kind: str = "lora",
) -> None:
    """Write tensors, factors by llama.cpp's names, as an adapter; without `alpha` they act as they are.

    Raises StorageFailed.
    """
    try:
        writer = gguf.GGUFWriter(path, architecture)
        _describe(writer, job, alpha, invocation, task)
        writer.add_string(gguf.Keys.Adapter.TYPE, kind)
        for name, values in tensors:
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    except OSError as error:
        raise _failed(path, error) from error


def _describe(writer: gguf.GGUFWriter, job: TrainJob, alpha: float, invocation: tuple[int, ...], task: str) -> None:
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(job.name)
    if alpha:
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    if task:
        writer.add_string(gguf.Keys.Adapter.LORA_TASK_NAME, task)
    writer.add_string(BASE_NAME, read_header(Path(job.path)).name)
    writer.add_string(BASE_SHA256, job.sha256)
    if invocation:
        key, uint32 = gguf.Keys.Adapter.ALORA_INVOCATION_TOKENS, gguf.GGUFValueType.UINT32
        writer.add_key_value(key, list(invocation), gguf.GGUFValueType.ARRAY, sub_type=uint32)


def _tensor(name: str, values: torch.Tensor, shape: Shape) -> tuple[str, npt.NDArray[np.float32]]:
    """Return a factor as llama.cpp names it, and with its rows where that family has them."""
    weight, factor = name.removesuffix(".weight").rsplit(".", 1)
    ours = gguf_name(weight)
    if factor == "lora_B":
        values = in_file_order(ours, values, shape)
    return f"{ours}.weight.{_FACTORS[factor]}", values.contiguous().numpy()


def in_file_order(ours: str, values: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Return the rows of a weight, by GGUF's name, in the order that files of its family have them in."""
    if shape.architecture == "llama" and ours.endswith(("attn_q", "attn_k")):
        return turned(values, shape.heads if ours.endswith("attn_q") else shape.kv_heads)
    return values


def write_peft(folder: Path, model: CausalLM, config: LoraConfig, base: str) -> None:
    """Write what `PeftModel.from_pretrained` loads onto the same model of Hugging Face's; raises StorageFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.base_model_name_or_path = base
        config.inference_mode = True
        config.save_pretrained(str(folder))
        tensors = {f"base_model.model.{name}": values for name, values in factors(model).items()}
        save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    except OSError as error:
        raise _failed(folder, error) from error


def _failed(path: Path, error: OSError) -> StorageFailed:
    told = f"{path} cannot be written ({error.strerror or error})."
    return StorageFailed(told, "Free some space, then: lorebook jobs resume")
