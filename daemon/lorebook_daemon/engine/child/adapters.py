"""LoRA adapters in memory: a bounded set, switched on by set; and where in a prompt each begins to act."""

from __future__ import annotations

import ctypes
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import llama_cpp

from lorebook_api.errors import EngineFailed, Unusable
from lorebook_daemon.engine.child.softprompt import soft_prompt

RESIDENT = 8
"""Adapters that stay in memory; the least recently used one goes first."""


@dataclass(frozen=True)
class Adapter:
    """An adapter's file as it was when a request named it, and how strongly it acts.

    An activated adapter (aLoRA, arXiv:2504.12397) acts only from the last place on where `invocation` stands: what is
    before that is the base model's own reading.
    """

    path: str
    version: str
    """Digest of the file's content."""
    scale: float
    invocation: tuple[int, ...] = ()
    soft: int = 0
    """Vectors of a soft prompt (arXiv:2104.08691), which stand before everything; 0 of a LoRA."""

    @property
    def key(self) -> tuple[str, float]:
        """What KV that was made under this adapter depends on."""
        return (self.version, self.scale)


AdapterSet = tuple[Adapter, ...]
"""Adapters that act together. KV made under one set is wrong under any other (llama.cpp issue 26207)."""


class Adapters:
    """The adapters of one loaded model."""

    def __init__(self, model: ctypes.c_void_p, context: ctypes.c_void_p) -> None:
        """Keep adapters of `model` for its `context`."""
        self._model, self._context = model, context
        self._resident: OrderedDict[tuple[str, str], ctypes.c_void_p] = OrderedDict()
        self._on: AdapterSet = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The files in memory, the least recently used one first."""
        return tuple(dict.fromkeys(path for path, _ in self._resident))

    def find(self, path: str, scale: float) -> Adapter:
        """Return the adapter in a file, loading it where it is not in memory; raises Unusable for one that is none."""
        try:
            version = _version(path)
        except OSError as error:  # it was there when the daemon looked
            told = f"{Path(path).name} cannot be read ({error.strerror or error})."
            raise Unusable(told, "See what there is: lorebook adapters list") from error
        soft = soft_prompt(path, version)
        if soft is not None:
            return Adapter(path, version, scale, soft=len(soft))
        handle = self._load(path, version)
        count = llama_cpp.llama_adapter_get_alora_n_invocation_tokens(handle)
        tokens = llama_cpp.llama_adapter_get_alora_invocation_tokens(handle)
        return Adapter(path, version, scale, tuple(tokens[i] for i in range(count)))

    def use(self, adapters: AdapterSet) -> None:
        """Switch to exactly these adapters with their scales: 0.1 ms where they are in memory.

        A soft prompt acts by what stands before the others' tokens, and needs no switch.
        """
        adapters = tuple(one for one in adapters if not one.soft)
        if adapters == self._on:
            return
        handles = [self._load(adapter.path, adapter.version) for adapter in adapters]
        array = (llama_cpp.llama_adapter_lora_p_ctypes * max(1, len(handles)))(*handles)
        scales = (ctypes.c_float * max(1, len(handles)))(*(adapter.scale for adapter in adapters))
        if llama_cpp.llama_set_adapters_lora(self._context, array, len(handles), scales):
            raise EngineFailed("the adapters could not be switched on together.", "Use one at a time.")
        self._on = adapters

    def drop(self, path: str) -> None:
        """Free a file's adapter; nothing happens where it is not in memory."""
        for key in [key for key in self._resident if key[0] == path]:
            if any((one.path, one.version) == key for one in self._on):
                self.use(())
            llama_cpp.llama_adapter_lora_free(self._resident.pop(key))

    def bound(self, needed: Sequence[AdapterSet]) -> None:
        """Free the least recently used adapters above the bound, but none of those that requests still need."""
        kept = {(one.path, one.version) for adapters in (*needed, self._on) for one in adapters}
        for key in [key for key in self._resident if key not in kept][: max(0, len(self._resident) - RESIDENT)]:
            llama_cpp.llama_adapter_lora_free(self._resident.pop(key))

    def _load(self, path: str, version: str) -> ctypes.c_void_p:
        key = (path, version)
        if key not in self._resident:
            handle = llama_cpp.llama_adapter_lora_init(self._model, path.encode())
            if not handle:
                raise Unusable(
                    f"{Path(path).name} is no adapter for this model.", "Use one that was trained on this model."
                )
            self._resident[key] = handle
        self._resident.move_to_end(key)
        return self._resident[key]


def note_versions(paths: Iterable[str]) -> None:
    """Read files whose digests are not known, so that `find` need not; from any thread. Those not there are left."""
    for path in paths:
        with suppress(OSError):
            _version(path)


def _version(path: str) -> str:
    state = Path(path).stat()
    return _digest(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _digest(path: str, _changed: int, _size: int) -> str:
    """Return the digest of a file, read again when its time or size changes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def acting(adapters: AdapterSet, tokens: Sequence[int]) -> list[tuple[int, AdapterSet]]:
    """Return from which token on which of the adapters act: [(0, those of the start), (i, …), …] in rising order.

    An activated adapter whose invocation does not stand in the prompt never acts, as in PEFT.
    """
    begins = {one: _last(tokens, one.invocation) if one.invocation else 0 for one in adapters}
    places = sorted({0, *(start for start in begins.values() if start >= 0)})
    return [(place, tuple(one for one in adapters if 0 <= begins[one] <= place)) for place in places]


def _last(tokens: Sequence[int], wanted: tuple[int, ...]) -> int:
    """Return where `wanted` stands last in `tokens`, -1 where it does not."""
    for start in range(len(tokens) - len(wanted), -1, -1):
        if tuple(tokens[start : start + len(wanted)]) == wanted:
            return start
    return -1
