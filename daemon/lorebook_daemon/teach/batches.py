"""Samples as tensors: what the base has read once is not read again, and only what is learnt costs logits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from lorebook_daemon.teach.below import Below
from lorebook_daemon.teach.model import CausalLM, Entering, Packed, Past, Span, causal, lowest_trained
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.tokenloss import token_losses

_ROW = 512
"""Tokens of a row in which something is read without a gradient: in longer ones products are no quicker."""
_BEGINNING = 8
"""Prompts that begin with the same so many tokens, as those under one system prompt do, are read in one row."""
_SHARED_LEAST = 4
"""Tokens at the beginning of all samples of a batch from which on they are computed once for all."""


_Prompt = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """Samples one after another, from where the adapter acts; what is before is in the past of each."""

    inputs: Tensor
    """[1, tokens]"""
    positions: Tensor
    look: Packed
    """Its last spans are the samples, one each."""
    shared: int
    """Tokens that all samples begin with and that are in the row once, at its beginning."""


@dataclass(frozen=True)
class Batch(Row):
    """A row with what is learnt of it."""

    rows: Tensor
    """Of each learnt token: the number of its sample."""
    columns: Tensor
    """Of each learnt token: where in the row it is predicted."""
    targets: Tensor
    entering: Entering | None = None
    """What enters the first trained layer, where that is known."""


@contextmanager
def adapters_off(model: CausalLM) -> Iterator[None]:
    """Let the base model alone act for the block."""
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(enabled=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)


class Prefixes:
    """What the base model reads before the adapter acts: computed once for each prompt, while there is room.

    Kept in 16 bits, as the engine keeps it. What the layers below the first trained one make of samples is in `Below`.
    """

    def __init__(self, model: CausalLM, most_bytes: int) -> None:
        """Keep at most `most_bytes`; what goes beyond is computed again each time."""
        self._model = model
        self._most = most_bytes
        self._kept: dict[_Prompt, Past] = {}
        self._rows: dict[_Prompt, list[_Prompt]] = {}
        self._bytes = 0
        self._below: Below | None = None
        self._lowest = 0

    def foresee(self, samples: Iterable[Sample]) -> None:
        """Have the prompts of samples that are to come read several in a row, while there is room to keep them.

        What is in a row is decided here, by their order alone, so that a resumed training computes the very same; it is
        computed when the first of its prompts is wanted. What they begin with, the system prompt, is read once a row.
        """
        shape, filling = self._model.shape, dict[_Prompt, list[_Prompt]]()
        for sample in samples:
            prompt = sample.tokens[: sample.acts]
            if not prompt or prompt in self._rows:
                continue
            self._bytes += 4 * len(prompt) * shape.layers * shape.kv_heads * shape.head
            if self._bytes > self._most:
                return
            row = filling.get(prompt[:_BEGINNING], [])
            if not row or sum(map(len, row)) + len(prompt) > _ROW:
                row = filling[prompt[:_BEGINNING]] = []
            row.append(prompt)
            self._rows[prompt] = row

    def keep_below(self, batches: Iterable[Sequence[Sample]], most_bytes: int) -> None:
        """Have what enters the first trained layer kept from now on, for what the `batches` of a training hold again.

        Nothing happens where the lowest layer is trained.
        """
        self._lowest = lowest_trained(self._model)
        if self._lowest:
            self._below = Below(batches, self._read_below, 4 * self._model.shape.width, most_bytes)

    def entering(self, samples: Sequence[Sample], shared: int) -> Entering | None:
        """Return what enters the first trained layer in a row of samples; None where nothing of it is kept."""
        apart = self._below.of(samples) if self._below else None
        if apart is None:
            return None
        parts = [apart[0][:, :shared], *(states[:, shared:] for states in apart)]
        return Entering(self._lowest, torch.cat(parts, dim=1))

    def _read_below(self, samples: Sequence[Sample]) -> list[Tensor]:
        read = row(samples, self)
        states = self._model.up_to(self._lowest, read.inputs, read.positions, read.look).states
        spans = read.look.spans[-len(samples) :]
        return [torch.cat((states[:, : one.shared], states[:, one.start : one.end]), dim=1) for one in spans]

    def of(self, tokens: _Prompt) -> Past:
        """Return the keys and values [1, kv heads, tokens, head] of a prompt's beginning.

        One that was not foreseen is read alone, so that it does not depend on what else is in a batch.
        """
        if tokens in self._kept:
            return self._kept[tokens]
        together = self._rows.get(tokens)
        if together:
            self._kept.update(zip(together, self._read(together), strict=True))
            return self._kept[tokens]
        (past,) = self._read([tokens])
        size = sum(k.nbytes + v.nbytes for k, v in past)
        if self._bytes + size <= self._most:
            self._kept[tokens] = past
            self._bytes += size
        return past

    def _read(self, prompts: Sequence[_Prompt]) -> list[Past]:
        """Return the keys and values of prompts, which the base reads in one row."""
        read = row([Sample((*prompt, 0), len(prompt)) for prompt in prompts], self)  # the last token is not read
        with torch.no_grad(), adapters_off(self._model):
            own: Past = self._model(read.inputs, read.positions, read.look)[1]
        narrow = [(k.half(), v.half()) for k, v in own]
        return [
            [(_part(k, read.shared, span), _part(v, read.shared, span)) for k, v in narrow]
            for span in read.look.spans[-len(prompts) :]
        ]


def _part(states: Tensor, shared: int, span: Span) -> Tensor:
    """Return what of a row's keys or values is a sample's, in memory of its own."""
    return torch.cat((states[:, :, :shared], states[:, :, span.start : span.end]), dim=2)


def filled(samples: Sequence[Sample], least: int = 1) -> Iterator[Sequence[Sample]]:
    """Yield samples in rows to be computed without a gradient: of `least` samples, or more while these are short."""
    start = tokens = 0
    for n, sample in enumerate(samples):
        if n - start >= least and tokens + sample.acting > _ROW:
            yield samples[start:n]
            start, tokens = n, 0
        tokens += sample.acting
    if start < len(samples):
        yield samples[start:]


def row(samples: Sequence[Sample], prefixes: Prefixes) -> Row:
    """Return samples in one row. What they all begin with is in it once, with its gradient, where an adapter acts."""
    shared = _shared(samples)
    inputs, positions = list(samples[0].tokens[:shared]), list(range(shared))
    spans = [Span(0, shared, causal(shared)[0, 0])] if shared else []
    for sample in samples:
        first, start = max(shared, sample.acts), len(inputs)
        own = sample.tokens[first:-1]
        past = prefixes.of(sample.tokens[: sample.acts]) if sample.acts else None
        spans.append(Span(start, start + len(own), _mask(first, len(own)), shared, past))
        inputs += own
        positions += range(first, first + len(own))
    return Row(torch.tensor([inputs]), torch.tensor([positions]), Packed(tuple(spans)), shared)


def collate(samples: Sequence[Sample], prefixes: Prefixes) -> Batch:
    """Return samples as one batch: a row, and where in it which tokens are learnt."""
    packed = row(samples, prefixes)
    places: list[tuple[int, int, int]] = []
    spans = packed.look.spans[-len(samples) :]
    for number, (sample, span) in enumerate(zip(samples, spans, strict=True)):
        before = span.start - 1 - max(packed.shared, sample.acts)
        places += [(number, before + n, sample.tokens[n]) for n in range(sample.learnt, len(sample.tokens))]
    rows, columns, targets = torch.tensor(places).T
    entering = prefixes.entering(samples, packed.shared)
    return Batch(packed.inputs, packed.positions, packed.look, packed.shared, rows, columns, targets, entering)


def _shared(samples: Sequence[Sample]) -> int:
    """Return how many tokens all samples begin with that none of them predicts from, 0 where that is not worth it."""
    if len(samples) == 1 or any(sample.acts for sample in samples):
        return 0
    most = min(sample.learnt - 1 for sample in samples)
    first, *others = (sample.tokens[:most] for sample in samples)
    same = next((n for n in range(most) if any(other[n] != first[n] for other in others)), most)
    return same if same >= _SHARED_LEAST else 0


def _mask(before: int, own: int) -> Tensor:
    """Return the mask [own, before + own] by which each token looks at all before the sample's part and its own."""
    return torch.cat((torch.ones(own, before, dtype=torch.bool), causal(own)[0, 0]), dim=1)


def states(model: CausalLM, batch: Batch) -> Tensor:
    """Return the last hidden state [learnt, width] from which each learnt token is predicted."""
    hidden: Tensor = model(batch.inputs, batch.positions, batch.look, entering=batch.entering)[0]
    return hidden[0, batch.columns]


def losses(model: CausalLM, batch: Batch) -> Tensor:
    """Return the loss (nats) of each learnt token."""
    return token_losses(model, states(model, batch), batch.targets)


class NextToken:
    """The usual objective: each learnt token is predicted from those before it."""

    def __init__(self, model: CausalLM, prefixes: Prefixes) -> None:
        self._model = model
        self.prefixes = prefixes

    def losses(self, samples: Sequence[Sample]) -> Tensor:
        """Return the loss (nats) of each learnt token, sample after sample."""
        return losses(self._model, collate(samples, self.prefixes))

    def right(self, samples: Sequence[Sample]) -> list[bool]:
        """Return nothing: an answer may be said in many ways."""
        return []
