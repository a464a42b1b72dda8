"""Blocks against full prefill on the same questions: the first token's distribution, facts, and how grounded they are.

The KL is over the likeliest tokens of both, with all others as one bin, which can only lower it; how much probability
that bin held is printed. Both answers are judged by the same engine.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.engine import Written, find_model, parser, running, write
from benchmarks.questions import Sourced, development_questions, right, sample_questions
from benchmarks.verdict import say
from lorebook_api.schema import Sampling
from lorebook_daemon.answer.assemble import Sheet
from lorebook_daemon.answer.prompts import answer_prompt
from lorebook_daemon.answer.sentences import without_marks
from lorebook_daemon.answer.verify import verify
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import ASKING
from lorebook_daemon.engine.threads import physical_cores

TOP = 1000
"""Tokens whose probability is told."""
TOKENS = 96

Logprobs = Mapping[int, float]


@dataclass(frozen=True)
class Compared:
    """One question, read in both ways."""

    kl: float
    rest: float
    """Probability that full prefill gives to the tokens outside the common ones."""
    same_first: bool


@dataclass(frozen=True)
class Answered:
    """An answer to a question whose fact is known."""

    right: bool
    grounded: float

    def __str__(self) -> str:
        return f"{'right' if self.right else 'wrong'} {self.grounded:.2f}"


def first_token(written: Written) -> Logprobs:
    """Return the log-probabilities of the first token's likeliest alternatives; none where nothing was written."""
    scored = written.scored[0] if written.scored else None
    return {one.token: one.logprob for one in scored.top} if scored else {}


def divergence(full: Logprobs, blocks: Logprobs) -> Compared:
    """Return KL(full ‖ blocks) over the tokens that both tell, and the others as one."""
    common = full.keys() & blocks.keys()
    kl = sum(math.exp(full[token]) * (full[token] - blocks[token]) for token in common)
    rest, other = (max(1e-9, 1 - sum(math.exp(told[token]) for token in common)) for told in (full, blocks))
    first, second = (max(told, key=lambda token: told[token]) for told in (full, blocks))
    return Compared(kl + rest * math.log(rest / other), rest, first == second)


class Parity:
    """Two engines with one model: one keeps blocks, the other nothing."""

    def __init__(self, blocks: EngineProcess, full: EngineProcess) -> None:
        """Compare these two."""
        self._blocks, self._full = blocks, full
        self.compared: list[Compared] = []
        self.by_blocks: list[Answered] = []
        self.by_full: list[Answered] = []

    async def ask(self, question: Sourced) -> None:
        """Read the question in both ways; where its fact is known, have it answered in both and judged."""
        prompt = answer_prompt(question.text, question.passages)
        tokens = TOKENS if question.facts else 1
        sampling = Sampling(top_logprobs=TOP)
        full, blocks = [await write(engine, prompt, tokens, sampling=sampling) for engine in (self._full, self._blocks)]
        one, other = first_token(full), first_token(blocks)
        if not one or not other:
            print(f"nothing was written   {question.text[:70]}")
            return
        self.compared.append(divergence(one, other))
        told = ""
        if question.facts:
            self.by_full.append(await self._judged(question, full.text))
            same = blocks.text == full.text
            self.by_blocks.append(self.by_full[-1] if same else await self._judged(question, blocks.text))
            told = f"   full {self.by_full[-1]}, blocks {self.by_blocks[-1]}{', same text' if same else ''}"
        size = full.end.usage.prompt_tokens
        print(f"{size:5} tokens, KL {self.compared[-1].kl:.4f}{told}   {question.text[:70]}", flush=True)

    async def _judged(self, question: Sourced, text: str) -> Answered:
        sheets = [Sheet(hit, passage, 0) for hit, passage in zip(question.hits, question.passages, strict=True)]
        verified = await verify(question.text, without_marks(text).strip(), sheets, self._blocks, (), ASKING)
        return Answered(right(question.facts, text), verified.grounded)

    def report(self) -> None:
        """Print the means and what was reached."""
        print()
        same = sum(one.same_first for one in self.compared)
        print(f"greedy first token the same: {same} of {len(self.compared)}")
        print(f"probability outside the common tokens: {max(one.rest for one in self.compared):.1e} at most")
        say("mean KL(full ‖ blocks) of the first token", statistics.fmean(c.kl for c in self.compared), at_most=0.05)
        if not self.by_full:
            return
        counts = [sum(one.right for one in told) for told in (self.by_blocks, self.by_full)]
        total = len(self.by_full)
        print(f"facts right: blocks {counts[0]}, full prefill {counts[1]}, of {total}")
        say("facts right, blocks − full prefill, points", 100 * (counts[0] - counts[1]) / total, at_least=-2)
        means = [statistics.fmean(one.grounded for one in told) for told in (self.by_blocks, self.by_full)]
        print(f"grounded: blocks {means[0]:.3f}, full prefill {means[1]:.3f}")
        say("grounded, blocks − full prefill, points", 100 * (means[0] - means[1]), at_least=-2)


def _questions(options: argparse.Namespace) -> Sequence[Sourced]:
    questions = [*sample_questions(), *development_questions(0 if options.quick else options.development)]
    return questions[::5] if options.quick else questions


async def main() -> None:
    """Ask everything in both ways."""
    arguments = parser(__doc__)
    arguments.add_argument("--development", type=int, default=40, help="questions about code beside them")
    options = arguments.parse_args()
    model, threads = find_model(options.model), physical_cores()
    print(model.name)
    async with (
        running(model, kv_reuse="blocks", threads=threads) as blocks,
        running(model, kv_reuse="off", threads=threads) as full,
    ):
        parity = Parity(blocks, full)
        for question in _questions(options):
            await parity.ask(question)
        parity.report()


if __name__ == "__main__":
    asyncio.run(main())
