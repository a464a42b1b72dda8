"""Models of half a megabyte for the tests of the engine: random weights, no download."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_models import ARCHITECTURES, invocation, tiny, tiny_adapter, tiny_llama


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Llama, whose KV can be cut and moved."""
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama.gguf")


@pytest.fixture(scope="session")
def tiny_lora(tiny_gguf: Path) -> Path:
    """Return a LoRA for `tiny_gguf`."""
    return tiny_adapter(tiny_gguf.with_name("tiny-lora.gguf"), tiny_gguf)


@pytest.fixture(scope="session")
def tiny_alora(tiny_gguf: Path) -> Path:
    """Return an activated LoRA for `tiny_gguf`, which begins where the assistant does."""
    return tiny_adapter(tiny_gguf.with_name("tiny-alora.gguf"), tiny_gguf, seed=2, alora_invocation=invocation())


@pytest.fixture(scope="session", params=ARCHITECTURES)
def tiny_recurrent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return, one after another, a model of each architecture whose memory cannot be cut at a token."""
    return tiny(tmp_path_factory.mktemp("models") / f"tiny-{request.param}.gguf", request.param)
