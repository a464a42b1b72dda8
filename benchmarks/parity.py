"""Blocks against full prefill on the same questions: the first token's distribution, facts, and how grounded they are.

The KL is exact, over the whole vocabulary: with the three best passages, and with those of them that the product would
answer from once the model has read them, which the answers are written from. One engine judges both answers.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.engine import Written, find_model, parser, running, write
from benchmarks.questions import Sourced, development_questions, right, sample_questions
from benchmarks.verdict import say
from lorebook_api.asking import Sampling
from lorebook_daemon.answer.assemble import Sheet
from lorebook_daemon.answer.prompts import answer_prompt
from lorebook_daemon.answer.reading import chosen, read
from lorebook_daemon.answer.sentences import without_marks
from lorebook_daemon.answer.verify import verify
from lorebook_daemon.engine.process import EngineProcess
from lorebook_daemon.engine.protocol import ASKING, Prompt
from lorebook_daemon.engine.threads import physical_cores

ALL = 1 << 20
"""More than any vocabulary holds."""
EVERY = Sampling(top_logprobs=ALL)
TOKENS = 96

Logs = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """One question, read in both ways."""

    kl: float
    same_first: bool


@dataclass(frozen=True)
class Answered:
    """An answer to a question whose fact is known."""

    right: bool
    grounded: float

    def __str__(self) -> str:
        return f"{'right' if self.right else 'wrong'} {self.grounded:.2f}"


def first_token(written: Written) -> Logs:
    """Return the log-probabilities of all tokens at the first place, by number; none where nothing was written."""
    told = sorted((one.token, one.logprob) for scored in written.scored[:1] for one in scored.top)
    return np.array([logprob for _, logprob in told])


def divergence(full: Logs, blocks: Logs) -> Compared:
    """Return KL(full ‖ blocks)."""
    return Compared(float(np.sum(np.exp(full) * (full - blocks))), bool(full.argmax() == blocks.argmax()))


class Parity:
    """Two engines with one model: one keeps blocks, the other reads every prompt from start to end."""

    def __init__(self, blocks: EngineProcess, full: EngineProcess) -> None:
        """Compare these two."""
        self._blocks, self._full = blocks, full
        self.compared: list[Compared] = []
        """With all passages that were found."""
        self.as_asked: list[Compared] = []
        """With those that the product would answer from, once the model has read them."""
        self.by_blocks: list[Answered] = []
        self.by_full: list[Answered] = []

    async def ask(self, question: Sourced) -> None:
        """Read the question in both ways; where its fact is known, have it answered in both and judged."""
        everything = await self._compare(answer_prompt(question.text, question.passages))
        sheets = [Sheet(hit, passage, 0) for hit, passage in zip(question.hits, question.passages, strict=True)]
        used = chosen(await read(question.text, sheets, self._blocks, _nobody, ASKING))
        prompt = answer_prompt(question.text, tuple(sheet.text for sheet in used))
        asked = await self._compare(prompt)
        if not everything or not asked:
            print(f"nothing was written   {question.text[:70]}", flush=True)
            return
        self.compared.append(everything)
        self.as_asked.append(asked)
        told = await self._answered(question, prompt, used) if question.facts else ""
        kl = f"KL {everything.kl:.4f}, of {len(used)} as asked {asked.kl:.4f}"
        print(f"{kl}{told}   {question.text[:60]}", flush=True)

    async def _compare(self, prompt: Prompt) -> Compared | None:
        full, blocks = [await write(one, prompt, 1, sampling=EVERY) for one in (self._full, self._blocks)]
        return divergence(first_token(full), first_token(blocks)) if full.scored and blocks.scored else None

    async def _answered(self, question: Sourced, prompt: Prompt, used: Sequence[Sheet]) -> str:
        """Have the question answered in both ways; return what to print of it."""
        full, blocks = [(await write(one, prompt, TOKENS)).text for one in (self._full, self._blocks)]
        self.by_full.append(await self._judged(question, full, used))
        self.by_blocks.append(self.by_full[-1] if blocks == full else await self._judged(question, blocks, used))
        same = ", same text" if blocks == full else ""
        return f"   full {self.by_full[-1]}, blocks {self.by_blocks[-1]}{same}"

    async def _judged(self, question: Sourced, text: str, used: Sequence[Sheet]) -> Answered:
        verified = await verify(question.text, without_marks(text).strip(), used, self._blocks, ASKING)
        return Answered(right(question.facts, text), verified.grounded)

    def report(self) -> None:
        """Print the means and what was reached."""
        print()
        for name, compared in (("three passages", self.compared), ("as asked", self.as_asked)):
            same = sum(one.same_first for one in compared)
            print(
                f"{name}: median KL {statistics.median(c.kl for c in compared):.4f}, greedy first token the same in "
                f"{same} of {len(compared)}"
            )
            say(f"mean KL(full ‖ blocks), {name}", statistics.fmean(c.kl for c in compared), at_most=0.05)
        if not self.by_full:
            return
        counts = [sum(one.right for one in told) for told in (self.by_blocks, self.by_full)]
        total = len(self.by_full)
        print(f"facts right: blocks {counts[0]}, full prefill {counts[1]}, of {total}")
        say("facts right, blocks − full prefill, points", 100 * (counts[0] - counts[1]) / total, at_least=-2)
        means = [statistics.fmean(one.grounded for one in told) for told in (self.by_blocks, self.by_full)]
        print(f"grounded: blocks {means[0]:.3f}, full prefill {means[1]:.3f}")
        say("grounded, blocks − full prefill, points", 100 * (means[0] - means[1]), at_least=-2)


async def _nobody(event: str, body: Any) -> None:
    """Show no progress."""


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
        running(model, kv_reuse="prefix", threads=threads) as full,
    ):
        parity = Parity(blocks, full)
        for question in _questions(options):
            await parity.ask(question)
        parity.report()


if __name__ == "__main__":
    asyncio.run(main())
