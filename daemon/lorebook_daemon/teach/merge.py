"""A model of its own from a base: a GGUF like the base's, some weights of which are others. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from lorebook_api.errors import BadRequest, StorageFailed
from lorebook_api.state import AdapterInfo
from lorebook_daemon.models.adapter_file import check_fits

Weights = Mapping[str, npt.NDArray[np.float32]]
"""By GGUF's names, rows first, rows in the order that the file has them in."""

_PLACE, _OWN = "GGUF.", ("general.architecture", "general.name")
"""Fields that the writer writes by itself."""


def merged(path: Path, base: Path, adapter: AdapterInfo, scale: float = 1.0) -> None:
    """Write the base with an adapter added to its weights, which then act without it and everywhere.

    The changed weights are kept in 16 bits, the others as packed as they are. Raises BadRequest for an adapter that
    acts in answers only, Unusable where it does not fit the base, StorageFailed.
    """
    if adapter.invocation:
        raise BadRequest(
            f"{adapter.name} acts in answers only; in a model of its own it would act in questions too.",
            "Teach it with --method lora, or use it as an adapter.",
        )
    if adapter.vectors:
        raise BadRequest(f"{adapter.name} is a soft prompt: it changes no weights.", "Use it as an adapter.")
    check_fits(adapter, base)
    factors = {tensor.name: tensor for tensor in gguf.GGUFReader(adapter.path).tensors}
    changed = {name.removesuffix(".lora_a") for name in factors if name.endswith(".lora_a")}
    values: dict[str, npt.NDArray[np.float32]] = {}
    for tensor in gguf.GGUFReader(base).tensors:
        if tensor.name in changed:
            a, b = (_numbers(factors[f"{tensor.name}.{one}"]) for one in ("lora_a", "lora_b"))
            strength = scale * (adapter.alpha / len(a) if adapter.alpha else 1.0)
            values[tensor.name] = _numbers(tensor) + strength * (b @ a)
    write_model(path, base, values, f"{adapter.base or base.stem} with {adapter.name}")


def write_model(path: Path, base: Path, values: Weights, name: str) -> None:
    """Write the model in `base` with other values for some weights, under another name; raises StorageFailed.

    Matrices among them are kept in 16 bits, vectors in 32. The file appears whole or not at all.
    """
    fresh = path.with_name(f".{path.name}.part")
    try:
        _write(fresh, base, values, name)
        fresh.replace(path)
    except OSError as error:
        told = f"{path} cannot be written ({error.strerror or error})."
        raise StorageFailed(told, "Free some space, or name another file.") from error
    finally:
        fresh.unlink(missing_ok=True)


def _write(path: Path, base: Path, values: Weights, name: str) -> None:
    reader = gguf.GGUFReader(base)
    writer = gguf.GGUFWriter(path, _architecture(reader))
    writer.add_name(name)
    for field in reader.fields.values():
        if field.name not in _OWN and not field.name.startswith(_PLACE):
            kind, inside = field.types[0], field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=inside)
    for tensor in reader.tensors:
        if tensor.name in values:
            writer.add_tensor(tensor.name, _kept(values[tensor.name]))
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _architecture(reader: gguf.GGUFReader) -> str:
    field = reader.get_field(gguf.Keys.General.ARCHITECTURE)
    return "" if field is None else str(field.contents())


def _kept(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | npt.NDArray[np.float16]:
    return values.astype(np.float16) if values.ndim > 1 else values.astype(np.float32)


def _numbers(tensor: gguf.ReaderTensor) -> npt.NDArray[np.float32]:
    return np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
