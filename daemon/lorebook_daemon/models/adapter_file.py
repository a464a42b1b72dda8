"""A LoRA adapter in a GGUF file: what it says of itself, whether it is sound, and whether it fits a model.

llama.cpp checks most of this too, but in words for its developers, and some wrong files end its process.
What it expects: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-adapter.cpp
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lorebook_api.errors import Unusable
from lorebook_api.state import AdapterInfo
from lorebook_daemon.models.gguf_header import GGUFContents, Tensor, read_contents

BASE_NAME = "general.base_model.0.name"
"""Key of the name of the model that the adapter was trained on: that model's own `general.name`."""
BASE_SHA256 = "lorebook.base.sha256"
"""Key of the checksum of that model's GGUF file."""

SOFT, SOFT_VECTORS = "prompt", "prompt.weight"
"""What a soft prompt's file says in `adapter.type`, and the tensor in it: its vectors, 32 bits a number."""

_ARCHITECTURE = "general.architecture"
_ALPHA = "adapter.lora.alpha"
_INVOCATION = "adapter.alora.invocation_tokens"
_TYPES = {
    "general.type": "string",
    _ARCHITECTURE: "string",
    "adapter.type": "string",
    _ALPHA: "float32",
    _INVOCATION: "list of uint32",
}
"""Fields that llama.cpp reads as this type without asking: another one would end its process."""

_NAME_BYTES = 63
"""ggml's longest name of a tensor."""
_WIDTH = "embedding_length"
_MOST_VECTORS = 1024
"""Of a soft prompt: they take the room of so many tokens in every prompt."""
_NUMBERS = range(24, 29)
"""Packings that hold integers and 64-bit floats: nothing multiplies by them."""
_EXPONENTS = {0: ("<u4", 0x7F800000), 1: ("<u2", 0x7C00), 30: ("<u2", 0x7F80)}
"""Of the packings that hold floats (32 bits, 16 bits, bfloat16): how to read one, and the bits set in what is none."""
_LAYER = re.compile(r"blk\.(\d+)\.(.+)")
_SHARD = re.compile(r"-00001-of-(\d{5})\.gguf$", re.IGNORECASE)
_EMBEDDING, _OUTPUT = "token_embd.weight", "output.weight"
_NORM = "_norm.weight"
"""How the names of those tensors end that llama.cpp passes over."""

_ANEW = "Bring or make it again, or name another file."
_OTHER = "Use a model that it was trained for, or another adapter: lorebook adapters list"


@dataclass(frozen=True)
class _Pair:
    """The two factors that are added to a weight of the model: b · a."""

    a: Tensor
    b: Tensor

    @property
    def rank(self) -> int:
        return self.b.shape[0]


def read_adapter(path: Path, name: str = "") -> AdapterInfo:
    """Return what the adapter in `path` says of itself; its name is the file's where none is given.

    Raises Unusable, with the reason, for anything but a whole LoRA adapter that makes sense by itself.
    """
    contents = _contents(path)
    pairs = {} if contents.text("adapter.type") == SOFT else _pairs(path, contents)
    fields = contents.fields
    layers = [match for weight in pairs if (match := _LAYER.fullmatch(weight))]
    others = {weight for weight in pairs if not _LAYER.fullmatch(weight)}
    return AdapterInfo(
        name=name or path.stem,
        path=str(path),
        size=contents.header.size,
        architecture=contents.header.architecture,
        ranks=tuple(sorted({pair.rank for pair in pairs.values()})),
        alpha=fields[_ALPHA].value if _ALPHA in fields else 0.0,
        targets=tuple(sorted({_short(weight) for weight in (*(match[2] for match in layers), *others)})),
        layers=tuple(sorted({int(match[1]) for match in layers})),
        ignored=tuple(tensor.name for tensor in contents.tensors if tensor.name.endswith(_NORM)),
        invocation=fields[_INVOCATION].value if _INVOCATION in fields else (),
        task=contents.text("adapter.lora.task_name"),
        prompt_prefix=contents.text("adapter.lora.prompt_prefix"),
        base=contents.text(BASE_NAME),
        base_sha256=contents.text(BASE_SHA256).lower(),
        vectors=0 if pairs else _vectors(path, contents).shape[1],
    )


def check_fits(adapter: AdapterInfo, model: Path, sha256: str | None = None) -> None:
    """Raise Unusable, with the reason, where the adapter cannot act on the model in the GGUF file `model`.

    `sha256` is of that file, where it is known. An adapter that says which file it was trained on is for that file and
    for others of the same model, packed in another way: those have the same `general.name`.
    """
    if adapter.damaged:
        raise Unusable(adapter.damaged, _ANEW)
    base = _contents(model)
    if adapter.architecture != base.header.architecture:
        raise _misfit(adapter, model, f"it is for {adapter.architecture}, the model is {base.header.architecture}")
    if adapter.base_sha256 and adapter.base_sha256 != sha256 and adapter.base != base.header.name:
        raise _misfit(adapter, model, f"it was trained on {adapter.base or 'another file'}")
    own = _contents(Path(adapter.path))
    if adapter.vectors:
        wrong = _wrong_width(_vectors(Path(adapter.path), own), base)
    else:
        weights, pairs = _weights(model, base), _pairs(Path(adapter.path), own)
        wrong = next(filter(None, (_wrong(weight, pair, weights) for weight, pair in pairs.items())), "")
    if wrong:
        raise _misfit(adapter, model, wrong)
    check_numbers(Path(adapter.path))


def check_numbers(path: Path) -> None:
    """Raise Unusable where a factor of the adapter holds what is no number: one of them spoils every answer."""
    state = path.stat()
    broken = _broken_tensor(path, state.st_mtime_ns, state.st_size)
    if broken:
        raise _damaged(path, f"{broken} holds what is no number")


@lru_cache(maxsize=32)
def _broken_tensor(path: Path, _changed: int, _size: int) -> str:
    """Return the first tensor that holds infinity or NaN, empty where none does; integers' scales are not looked at."""
    import numpy as np  # heavy, and not there where only the client is installed

    contents = _contents(path)
    for tensor in contents.tensors:
        if tensor.kind in _EXPONENTS:
            numbers, mask = _EXPONENTS[tensor.kind]
            bits = np.fromfile(path, numbers, math.prod(tensor.shape), offset=contents.start + tensor.offset)
            if np.any((bits & mask) == mask):
                return tensor.name
    return ""


def _misfit(adapter: AdapterInfo, model: Path, why: str) -> Unusable:
    return Unusable(f"The adapter {adapter.name} does not fit {model.name}: {why}.", _OTHER)


def _contents(path: Path) -> GGUFContents:
    """Return the file's header, read once while the file stays as it is: it is asked for with every request."""
    try:
        state = path.stat()
    except OSError as error:
        raise Unusable(f"{path} cannot be read ({error.strerror or error}).", "Check the path.") from error
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _read(path: Path, _changed: int, _size: int) -> GGUFContents:
    return read_contents(path)


def _weights(path: Path, contents: GGUFContents) -> Mapping[str, Tensor]:
    """Return the model's tensors by name, those in its other files included where it is in several."""
    tensors = {tensor.name: tensor for tensor in contents.tensors}
    for other in _other_shards(path):
        tensors.update((tensor.name, tensor) for tensor in _contents(other).tensors)
    return tensors


def _other_shards(path: Path) -> list[Path]:
    shard = _SHARD.search(path.name)
    if shard is None:
        return []
    start, count = path.name[: shard.start()], shard[1]
    return [path.with_name(f"{start}-{n:05d}-of-{count}.gguf") for n in range(2, int(count) + 1)]


def _pairs(path: Path, contents: GGUFContents) -> dict[str, _Pair]:
    """Return the factors by the name of the weight that they change; raises Unusable where they make no sense."""
    _check_kind(path, contents)
    _check_fields(path, contents)
    factors: dict[str, dict[str, Tensor]] = {}
    for tensor in contents.tensors:
        weight, _, factor = tensor.name.rpartition(".")
        if factor in ("lora_a", "lora_b"):
            _check_packing(path, tensor)
            factors.setdefault(weight, {})[factor] = tensor
        elif not tensor.name.endswith(_NORM):
            raise _damaged(path, f"it holds {tensor.name}, which is no part of a LoRA")
    if not factors:
        raise _damaged(path, "it changes nothing")
    _check_places(path, contents)
    return {weight: _pair(path, weight, both) for weight, both in factors.items()}


def _vectors(path: Path, contents: GGUFContents) -> Tensor:
    """Return the one tensor of a soft prompt; raises Unusable where it makes no sense."""
    _check_kind(path, contents)
    if not contents.header.architecture:
        raise _damaged(path, "it does not say for which architecture it is")
    names = [tensor.name for tensor in contents.tensors]
    if names != [SOFT_VECTORS]:
        raise _damaged(path, f"a soft prompt holds {SOFT_VECTORS} and nothing else, not {', '.join(names[:3])}")
    (tensor,) = contents.tensors
    if tensor.kind != 0 or len(tensor.shape) != 2 or not 0 < tensor.shape[1] <= _MOST_VECTORS:
        raise _damaged(path, f"{SOFT_VECTORS} is no list of 1 to {_MOST_VECTORS} vectors of 32 bits")
    return tensor


def _check_kind(path: Path, contents: GGUFContents) -> None:
    kind = contents.header.kind
    if kind == "model":
        raise Unusable(f"{path.name} is a whole model, not an adapter.", f"Use it as one: lorebook models add {path}")
    if kind != "adapter":
        raise Unusable(f"{path.name} is of the kind {kind!r}, not an adapter.", "Name an adapter's GGUF file.")


def _check_fields(path: Path, contents: GGUFContents) -> None:
    for key, wanted in _TYPES.items():
        field = contents.fields.get(key)
        if field is not None and field.type != wanted:
            raise _damaged(path, f"its {key} is of the type {field.type}, not {wanted}")
    kind = contents.text("adapter.type")
    if kind != "lora":
        raise Unusable(
            f"{path.name} is an adapter of the type {kind!r}, not 'lora'.", "Only LoRA adapters can be used."
        )
    if not contents.header.architecture:
        raise _damaged(path, "it does not say for which architecture it is")
    alpha = contents.fields.get(_ALPHA)
    if alpha is not None and not math.isfinite(alpha.value):
        raise _damaged(path, f"its alpha is {alpha.value}")
    invocation = contents.fields.get(_INVOCATION)
    if invocation is not None and not invocation.value:
        raise _damaged(path, "its invocation holds no tokens, or more than a thousand")


def _check_packing(path: Path, tensor: Tensor) -> None:
    if len(tensor.name.encode()) > _NAME_BYTES:
        raise _damaged(path, f"it holds a tensor whose name is too long, {tensor.name[:_NAME_BYTES]}…")
    if len(tensor.shape) < 2 or not all(tensor.shape):
        raise _damaged(path, f"{tensor.name} is no matrix ({_written(tensor.shape)})")
    if tensor.block is None or tensor.kind in _NUMBERS or tensor.shape[0] % tensor.block[0]:
        raise _damaged(path, f"{tensor.name} is packed in a way (ggml type {tensor.kind}) that cannot be used")


def _check_places(path: Path, contents: GGUFContents) -> None:
    place = 0
    for tensor in contents.tensors:
        if tensor.offset != place:
            raise _damaged(path, f"{tensor.name} does not lie where the one before it ends")
        place = -(-tensor.end // contents.alignment) * contents.alignment


def _pair(path: Path, weight: str, factors: Mapping[str, Tensor]) -> _Pair:
    if len(factors) != 2:
        raise _damaged(path, f"{weight} has only its {next(iter(factors))}")
    pair = _Pair(factors["lora_a"], factors["lora_b"])
    # An embedding is looked up by row, so its first factor lies the other way round.
    rank = pair.a.shape[0] if weight == _EMBEDDING else pair.a.shape[1]
    if rank != pair.rank or pair.a.shape[2:] != pair.b.shape[2:]:
        shapes = f"{_written(pair.a.shape)} and {_written(pair.b.shape)}"
        raise _damaged(path, f"the two factors for {weight} do not go together ({shapes})")
    return pair


def _wrong(weight: str, pair: _Pair, weights: Mapping[str, Tensor]) -> str:
    """Return what is wrong between the factors and the weight that they change, empty where nothing is."""
    if weight not in weights:
        return f"it changes {weight}, which the model does not have"
    if weight == _EMBEDDING and _OUTPUT not in weights:
        # llama.cpp would take the embedding's factors for the output's, and end the process.
        return f"it changes {weight}, which is the output's weight too in this model"
    shape: tuple[int, ...]
    if weight == _EMBEDDING:
        shape = (pair.b.shape[1], pair.a.shape[1])
    else:
        shape = (pair.a.shape[0], pair.b.shape[1], *pair.a.shape[2:])
    wanted = weights[weight].shape
    if shape != wanted:
        return f"{weight} is {_written(wanted)} in the model and {_written(shape)} in the adapter"
    return ""


def _wrong_width(vectors: Tensor, base: GGUFContents) -> str:
    """Return what is wrong between a soft prompt's vectors and those of the model's tokens, empty where nothing is."""
    wanted = base.fields.get(f"{base.header.architecture}.{_WIDTH}")
    width = wanted.value if wanted is not None else 0
    return "" if vectors.shape[0] == width else f"its vectors have {vectors.shape[0]} numbers, the model's {width}"


def _written(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _short(weight: str) -> str:
    return weight.removesuffix(".weight")


def _damaged(path: Path, why: str) -> Unusable:
    return Unusable(f"{path.name} is not a LoRA adapter that can be used: {why}.", _ANEW)
