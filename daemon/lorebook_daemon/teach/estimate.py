"""What a training will take, before it begins: how many steps, about how long, and how much memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from lorebook_api.errors import BadRequest
from lorebook_api.teaching import TrainSettings
from lorebook_daemon.teach.job import TARGETS, Traits
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.weights import Shape

_SEEN = 240
"""Times that examples are seen at the least, all together: a dozen of them are learnt in twenty passes."""
_EPOCHS = 2
_FIXED_MB = 500
"""Memory of Python, torch and PEFT by themselves."""
_SPEED_SIZE = 768
_REACHED = 0.4
"""Share of the speed of one large product that a training step reaches."""
_PREFIX_SHARE, _PREFIX_MOST = 0.1, 2 * 2**30
"""Memory for what the base has read before the adapter acts: a share of the machine's, and bytes at the most."""
_PLAIN_SHARE = 0.5
"""Weights are kept unpacked, which is quicker, where the training takes no more of the free memory then. How they are
kept changes no number, so one that is gone on with may keep them otherwise."""


@dataclass(frozen=True)
class Estimate:
    """Steps and numbers are exact, the others are not."""

    epochs: int
    steps: int
    trained: int
    seconds: float
    memory_mb: float
    thrifty: bool
    """Whether layers are computed twice to save memory."""
    packed: bool
    """Whether weights are kept as the file packs them, and unpacked at each use; else as they are multiplied."""

    @property
    def told(self) -> str:
        """What it will take, in words."""
        time_wanted = f"{self.seconds:.0f} seconds" if self.seconds < 90 else f"{self.seconds / 60:.0f} minutes"
        takes = f"about {time_wanted} and {self.memory_mb / 1024:.1f} GB"
        return f"{self.steps} steps in {self.epochs} passes, {self.trained:,} numbers are learnt, {takes}"


def estimate(shape: Shape, examples: Sequence[Sequence[Sample]], settings: TrainSettings, traits: Traits) -> Estimate:
    """Return what training on `examples` (each as its wordings) would take on this machine now."""
    epochs = settings.epochs or max(_EPOCHS, -(-_SEEN // len(examples)))
    steps = -(-len(examples) // settings.batch) * epochs
    read_once = sum(sample.acts for variants in examples for sample in variants[:epochs])
    longest = max(sample.acting for variants in examples for sample in variants)
    free = psutil.virtual_memory().available
    lowest = lowest_trained(shape, settings, traits)
    opened = shape.layers - lowest
    activations = _activations(shape, opened, settings.batch * longest)
    thrifty = activations > 0.25 * free or activations > 2 * 2**30
    kept = activations if not thrifty else activations / opened + 8 * shape.width * opened * longest
    learnt = trained_numbers(shape, settings, traits)
    again = _again(examples, epochs) if lowest else 0
    # Beside each number that is trained itself there are its gradient and Adam's two moments, in 32 bits.
    beside = _FIXED_MB * 2**20 + 12 * learnt + kept + _prefixes(shape, read_once) + _below(shape, again)
    packed = 4 * shape.parameters + beside > _PLAIN_SHARE * free
    work = 2 * shape.parameters * (read_once + _read(shape, examples, epochs, lowest, 3 if thrifty else 2))
    return Estimate(
        epochs=epochs,
        steps=steps,
        trained=learnt,
        seconds=work / (_speed() * _REACHED),
        memory_mb=(beside + (shape.size + 4 * learnt if packed else 4 * shape.parameters)) / 2**20,
        thrifty=thrifty,
        packed=packed,
    )


def check_memory(wanted: Estimate) -> None:
    """Raise BadRequest where the training would not fit into the memory that is free."""
    free = psutil.virtual_memory().available / 2**20
    if wanted.memory_mb > free:
        raise BadRequest(
            f"This training takes about {wanted.memory_mb / 1024:.1f} GB of memory; {free / 1024:.1f} GB are free.",
            "Close other programs, or take a smaller --base, --batch 1 or --max-tokens 256.",
        )


def trained_numbers(shape: Shape, settings: TrainSettings, traits: Traits) -> int:
    """Return how many numbers are trained: an adapter's, or the model's own."""
    if traits.trains != "factors":
        return _opened_numbers(shape, settings, traits)
    inner, narrow = shape.heads * shape.head, shape.kv_heads * shape.head
    sizes = {
        "q": shape.width + inner,
        "k": shape.width + narrow,
        "v": shape.width + narrow,
        "o": inner + shape.width,
        **dict.fromkeys(("gate", "up", "down"), shape.width + shape.feed_forward),
    }
    layers = min(settings.layers or shape.layers, shape.layers)
    return settings.rank * layers * sum(sizes[target] for target in TARGETS if target in settings.targets)


def _opened_numbers(shape: Shape, settings: TrainSettings, traits: Traits) -> int:
    if traits.trains == "vectors":
        return settings.vectors * shape.width
    if traits.trains == "biases":
        return shape.layers * shape.head * (shape.heads + 2 * shape.kv_heads)
    if traits.trains == "layers":
        return min(settings.layers or traits.layers, shape.layers) * shape.layer
    return shape.parameters


def lowest_trained(shape: Shape, settings: TrainSettings, traits: Traits) -> int:
    """Return the first layer in which something is trained."""
    if traits.trains not in ("factors", "layers"):
        return 0
    return max(0, shape.layers - (settings.layers or traits.layers or shape.layers))


def _read(shape: Shape, examples: Sequence[Sequence[Sample]], epochs: int, lowest: int, work: int) -> float:
    """Return how many tokens are read by all layers for as much: `work` times forward where something is trained.

    What is below and seen again is read once, as far as it is kept.
    """
    acting = epochs * sum(variants[0].acting for variants in examples)
    once = sum(sample.acting for variants in examples for sample in variants[:epochs])
    again = _again(examples, epochs)
    spared = max(0, acting - once) * (_below(shape, again) / (4.0 * shape.width * again) if again else 0)
    return (lowest * (acting - spared) + (shape.layers - lowest) * acting * work) / shape.layers


def _again(examples: Sequence[Sequence[Sample]], epochs: int) -> int:
    """Return how many acting tokens there are of what is seen in more than one pass."""
    return sum(sample.acting for variants in examples for sample in variants[: max(0, epochs - len(variants))])


def _activations(shape: Shape, layers: int, tokens: int) -> float:
    """Return about how many bytes a step keeps for its gradient."""
    return 4.0 * tokens * layers * (10 * shape.width + 4 * shape.feed_forward)


def prefix_bytes() -> int:
    """Return how much memory may hold what the base has read before the adapter acts."""
    return int(min(_PREFIX_MOST, _PREFIX_SHARE * psutil.virtual_memory().total))


def below_bytes() -> int:
    """Return how much memory may hold what enters the first trained layer; as much again, for neither needs much room.

    It doesn't depend on what is free now: which samples are kept must be the same after a kill.
    """
    return prefix_bytes()


def _below(shape: Shape, tokens: int) -> float:
    return min(below_bytes(), 4.0 * tokens * shape.width)


def _prefixes(shape: Shape, tokens: int) -> float:
    return min(prefix_bytes(), 4.0 * tokens * shape.layers * shape.kv_heads * shape.head)


def _speed() -> float:
    """Return how many multiplications and additions a second this machine does now in a large product."""
    square = np.ones((_SPEED_SIZE, _SPEED_SIZE), dtype=np.float32)
    square @ square  # the first one sets the library up
    began = time.perf_counter()
    square @ square
    return float(2 * _SPEED_SIZE**3 / max(time.perf_counter() - began, 1e-6))
