"""A job, laid out: its examples as tokens, and what training them will take. Needs no torch; runs in the child."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lorebook_api.errors import BadRequest
from lorebook_api.teaching import Preview, PreviewExample, Segment
from lorebook_daemon.teach.estimate import Estimate, estimate
from lorebook_daemon.teach.examples import Example
from lorebook_daemon.teach.job import METHODS, TrainJob
from lorebook_daemon.teach.material import classes, suited
from lorebook_daemon.teach.rehearsal import rehearsal
from lorebook_daemon.teach.samples import Sample, Teaching, Tokens
from lorebook_daemon.teach.weights import Shape, read_shape

PREVIEWED = 200
"""Examples that a preview shows at the most; all are counted."""


@dataclass(frozen=True)
class Plan:
    """Everything that training needs but the weights."""

    shape: Shape
    teaching: Teaching
    invocation: tuple[int, ...]
    """Empty for a method whose adapter always acts."""
    examples: tuple[Example, ...]
    """All of them; what did not fit is marked as left out."""
    variants: tuple[tuple[Sample, ...], ...]
    """Each example that is trained on, in its wordings."""
    held_out: tuple[Sample, ...]
    estimate: Estimate
    classes: tuple[str, ...] = ()
    """What texts are told apart into, where that is what is learnt."""
    rehearsal: tuple[Sample, ...] = ()
    """What is learnt beside the batches; nothing where no answers are learnt, or by vectors alone."""


def lay_out(job: TrainJob, examples: Sequence[Example]) -> Plan:
    """Return the plan of a job; raises BadRequest where no example fits, Unusable for a base that cannot be taught."""
    shape = read_shape(Path(job.path))
    traits = METHODS[job.method]
    if traits.trains == "biases" and shape.architecture != "qwen2":
        told = f"A model of the family {shape.architecture} has no biases, and {job.method} trains nothing else."
        raise BadRequest(told, "Take --method lora, or --base with a Qwen2.5.")
    examples = suited(examples, traits.learns)
    labels = classes(examples) if traits.learns == "labels" else ()
    soft = tuple(range(shape.vocabulary, shape.vocabulary + job.settings.vectors)) if traits.trains == "vectors" else ()
    teaching = Teaching(Tokens(Path(job.path)), job.template, job.systems, traits.activated, labels, soft)
    _check_turns(examples, job.method)
    most = min(job.settings.max_tokens, shape.context or job.settings.max_tokens)
    measured = [(example, teaching.variants(example)) for example in examples]
    fitting = [(_fitted(example, variants, most), tuple(variants)) for example, variants in measured]
    learnt = tuple(variants for example, variants in fitting if not example.left_out and not example.held_out)
    if not learnt:
        raise BadRequest(
            f"Every example is longer than {most} tokens.", "Allow more: --max-tokens 4096. See them: --preview"
        )
    rehearses = traits.learns == "answers" and traits.trains != "vectors"
    return Plan(
        shape=shape,
        teaching=teaching,
        invocation=teaching.tokens.invocation if traits.activated else (),
        examples=tuple(example for example, _ in fitting),
        variants=learnt,
        held_out=tuple(variants[0] for example, variants in fitting if example.held_out and not example.left_out),
        estimate=estimate(shape, learnt, job.settings, traits),
        classes=labels,
        rehearsal=rehearsal(teaching, most) if rehearses else (),
    )


def _check_turns(examples: Sequence[Example], method: str) -> None:
    if METHODS[method].activated and any(not example.turns and not example.left_out for example in examples):
        raise BadRequest(
            f"There are plain texts among the examples, and {method} learns answers only.", "Take --method lora."
        )


def _fitted(example: Example, variants: Sequence[Sample], most: int) -> Example:
    longest = max(sample.length for sample in variants)
    if example.left_out or longest <= most:
        return example
    return replace(example, left_out=f"too long: {longest} tokens, above {most}")


def preview(job: TrainJob, plan: Plan) -> Preview:
    """Return the table of a plan: of the first examples text, tokens and which of them are learnt; all are counted."""
    shown = [_shown(plan.teaching, example) for example in plan.examples[:PREVIEWED]]
    wanted = plan.estimate
    left_out = sum(bool(example.left_out) for example in plan.examples)
    held_out = sum(example.held_out and not example.left_out for example in plan.examples)
    return Preview(
        examples=tuple(shown),
        base=job.base,
        name=job.name,
        epochs=wanted.epochs,
        steps=wanted.steps,
        trained=wanted.trained,
        seconds=wanted.seconds,
        memory_mb=wanted.memory_mb,
        taught=len(plan.examples) - held_out - left_out,
        held_out=held_out,
        left_out=left_out,
    )


def _shown(teaching: Teaching, example: Example) -> PreviewExample:
    sample = teaching.variants(example)[0]
    prompt, answer = sample.tokens[: sample.learnt], sample.tokens[sample.learnt :]
    text = teaching.tokens.text
    learnt = example.label if teaching.classes else text(answer)
    worse = sample.rejected[sample.learnt :]
    segments = (
        Segment(text(prompt), len(prompt), False),
        Segment(learnt, len(answer), True),
        Segment(text(worse), len(worse), False),
    )
    return PreviewExample(
        origin=example.origin.place,
        segments=tuple(segment for segment in segments if segment.tokens),
        tokens=sample.length,
        held_out=example.held_out,
        left_out=example.left_out,
        id=example.id,
    )
