"""A model of its own from a base: a GGUF like the base's, some weights of which are others. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from lorebook_api.errors import BadRequest, StorageFailed
from lorebook_api.indexing import Progress
from lorebook_api.state import AdapterInfo
from lorebook_daemon.models.adapter_file import check_fits

Weights = Mapping[str, npt.NDArray[np.float32]]
"""By GGUF's names, rows first, rows in the order that the file has them in."""

_PLACE, _OWN = "GGUF.", ("general.architecture", "general.name")
"""Fields that the writer writes by itself."""
_NUMBERS = {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16, gguf.GGMLQuantizationType.BF16}


class _Widened(Mapping[str, npt.NDArray[np.float32]]):
    """Weights that are unpacked as they are asked for: all at once, those of a small model are six gigabytes."""

    def __init__(self, packed: Sequence[gguf.ReaderTensor], report: Callable[[Progress], None]) -> None:
        self._packed = {tensor.name: tensor for tensor in packed}
        self._report, self._done = report, 0

    def __getitem__(self, name: str) -> npt.NDArray[np.float32]:
        self._report(Progress("unpacking weights", self._done, len(self)))
        self._done += 1
        return _numbers(self._packed[name])

    def __contains__(self, name: object) -> bool:
        return name in self._packed

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


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


def unpacked(path: Path, base: Path, report: Callable[[Progress], None]) -> None:
    """Write the base with all its weights in 16 bits or more; raises BadRequest where they are, StorageFailed.

    An engine rounds what it multiplies with packed weights to 8 bits, and with these it does not: what it says then is
    what any other engine says. It keeps its name, so that adapters of the one fit the other.
    """
    reader = gguf.GGUFReader(base)
    packed = [tensor for tensor in reader.tensors if tensor.tensor_type not in _NUMBERS]
    if not packed:
        raise BadRequest(f"The weights of {base.name} are not packed.", "Use it as it is.")
    name = reader.get_field(gguf.Keys.General.NAME)
    write_model(path, base, _Widened(packed, report), base.stem if name is None else str(name.contents()))


def write_model(path: Path, base: Path, values: Weights, name: str) -> None:
    """Write the model in `base` with other values for some weights, under this name; raises StorageFailed.

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
    with closing(gguf.GGUFWriter(path, _architecture(reader))) as writer:
        writer.add_name(name)
        for field in reader.fields.values():
            if field.name not in _OWN and not field.name.startswith(_PLACE):
                kind, inside = field.types[0], field.types[-1] if len(field.types) > 1 else None
                writer.add_key_value(field.name, field.contents(), kind, sub_type=inside)
        for tensor in reader.tensors:
            if tensor.name in values:
                numbers, shape = _kind(tensor), [int(size) for size in reversed(tensor.shape)]
                writer.add_tensor_info(tensor.name, shape, numbers, numbers.itemsize * int(tensor.n_elements))
            else:
                data = tensor.data
                writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in reader.tensors:
            other = tensor.name in values
            writer.write_tensor_data(values[tensor.name].astype(_kind(tensor)) if other else tensor.data)


def _architecture(reader: gguf.GGUFReader) -> str:
    field = reader.get_field(gguf.Keys.General.ARCHITECTURE)
    return "" if field is None else str(field.contents())


def _kind(tensor: gguf.ReaderTensor) -> np.dtype[np.float16] | np.dtype[np.float32]:
    """Return what other values of a tensor are kept in."""
    return np.dtype(np.float16) if len(tensor.shape) > 1 else np.dtype(np.float32)


def _numbers(tensor: gguf.ReaderTensor) -> npt.NDArray[np.float32]:
    return np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
