"""Tiny GGUF models with random weights, made on the fly: the engine is tested on them without a download.

`tiny_llama(path)` takes some milliseconds and half a megabyte. What such a model says is noise, but always the same
noise: it depends on what was read before, is readable ASCII and never ends by itself under greedy decoding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.random_models.blueprint import ARCHITECTURES, ATTENTION, HYBRID, RECURRENT, Blueprint, Size
from benchmarks.random_models.vocabulary import START, token, vocabulary
from benchmarks.random_models.write import write_adapter, write_model

__all__ = [
    "ARCHITECTURES",
    "ATTENTION",
    "HYBRID",
    "RECURRENT",
    "Blueprint",
    "Size",
    "invocation",
    "tiny",
    "tiny_adapter",
    "tiny_llama",
    "tiny_qwen2",
    "token",
    "vocabulary",
]

tiny_adapter = write_adapter


def tiny(path: Path, architecture: str, seed: int = 0, **more: Any) -> Path:
    """Write a tiny model of one of ATTENTION or ARCHITECTURES and return `path`."""
    return write_model(path, {**ATTENTION, **ARCHITECTURES}[architecture](Size()), seed, **more)


def tiny_llama(path: Path, seed: int = 0) -> Path:
    """Write a tiny Llama and return `path`."""
    return tiny(path, "llama", seed)


def tiny_qwen2(path: Path, seed: int = 0) -> Path:
    """Write a tiny Qwen2 and return `path`."""
    return tiny(path, "qwen2", seed)


def invocation() -> tuple[int, ...]:
    """Return the tokens of ChatML's `<|im_start|>assistant` and the line's end, which begin an answer."""
    return token(START), token("assistant"), token("\n")
