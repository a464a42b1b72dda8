"""A training from its plan to the adapter's files: load, train, measure, judge, write. Runs in the training child."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lorebook_api.errors import StorageFailed, Unusable
from lorebook_api.indexing import Progress
from lorebook_api.teaching import Metrics, Said
from lorebook_daemon.teach.batches import Prefixes, collate, filled, states
from lorebook_daemon.teach.card import Figures, card
from lorebook_daemon.teach.estimate import below_bytes, prefix_bytes
from lorebook_daemon.teach.examples import Turn
from lorebook_daemon.teach.gate import general_check, judge
from lorebook_daemon.teach.job import METHODS, TrainJob
from lorebook_daemon.teach.loop import Schedule, Training
from lorebook_daemon.teach.methods import TRAINERS
from lorebook_daemon.teach.model import CausalLM, Packable, Past, causal, trained
from lorebook_daemon.teach.plan import Plan
from lorebook_daemon.teach.precision import multiplies_bfloat16
from lorebook_daemon.teach.processes import Processes, processes
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.weights import Shape, read_weights

_SAID_TOKENS = 24
"""Tokens that the model being taught writes when it shows what it now says."""


@dataclass(frozen=True)
class Tell:
    """Where a training tells of itself."""

    progress: Callable[[Progress], None]
    metrics: Callable[[Metrics], None]
    said: Callable[[Said], None]


def load(
    path: Path,
    shape: Shape,
    dtype: torch.dtype = torch.float32,
    *,
    packed: bool = False,
    breathe: Callable[[], None] = lambda: None,
) -> CausalLM:
    """Return the model in a GGUF file; its products are of `dtype`, its matrices too, or as the file packs them."""
    with torch.device("meta"):
        model = CausalLM(shape, breathe)
    model.dtype = dtype
    vectors = {}
    for name, weight in read_weights(path, shape, dtype, packed=packed):
        layer = model.get_submodule(name.rpartition(".")[0])
        if isinstance(layer, Packable) and name.endswith(".weight"):
            layer.keep(weight)
        else:
            vectors[name] = weight.values
    strange = model.load_state_dict(vectors, strict=False, assign=True).unexpected_keys
    absent = [name for name, parameter in model.named_parameters() if parameter.is_meta]
    if absent or strange:
        what = f"lacks {absent[0]}" if absent else f"has {strange[0]}, which the trainer does not know"
        raise Unusable(f"{path.name} {what}.", "Teach another: --base NAME")
    model.requires_grad_(requires_grad=False)
    return model


def teach(folder: Path, job: TrainJob, plan: Plan, tell: Tell, breathe: Callable[[], None]) -> dict[str, Any]:
    """Train, and leave the adapter's files and `card.json` in the folder; return the card.

    A checkpoint in the folder is gone on from. Of several processes (see `processes`) the first does all but its share
    of the training alone; the others return an empty card. Raises LorebookError; what was reached stays in the
    checkpoint.
    """
    with processes() as among:
        torch.set_num_threads(max(1, job.threads // among.size))
        torch.use_deterministic_algorithms(mode=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads what it did not write
        tell.progress(Progress("loading the model to teach"))
        dtype = torch.bfloat16 if multiplies_bfloat16() else torch.float32
        model = load(Path(job.path), plan.shape, dtype, packed=plan.estimate.packed, breathe=breathe)
        model.thrifty = plan.estimate.thrifty
        return _taught(folder, model, job, plan, tell, among)


def _taught(folder: Path, model: CausalLM, job: TrainJob, plan: Plan, tell: Tell, among: Processes) -> dict[str, Any]:
    prefixes = Prefixes(model, prefix_bytes())
    tell.progress(Progress("checking what it knows"))
    before = [] if among.rank else _known(model, plan, prefixes)
    method = TRAINERS[job.method]
    training = Training(
        model,
        method.prepare(model, job, plan, prefixes),
        plan.variants,
        plan.held_out,
        schedule(job, plan, among.size),
        folder / "checkpoint.pt",
        tell.metrics,
        lambda step: _say(model, plan, prefixes, step, tell),
        among,
        plan.rehearsal,
    )
    prefixes.foresee(sample for batch in training.batches() for sample in batch)
    prefixes.keep_below(training.batches(), below_bytes())
    at = training.run()
    if among.rank:
        return {}
    tell.progress(Progress("checking what it still knows"))
    after = _known(model, plan, prefixes)
    held = [loss for _, loss in at.held_out]
    first, last = (held[0], held[-1]) if held else (None, None)
    figures = Figures(first, last, sum(before), sum(after), len(after))
    verdict = judge(first, last, before, after)
    method.write(folder, model, job, plan)
    numbers = sum(parameter.numel() for parameter in trained(model).values())
    told = card(job, plan.examples, training.schedule, at, figures, verdict, plan.invocation, numbers)
    _write_card(folder / "card.json", told)
    return told


def schedule(job: TrainJob, plan: Plan, size: int = 1) -> Schedule:
    """Return the schedule that a job's settings mean for so many processes, each of which takes a batch."""
    rate = job.settings.learning_rate or METHODS[job.method].learning_rate
    return Schedule(plan.estimate.epochs, job.settings.batch * size, rate, job.settings.seed)


def _write_card(path: Path, told: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(told, indent=1), encoding="utf-8")
    except OSError as error:
        hint = "Free some space, then: lorebook jobs resume"
        raise StorageFailed(f"The card cannot be written ({error.strerror or error}).", hint) from error


# -- what it knows, before and after


def _known(model: CausalLM, plan: Plan, prefixes: Prefixes) -> list[bool]:
    """Return which questions of the general check are answered with the right letter: the likeliest of the four.

    A classifier answers none, and is asked none.
    """
    if plan.classes:
        return []
    letters = [plan.teaching.tokens.vocabulary.tokenize(letter, False)[0] for letter in "ABCD"]
    samples = []
    for choice in general_check():
        prompt, acts = _asked(model, plan, (Turn("user", choice.question),))
        samples.append(Sample((*prompt, letters[choice.answer]), len(prompt), acts))
    prefixes.foresee(samples)
    right: list[bool] = []
    for some in filled(samples):
        batch = collate(some, prefixes)
        with torch.no_grad():
            likeliest = model.logits(states(model, batch))[:, letters].argmax(-1)
        wanted = [letters.index(sample.tokens[-1]) for sample in some]
        right += [bool(one) for one in likeliest == torch.tensor(wanted)]
    return right


def _asked(model: CausalLM, plan: Plan, turns: Sequence[Turn]) -> tuple[tuple[int, ...], int]:
    """Return a prompt, after the soft one where the model has one by now, and from which token on the adapter acts."""
    prompt, acts = plan.teaching.prompt(turns)
    return ((*plan.teaching.soft, *prompt) if model.soft is not None else prompt), acts


# -- what it says


def _say(model: CausalLM, plan: Plan, prefixes: Prefixes, step: int, tell: Tell) -> None:
    """Tell what the model says to one of the examples, another one each time; at the start that is known."""
    asked = [example for example in plan.examples if example.held_out and not example.left_out and example.turns]
    asked = asked or [example for example in plan.examples if not example.left_out and example.turns]
    if not step or not asked:
        return
    example = asked[(step * 7) % len(asked)]
    prompt, acts = _asked(model, plan, example.turns)
    words = plan.teaching.tokens
    guess = words.answer(example.answer)
    tokens = write(model, prompt, acts, prefixes, words.end, _SAID_TOKENS, guess)
    tell.said(Said(example.question, words.text(tokens), example.answer, step))


def write(
    model: CausalLM,
    prompt: Sequence[int],
    acts: int,
    prefixes: Prefixes,
    end: int,
    most: int,
    guess: Sequence[int] = (),
) -> tuple[int, ...]:
    """Return what the model writes greedily after a prompt, up to `end` or `most` tokens.

    A `guess` of it changes nothing but the time: as far as it is right, it is read at once (arXiv:2211.17192).
    """
    written: list[int] = []
    past = prefixes.of(tuple(prompt[:acts])) if acts else None
    fresh, start = list(prompt[acts:]), acts
    while len(written) < most:
        ahead = list(guess[len(written) : most]) if written == list(guess[: len(written)]) else []
        said, own = _said_after(model, [*fresh, *ahead], len(fresh), start, past)
        right = next((n for n, token in enumerate(ahead) if token != said[n]), len(ahead))
        for token in said[: right + 1]:
            if token == end or len(written) == most:
                return tuple(written)
            written.append(token)
        past = _longer(past, own, len(fresh) + right)
        start, fresh = start + len(fresh) + right, [written[-1]]
    return tuple(written)


def _said_after(
    model: CausalLM, tokens: Sequence[int], known: int, start: int, past: Past | None
) -> tuple[list[int], Past]:
    """Return the likeliest token after the last `known` one and after each that follows, and keys and values of all."""
    mask = torch.ones(1, 1, len(tokens), start + len(tokens), dtype=torch.bool)
    mask[:, :, :, start:] = causal(len(tokens))
    positions = torch.arange(start, start + len(tokens))[None]
    with torch.no_grad():
        hidden, own = model(torch.tensor([tokens]), positions, mask, past)
        return model.logits(hidden[0, known - 1 :]).argmax(-1).tolist(), own


def _longer(past: Past | None, own: Past, tokens: int) -> Past:
    """Return keys and values with the first of those that are new."""
    new = [(k[:, :, :tokens], v[:, :, :tokens]) for k, v in own]
    if past is None:
        return new
    pairs = zip(past, new, strict=True)
    return [(torch.cat((k, more_k), 2), torch.cat((v, more_v), 2)) for (k, v), (more_k, more_v) in pairs]
