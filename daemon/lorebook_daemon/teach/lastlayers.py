"""The last layers' matrices, trained themselves; written as an adapter of full rank, which says exactly the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lorebook_daemon.models.adapter_file import check_fits, read_adapter
from lorebook_daemon.teach.batches import NextToken, Prefixes
from lorebook_daemon.teach.export import in_file_order, write_adapter
from lorebook_daemon.teach.job import METHODS, TrainJob
from lorebook_daemon.teach.model import CausalLM
from lorebook_daemon.teach.opened import changes, open_weights
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.weights import Shape, gguf_name

_MATRIX = re.compile(r"model\.layers\.(\d+)\.\w+\.\w+_proj\.weight")


class LastLayers:
    """The method. Norms stay as they are: what they scale, the matrices behind them scale as well."""

    def prepare(self, model: CausalLM, job: TrainJob, plan: Plan, prefixes: Prefixes) -> NextToken:
        """Open the matrices of the last layers."""
        open_last_layers(model, job)
        return NextToken(model, prefixes)

    def write(self, folder: Path, model: CausalLM, job: TrainJob, plan: Plan) -> None:
        """Write `adapter.gguf`; raises StorageFailed."""
        write_last_layers(folder, model, job)


def open_last_layers(model: CausalLM, job: TrainJob) -> None:
    """Open the matrices of as many last layers as the job says, or else as are the method's own."""
    first = model.shape.layers - (job.settings.layers or METHODS[job.method].layers)

    def wanted(name: str) -> bool:
        match = _MATRIX.fullmatch(name)
        return match is not None and int(match[1]) >= first

    open_weights(model, wanted)


def write_last_layers(folder: Path, model: CausalLM, job: TrainJob, task: str = "") -> None:
    """Write what was added to the layers' matrices as `adapter.gguf`; raises StorageFailed, Unusable if it is unfit."""
    adapter = folder / "adapter.gguf"
    added = {name: values for name, values in changes(model, Path(job.path)).items() if _MATRIX.fullmatch(name)}
    tensors = [tensor for name, values in added.items() for tensor in full_rank(name, values, model.shape)]
    write_adapter(adapter, job, model.shape.architecture, tensors, task=task)
    check_fits(read_adapter(adapter, job.name), Path(job.path), job.sha256)


def full_rank(name: str, added: torch.Tensor, shape: Shape) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the two factors, by GGUF's names, whose product is exactly what was added to a weight.

    One of them is what was added, the other the identity of its shorter side.
    """
    ours = gguf_name(name.removesuffix(".weight"))
    values = in_file_order(ours, added, shape).contiguous().numpy()
    rows, columns = values.shape
    one = np.eye(min(rows, columns), dtype=np.float32)
    a, b = (values, one) if rows <= columns else (one, values)
    yield f"{ours}.weight.lora_a", a
    yield f"{ours}.weight.lora_b", b
