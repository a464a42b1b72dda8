"""What our check lets through, llama.cpp takes: the check stands before a library that may end the process."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_models
from lorebook_api.errors import Unusable
from lorebook_daemon.models.adapter_file import check_fits, read_adapter
from lorebook_daemon.models.gguf_header import read_contents

CHANGES = st.lists(st.tuples(st.integers(4, 1400), st.sampled_from([0, 1, 2, 4, 63, 64, 255])), min_size=1, max_size=3)


@llama_cpp.llama_log_callback
def say_nothing(level: int, text: bytes, data: object) -> None:
    """Take what llama.cpp says: the package's own logger fails at names that are not UTF-8."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.tiny_llama(tmp_path_factory.mktemp("base") / "base.gguf")


@pytest.fixture(scope="module")
def sound(base: Path) -> bytes:
    path = tiny_models.tiny_adapter(base.with_name("sound.gguf"), base, alora_invocation=tiny_models.invocation())
    return path.read_bytes()[: read_contents(path).start] + bytes(path.stat().st_size - read_contents(path).start)


@pytest.fixture(scope="module")
def loaded(base: Path) -> Iterator[Any]:
    llama_cpp.llama_log_set(say_nothing, ctypes.c_void_p(0))
    model = llama_cpp.llama_model_load_from_file(str(base).encode(), llama_cpp.llama_model_default_params())
    yield model
    llama_cpp.llama_model_free(model)


@given(CHANGES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None)
def test_what_passes_the_check_is_taken(
    base: Path, sound: bytes, loaded: ctypes.c_void_p, tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(sound)
    for place, byte in changes:
        data[place] = byte
    path = tmp_path / "bent.gguf"
    path.write_bytes(data)
    try:
        check_fits(read_adapter(path), base)
    except Unusable:
        return
    handle = llama_cpp.llama_adapter_lora_init(loaded, str(path).encode())
    assert handle
    llama_cpp.llama_adapter_lora_free(handle)
