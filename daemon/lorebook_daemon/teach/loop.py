"""The training loop: batches in an order that the seed decides, AdamW, checkpoints from which it goes on bit by bit."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from lorebook_api.errors import LorebookError, StorageFailed
from lorebook_api.teaching import Metrics
from lorebook_daemon.teach.batches import filled
from lorebook_daemon.teach.methods import Objective
from lorebook_daemon.teach.model import CausalLM, trained
from lorebook_daemon.teach.processes import ALONE, Processes, share
from lorebook_daemon.teach.samples import Sample

_WARM_UP, _CLIP, _DECAY = 0.1, 1.0, 0.01
_LEARNT = 0.03
"""Mean loss of a pass (nats a token) below which there is nothing left to learn from these examples."""
_MEASURED, _MEASURING = 5, 0.1
"""Times that the held-out loss is measured on the way, the end among them; fewer where that is more than this share
of the work, but twice at the least."""
_STEP = 3
"""A token is learnt with so much work as that many are read with: on the way back each product is made once more, and
there is what is beside the products."""
_HELD_OUT_MOST = 64
_EXAMPLES_A_REHEARSAL = 4


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; together with the samples and the seed it decides every bit of the outcome."""

    epochs: int
    batch: int
    learning_rate: float
    seed: int
    checkpoint_steps: int = 10


@dataclass
class Progressed:
    """Where the loop is, and what it measured on the way: what a checkpoint holds beside the tensors."""

    step: int = 0
    loss: list[tuple[int, float]] = field(default_factory=list)
    """Step, and mean loss over its learnt tokens."""
    held_out: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    learnt: bool = False
    """Whether it ended before its last step: there was nothing left to learn."""
    accuracy: list[tuple[int, float]] = field(default_factory=list)
    """Step, and the share of what was kept back that the model gets right, where there is right and wrong."""


class Training:
    """One training of a model; `report` hears of every step, `measured` after the held-out loss was measured."""

    def __init__(
        self,
        model: CausalLM,
        objective: Objective,
        examples: Sequence[Sequence[Sample]],
        held_out: Sequence[Sample],
        schedule: Schedule,
        checkpoint: Path,
        report: Callable[[Metrics], None] = lambda metrics: None,
        measured: Callable[[int], None] = lambda step: None,
        among: Processes = ALONE,
        rehearsal: Sequence[Sample] = (),
    ) -> None:
        """Take the examples, each as its wordings, which take turns from pass to pass, and what goes with each batch.

        A batch of the schedule is shared out `among` the processes; the first alone measures, reports and saves.
        """
        self.schedule, self._objective, self._among = schedule, objective, among
        self._examples, self._held_out = examples, held_out[:_HELD_OUT_MOST]
        self._rehearsal = rehearsal
        self._checkpoint, self._report, self._measured = checkpoint, report, measured
        self._parameters = trained(model)
        self._optimizer = torch.optim.AdamW(self._parameters.values(), schedule.learning_rate, weight_decay=_DECAY)
        self.at = Progressed()
        self._kept = 0
        self.steps_a_pass = -(-len(examples) // schedule.batch)
        self.steps = self.steps_a_pass * schedule.epochs
        read = sum(sample.acting for sample in self._held_out)
        learnt = _STEP * schedule.epochs * sum(wordings[0].acting for wordings in examples)
        self._times = min(_MEASURED, max(2, int(_MEASURING * learnt / max(1, read))))

    def run(self) -> Progressed:
        """Train to the end, from the checkpoint where there is one; return what was measured.

        Raises LorebookError where the loss becomes no number, with the last good checkpoint kept, and StorageFailed.
        """
        self._restore()
        if not self.at.held_out:
            self._measure()
        while self.at.step < self.steps and not self.at.learnt:
            self._step()
        if not self.at.held_out or self.at.held_out[-1][0] != self.at.step:
            self._measure()
        self._save()
        return self.at

    def _step(self) -> None:
        began = time.monotonic()
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * rate(self.at.step, self.steps)
        mine, again = self._batch(self.at.step)
        losses = self._objective.losses([*mine, *again]) if mine or again else torch.zeros(0, requires_grad=True)
        loss = losses.sum() / self._among.total(losses.numel())
        taught = losses.detach()[: losses.numel() - sum(len(one.tokens) - one.learnt for one in again)]
        learnt = self._among.total(taught.numel())
        value = self._among.total(float(taught.sum() / learnt))
        if not math.isfinite(value):
            raise self._diverged(value)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._among.add(self._parameters.values())
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), _CLIP))
        if not math.isfinite(norm):
            raise self._diverged(norm)
        self._optimizer.step()
        self._advance(value, time.monotonic() - began, int(learnt))

    def batches(self) -> Iterator[Sequence[Sample]]:
        """Yield what this process computes at a time, from the very beginning to the end, whatever is done of it."""
        held_out = [] if self._among.rank else list(filled(self._held_out, self.schedule.batch))
        yield from held_out
        for step in range(self.steps):
            mine, again = self._batch(step)
            yield [*mine, *again]
        yield from held_out * self._times

    def _batch(self, step: int) -> tuple[Sequence[Sample], Sequence[Sample]]:
        """Return this process's share of a step: of the examples, and of what is rehearsed with them."""
        taught = samples_of(self._examples, self.schedule, step)
        return share(taught, self._among), share(self._rehearsed(step), self._among)

    def _rehearsed(self, step: int) -> list[Sample]:
        """Return what goes with a step's batch: one for four examples, none oftener than an example is seen."""
        a_step = max(1, self.schedule.batch // _EXAMPLES_A_REHEARSAL)
        count = min(self.steps * a_step, self.schedule.epochs * len(self._rehearsal))
        first, last = (n * count // self.steps for n in (step, step + 1))
        return [self._rehearsal[n % len(self._rehearsal)] for n in range(first, last)]

    def _advance(self, loss: float, seconds: float, tokens: int) -> None:
        self.at.step += 1
        self.at.seconds += seconds
        self.at.loss.append((self.at.step, loss))
        left = (self.steps - self.at.step) * self.at.seconds / self.at.step
        held_out = self.at.held_out[-1][1] if self.at.held_out else None
        right = self.at.accuracy[-1][1] if self.at.accuracy else None
        self._report(Metrics(self.at.step, self.steps, loss, held_out, tokens / max(seconds, 1e-9), left, right))
        if self.at.step % self.steps_a_pass == 0:
            passed = [value for _, value in self.at.loss[-self.steps_a_pass :]]
            self.at.learnt = sum(passed) / len(passed) < _LEARNT
        if self.at.step % -(-self.steps // self._times) == 0:
            self._measure()
        if self.at.step % self.schedule.checkpoint_steps == 0:
            self._save()

    def _measure(self) -> None:
        if self._among.rank:
            return
        if self._held_out:
            self.at.held_out.append((self.at.step, self.mean_loss(self._held_out)))
            right = self.right(self._held_out)
            if right:
                self.at.accuracy.append((self.at.step, sum(right) / len(right)))
        self._measured(self.at.step)

    def mean_loss(self, samples: Sequence[Sample]) -> float:
        """Return the mean loss of some samples, without learning from them."""
        with torch.no_grad():
            parts = [self._objective.losses(some) for some in filled(samples, self.schedule.batch)]
        return float(torch.cat(parts).mean())

    def right(self, samples: Sequence[Sample]) -> list[bool]:
        """Return which of some samples the model gets right; empty where nothing of them is right or wrong."""
        parts = [self._objective.right(some) for some in filled(samples, self.schedule.batch)]
        return [one for part in parts for one in part]

    # -- checkpoints

    def _save(self) -> None:
        """Replace the checkpoint whole, so that a kill at any moment leaves one that can be gone on from."""
        if self._among.rank:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self._parameters.values()):
            raise self._diverged(math.nan)
        state = {
            "trained": {name: parameter.data for name, parameter in self._parameters.items()},
            "optimizer": self._optimizer.state_dict(),
            "at": asdict(self.at),
            "schedule": asdict(self.schedule),
        }
        fresh = self._checkpoint.with_suffix(".new")
        try:
            torch.save(state, fresh)
            fresh.replace(self._checkpoint)
            self._kept = self.at.step
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError where the disk is full
            told = f"The checkpoint {self._checkpoint} cannot be written ({error})."
            raise StorageFailed(told, "Free some space, then: lorebook jobs resume") from error

    def _restore(self) -> None:
        kept = self._checkpoint.is_file() and not self._among.rank
        state: dict[str, Any] | None = torch.load(self._checkpoint, weights_only=True) if kept else None
        state = self._among.same(state)
        if state is None:
            return
        if state["schedule"] != asdict(self.schedule) or state["trained"].keys() != self._parameters.keys():
            raise LorebookError("The checkpoint is of another training.", "Start again: lorebook teach …")
        with torch.no_grad():
            for name, values in state["trained"].items():
                self._parameters[name].copy_(values)
        self._optimizer.load_state_dict(state["optimizer"])
        at = state["at"]
        self._kept = at["step"]
        self.at = Progressed(
            at["step"], list(at["loss"]), list(at["held_out"]), at["seconds"], at["learnt"], list(at["accuracy"])
        )

    def _diverged(self, value: float) -> LorebookError:
        return LorebookError(
            f"The loss became {value} at step {self.at.step + 1}; the checkpoint of step {self._kept} is kept.",
            f"Learn more slowly: --learning-rate {self.schedule.learning_rate / 4:g}",
        )


def samples_of(examples: Sequence[Sequence[Sample]], schedule: Schedule, step: int) -> list[Sample]:
    """Return the samples of a step (from 0 on): the pass decides their order, and which wording each is seen in."""
    epoch, within = divmod(step, -(-len(examples) // schedule.batch))
    order = _order(len(examples), f"{schedule.seed} {epoch}")
    chosen = order[within * schedule.batch : (within + 1) * schedule.batch]
    return [examples[n][(epoch + n) % len(examples[n])] for n in chosen]


@lru_cache(maxsize=2)
def _order(count: int, seed: str) -> Sequence[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order


def rate(step: int, steps: int) -> float:
    """Return the share (0 to 1) of the highest learning rate at a step: up in a tenth of the way, then down to 0."""
    warm = max(1, round(steps * _WARM_UP))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)
