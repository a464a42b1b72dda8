"""What it would bring to compute a few tokens of each passage's block anew: exact KL over the whole vocabulary.

The tokens at a block's start were read without what now stands before them (EPIC, arXiv:2410.15332), those at its end
hold what the model has gathered of it. Or those whose keys and values are furthest from a full prefill's are read anew
(CacheBlend, arXiv:2405.16444): picked here with the full prefill in hand, which CacheBlend guesses from the first
layers, so that its KL is what such a repair reaches at best. llama.cpp reads no token before others of its sequence;
they are read in order into a second sequence, which takes the rest over from the first: the same numbers, but a batch
for each run of tokens, so that the time is no figure of CacheBlend's. Runs in this process, with llama.cpp's own calls.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

from benchmarks.engine import find_model, parser
from benchmarks.kvstate import KvState, Numbers, read_state
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
HEAD, SCRATCH, ANSWER, REPAIRED = 0, 1, 2, 3
VARIANTS = ((0, 0), (8, 0), (16, 0), (24, 0), (32, 0), (64, 0), (0, 16), (16, 16))
"""Tokens that are computed anew at the start and at the end of each block but the first, which needs none."""
SHARES = (0.05, 0.15)
"""Of the tokens of each block but the first, those furthest from a full prefill that are computed anew."""


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

    def state(self) -> KvState:
        """Return the keys and values of the prompt that was read last."""
        return read_state(self._llama.save(ANSWER))

    def repaired(self, tokens: PromptTokens, anew: Set[int]) -> tuple[Logs, float]:
        """Compute the tokens at some places of the passages that were put together last anew."""
        self._llama.remove(REPAIRED)
        start = time.perf_counter()
        flat, begin = tokens.flat, len(tokens.head)
        end = len(flat) - len(tokens.tail)
        self._llama.copy(HEAD, REPAIRED)
        for reads, run in groupby(range(begin, end), lambda place: place in anew):
            places = list(run)
            if reads:
                self._read(REPAIRED, places[0], flat[places[0] : places[-1] + 1])
            else:
                self._take_over(places[0], places[-1] + 1)
        row = self._read(REPAIRED, end, tokens.tail)
        return self._logs(row), (time.perf_counter() - start) * 1000

    def _take_over(self, start: int, end: int) -> None:
        """Let REPAIRED share the places from `start` to `end` of ANSWER."""
        self._llama.copy(ANSWER, SCRATCH, end)
        self._llama.remove(SCRATCH, 0, start)
        self._llama.copy(SCRATCH, REPAIRED)
        self._llama.remove(SCRATCH)

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


def deviation(full: KvState, blocks: KvState) -> Numbers:
    """Return how far each token's keys and values are from those of a full prefill, over all layers."""
    pairs = [*zip(full.keys, blocks.keys, strict=True), *zip(full.values, blocks.values, strict=True)]
    return sum(
        (np.square(other - one).sum(1) / np.square(one).sum(1).mean() for one, other in pairs), np.zeros(1, "f4")
    )


def furthest(tokens: PromptTokens, far: Numbers, share: float) -> set[int]:
    """Return the places of the tokens of each passage but the first that are furthest from a full prefill."""
    places, at = set[int](), len(tokens.head)
    for n, passage in enumerate(tokens.passages):
        order = np.argsort(-far[at : at + len(passage)])
        places |= {at + int(i) for i in order[: math.ceil(share * len(passage)) if n else 0]}
        at += len(passage)
    return places


def compare(questions: Sequence[Sourced], llama: Llama) -> None:
    """Print a line a question, then a line a variant."""
    words = llama.vocabulary
    template = ChatTemplate(words.chat_template, words.bos, words.eos)
    bench = Bench(llama)
    rounding, rows, shares = Row(), {variant: Row() for variant in VARIANTS}, {share: Row() for share in SHARES}
    for question in questions:
        tokens = template.tokens(answer_prompt(question.text, question.passages), words.tokenize)
        full, cold_ms = bench.full(tokens)
        right = bench.state()
        rounding.add(full, *bench.full(tokens, STEP))
        states = bench.blocks(tokens)
        for variant, row in rows.items():
            row.add(full, *bench.assembled(tokens, states, *variant))
        bench.assembled(tokens, states, 0, 0)
        far = deviation(right, bench.state())
        for share, row in shares.items():
            row.add(full, *bench.repaired(tokens, furthest(tokens, far, share)))
        told = "  ".join(f"{row.kl[-1]:.3f}" for row in (*rows.values(), *shares.values()))
        print(f"{len(tokens.flat):5} tokens, cold {cold_ms:6.0f} ms   {told}   {question.text[:60]}", flush=True)
    print("\nanew at the start, at the end of each block")
    for (first, last), row in rows.items():
        print(f"{first:5} {last:5}   {row}")
    print("anew where keys and values are furthest, in each block")
    for share, row in shares.items():
        print(f"{share:11.0%}   {row}")
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
