"""One training over several processes or machines, as torchrun starts them.

Each takes its share of every batch; gradients are summed and divided by all that was learnt from, so that the outcome
is that of one process with all of the batch, but for rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

T = TypeVar("T")


class Processes(Protocol):
    """The processes of a training, seen from one of them."""

    rank: int
    """Its number; 0 measures, tells and writes for all."""
    size: int

    def total(self, number: float) -> float:
        """Return the sum of all processes' numbers."""
        ...

    def add(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every parameter, in every process, the sum of all processes' gradients."""
        ...

    def same(self, value: Any) -> Any:
        """Return the value of the process 0."""
        ...


class Alone:
    """A single process."""

    rank, size = 0, 1

    def total(self, number: float) -> float:
        """Return the number."""
        return number

    def add(self, parameters: Iterable[nn.Parameter]) -> None:
        """Leave the gradients as they are."""

    def same(self, value: Any) -> Any:
        """Return the value."""
        return value


ALONE = Alone()


class Together:
    """One of several processes, connected by gloo."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def total(self, number: float) -> float:
        """Return the sum of all processes' numbers."""
        sums = torch.tensor([number], dtype=torch.float64)
        dist.all_reduce(sums)
        return float(sums)

    def add(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every parameter the sum of all gradients, in one message."""
        wanted = list(parameters)
        flat = torch.cat([_gradient(parameter).flatten() for parameter in wanted])
        dist.all_reduce(flat)
        for parameter, part in zip(wanted, flat.split([one.numel() for one in wanted]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def same(self, value: Any) -> Any:
        """Return the value of the process 0."""
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def processes() -> Iterator[Processes]:
    """Join the other processes of this training for the block, where there are any."""
    if not launched():
        yield ALONE
        return
    dist.init_process_group("gloo")
    try:
        yield Together()
    finally:
        dist.destroy_process_group()


def share(samples: Sequence[T], among: Processes) -> Sequence[T]:
    """Return this process's part of a batch, which may be empty."""
    return samples[among.rank :: among.size]


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
