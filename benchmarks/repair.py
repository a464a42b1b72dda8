"""What it would bring to compute a few tokens of each passage's block anew: exact KL over the whole vocabulary.

The tokens at a block's start were read without what now stands before them (EPIC, arXiv:2410.15332), those at its end
hold what the model has gathered of it. Runs in this process, with llama.cpp's own calls.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.engine import find_model, parser
from benchmarks.questions import Sourced, development_questions, sample_questions
from lorebook_api.home import find_home
from lorebook_daemon.answer.prompts import answer_prompt
from lorebook_daemon.engine.child.chat import ChatTemplate, PromptTokens
from lorebook_daemon.engine.child.llama import BATCH, Llama
from lorebook_daemon.engine.child.work import Piece
from lorebook_daemon.engine.probe import Probe
from lorebook_daemon.engine.threads import physical_cores
from lorebook_daemon.settings import Settings

Logs = npt.NDArray[np.float64]

STEP = 100
"""Tokens at a time in a second full prefill, which shows how much of a KL is rounding."""
HEAD, SCRATCH, ANSWER = 0, 1, 2
VARIANTS = ((0, 0), (8, 0), (16, 0), (24, 0), (32, 0), (64, 0), (0, 16), (16, 16))
"""Tokens that are computed anew at the start and at the end of each block but the first, which needs none."""


@dataclass
class Row:
    """What one variant came to, a figure a question."""

    kl: list[float] = field(default_factory=list)
    same_first: list[bool] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def add(self, full: Logs, other: Logs, ms: float) -> None:
        """Compare two distributions of the first token."""
        self.kl.append(float(np.sum(np.exp(full) * (full - other))))
        self.same_first.append(bool(full.argmax() == other.argmax()))
        self.ms.append(ms)

    def __str__(self) -> str:
        return (
            f"KL mean {statistics.fmean(self.kl):.4f}, median {statistics.median(self.kl):.4f}, most {max(self.kl):.3f}"
            f"   same first token {sum(self.same_first)} of {len(self.kl)}   {statistics.median(self.ms):6.0f} ms"
        )


class Bench:
    """One context in which a prompt is read in different ways."""

    def __init__(self, llama: Llama) -> None:
        """Read with `llama`."""
        self._llama = llama

    def full(self, tokens: PromptTokens, step: int = BATCH) -> tuple[Logs, float]:
        """Read the prompt from start to end; return the first token's log-probabilities, and milliseconds."""
        self._llama.clear()
        start = time.perf_counter()
        row = self._read(ANSWER, 0, tokens.flat, step)
        return self._logs(row), (time.perf_counter() - start) * 1000

    def blocks(self, tokens: PromptTokens) -> list[bytes]:
        """Read each passage by itself after the head; return their KV."""
        self._llama.clear()
        self._read(HEAD, 0, tokens.head)
        states = []
        for passage in tokens.passages:
            self._llama.copy(HEAD, SCRATCH)
            self._read(SCRATCH, len(tokens.head), passage)
            self._llama.remove(SCRATCH, 0, len(tokens.head))
            states.append(self._llama.save(SCRATCH))
            self._llama.remove(SCRATCH)
        return states

    def assembled(self, tokens: PromptTokens, states: Sequence[bytes], first: int, last: int) -> tuple[Logs, float]:
        """Put blocks together, computing the `first` and the `last` tokens of each but the first one anew."""
        self._llama.remove(ANSWER)
        start = time.perf_counter()
        self._llama.copy(HEAD, ANSWER)
        at = len(tokens.head)
        for i, (passage, state) in enumerate(zip(tokens.passages, states, strict=True)):
            self._place(tokens, passage, state, at, (first, last) if i else (0, 0))
            at += len(passage)
        row = self._read(ANSWER, at, tokens.tail)
        return self._logs(row), (time.perf_counter() - start) * 1000

    def _place(
        self, tokens: PromptTokens, passage: Sequence[int], state: bytes, at: int, anew: tuple[int, int]
    ) -> None:
        first = min(anew[0], len(passage))
        kept = max(first, len(passage) - anew[1])
        if first:
            self._read(ANSWER, at, passage[:first])
        if kept > first:
            begin = len(tokens.head)
            self._llama.restore(SCRATCH, state)
            self._llama.remove(SCRATCH, begin, begin + first)
            self._llama.remove(SCRATCH, begin + kept)
            self._llama.shift(SCRATCH, at - begin)
            self._llama.copy(SCRATCH, ANSWER)
            self._llama.remove(SCRATCH)
        if kept < len(passage):
            self._read(ANSWER, at + kept, passage[kept:])

    def _read(self, sequence: int, position: int, tokens: Sequence[int], step: int = BATCH) -> int:
        """Decode tokens, `step` at a time; return the row of the last one's logits."""
        row = 0
        for at in range(0, len(tokens), step):
            ((row,),) = self._llama.decode([Piece(sequence, position + at, tokens[at : at + step], logits=1)])
        return row

    def _logs(self, row: int) -> Logs:
        logits = self._llama.logits(row).astype(np.float64)
        logits -= logits.max()
        logs: Logs = logits - np.log(np.exp(logits).sum())
        return logs


def compare(questions: Sequence[Sourced], llama: Llama) -> None:
    """Print a line a question, then a line a variant."""
    words = llama.vocabulary
    template = ChatTemplate(words.chat_template, words.bos, words.eos)
    bench = Bench(llama)
    rounding, rows = Row(), {variant: Row() for variant in VARIANTS}
    for question in questions:
        tokens = template.tokens(answer_prompt(question.text, question.passages), words.tokenize)
        full, cold_ms = bench.full(tokens)
        rounding.add(full, *bench.full(tokens, STEP))
        states = bench.blocks(tokens)
        for variant, row in rows.items():
            row.add(full, *bench.assembled(tokens, states, *variant))
        told = "  ".join(f"{row.kl[-1]:.3f}" for row in rows.values())
        print(f"{len(tokens.flat):5} tokens, cold {cold_ms:6.0f} ms   {told}   {question.text[:60]}", flush=True)
    print("\nanew at the start, at the end of each block")
    for (first, last), row in rows.items():
        print(f"{first:5} {last:5}   {row}")
    print(f"rounding alone: full prefill in steps of {STEP} tokens\n              {rounding}")


def main() -> None:
    """Read the questions' prompts in every way."""
    arguments = parser(__doc__)
    arguments.add_argument("--development", type=int, default=40, help="questions about code beside them")
    options = arguments.parse_args()
    model = find_model(options.model)
    safe = Probe(find_home()).fast_settings_crash
    llama = Llama(model.path, Settings().n_ctx, physical_cores(), extra_bufts=not safe)
    questions = [*sample_questions(), *development_questions(options.development)]
    print(model.name)
    compare(questions[:: len(questions) // 4] if options.quick else questions, llama)


if __name__ == "__main__":
    main()
