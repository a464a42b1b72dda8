"""The works that an engine does, step by step: say, judge, score, read ahead."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from lorebook_api.asking import Sampling, Usage
from lorebook_api.errors import BadRequest, TooLong
from lorebook_daemon.engine.child.adapters import AdapterSet
from lorebook_daemon.engine.child.chat import PromptTokens
from lorebook_daemon.engine.child.continuing import Continuing
from lorebook_daemon.engine.child.drafting import MOST, Drafter
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.reader import Reader, Reading
from lorebook_daemon.engine.child.sampler import Sampler, sampler, scored
from lorebook_daemon.engine.child.textstream import TextStream
from lorebook_daemon.engine.child.work import NoSlot, Wait, Work
from lorebook_daemon.engine.protocol import NO, YES, Continued, Finished, Scored, Token

_CLOSE = 0.35
"""Where the best two tokens' logits differ by less, guesses do not count, and the token before is read alone again:
several tokens at once are multiplied in another order, which changed that difference by up to 0.32 (1.5B, Q4_K_M)."""

Show = Callable[[Token], None]


@dataclass
class _Answer:
    """An answer while it is written."""

    sampling: Sampling
    most: int
    show: Show
    stream: TextStream
    drafter: Drafter | None
    marks: Set[int] = frozenset()
    """Control tokens that are shown."""
    said: list[int] = field(default_factory=list)
    held: list[Scored] = field(default_factory=list)
    reason: Literal["", "stop", "length"] = ""
    cached: int | None = None
    read_at: float = 0.0

    def tell(self, text: str) -> None:
        """Show text with the log-probabilities that belong to it."""
        if text:
            self.show(Token(text, tuple(self.held)))
            self.held.clear()


class Tasks:
    """Makes works over one model."""

    def __init__(self, llama: Llama, reader: Reader, *, speculation: bool) -> None:
        """Read with `reader`; guess what the prompt holds already where `speculation` is on."""
        self._llama, self._reader = llama, reader
        self._speculation = speculation and llama.can_shift
        self._continuing = Continuing(llama, reader)
        self._yes, self._no = self._first_tokens(YES), self._first_tokens(NO)

    def _first_tokens(self, words: Sequence[str]) -> list[int]:
        tokens = (self._llama.vocabulary.tokenize(word, special=False) for word in words)
        return sorted({one[0] for one in tokens if one})

    def check(self, prompt: PromptTokens, said: int = 0) -> None:
        """Raise TooLong or BadRequest for a prompt that can never be read with `said` tokens after it."""
        size = len(prompt.flat)
        if not size:
            raise BadRequest("the prompt is empty.", "Send some text.")
        size += said
        if size >= self._llama.n_ctx:
            raise TooLong(
                f"the prompt takes {size} tokens, and the context holds {self._llama.n_ctx}.",
                "Ask a shorter question, or set a larger context: LOREBOOK_N_CTX.",
            )

    # -- generate

    def generate(
        self,
        prompt: PromptTokens,
        adapters: AdapterSet,
        sampling: Sampling,
        max_tokens: int,
        show: Show,
        marks: Set[int] = frozenset(),
    ) -> Work[Finished]:
        """Write an answer; what can be shown goes to `show`, of control tokens only the `marks`."""
        begun = time.perf_counter()
        most = min(max_tokens, self._llama.n_ctx - len(prompt.flat))
        if most <= 0:
            return Finished("length", Usage(len(prompt.flat), 0, 0), 0.0, 0.0)
        drafter = Drafter(prompt.flat) if self._speculation and not sampling.grammar else None
        answer = _Answer(sampling, most, show, TextStream(sampling.stop), drafter, marks)
        with sampler(sampling, self._llama) as draw:
            while not answer.reason:
                try:
                    yield from self._write(prompt, adapters, answer, draw)
                except NoSlot:
                    yield Wait.room
        answer.tell(answer.stream.finish())
        if answer.held:
            show(Token("", tuple(answer.held)))
        return Finished(
            answer.reason or "length",
            Usage(len(prompt.flat), answer.cached or 0, len(answer.said)),
            (answer.read_at - begun) * 1000,
            (time.perf_counter() - answer.read_at) * 1000,
            drafter.drafted if drafter else 0,
            drafter.accepted if drafter else 0,
        )

    def _write(self, prompt: PromptTokens, adapters: AdapterSet, answer: _Answer, draw: Sampler) -> Work[None]:
        """Write until the end is reached; left early, it can be called again and goes on where it was."""
        with self._reader.lane() as taken:
            reading = yield from self._reader.read(prompt, adapters, taken, answer.said)
            if answer.cached is None:
                answer.cached, answer.read_at = reading.cached, time.perf_counter()
            rows, guesses = reading.rows, list[int]()
            while True:
                used, close = 0, False
                for row, guess in zip(rows, [*guesses, None], strict=True):
                    close = bool(guesses) and answer.sampling.temperature <= 0 and self._llama.margin(row) < _CLOSE
                    if close:
                        break
                    used += 1
                    token = self._say(answer, draw, row)
                    if answer.reason:
                        return
                    if token != guess:
                        break
                accepted = used if close else used - 1
                self._reader.cut(reading, len(guesses) + 1 - used)
                if answer.drafter:
                    answer.drafter.learn(len(guesses), accepted)
                guesses = [] if close else self._guess(answer, reading)
                rows = yield from self._reader.extend(reading, [answer.said[-1], *guesses])

    def _guess(self, answer: _Answer, reading: Reading) -> list[int]:
        room = min(MOST, answer.most - len(answer.said) - 1, self._llama.n_ctx - reading.lane.end - 2)
        return answer.drafter.guess(room) if answer.drafter and room > 0 else []

    def _say(self, answer: _Answer, draw: Sampler, row: int) -> int:
        """Draw one token and show what it makes of the text; sets the answer's reason where it ends."""
        vocabulary, sampling = self._llama.vocabulary, answer.sampling
        token = draw.draw(row)
        if vocabulary.ends(token):
            answer.reason = "stop"
            return token
        if sampling.top_logprobs is not None:
            answer.held.append(scored(vocabulary, self._llama.logits(row), token, sampling.top_logprobs))
        answer.said.append(token)
        if answer.drafter:
            answer.drafter.add(token)
        answer.tell(answer.stream.feed(vocabulary.piece(token, special=token in answer.marks)))
        if answer.stream.stopped:
            answer.reason = "stop"
        elif len(answer.said) >= answer.most:
            answer.reason = "length"
        return token

    # -- judge, score, read ahead

    def judge(self, prompt: PromptTokens, adapters: AdapterSet) -> Work[float]:
        """Return logit(Yes) - logit(No) of the first token of the answer, each summed over its spellings."""
        reading = yield from self._read(prompt, adapters)
        logits = self._llama.logits(reading.rows[0])
        yes, no = (math.log(float(np.exp(logits[ids].astype(np.float64)).sum())) for ids in (self._yes, self._no))
        return yes - no

    def _read(self, prompt: PromptTokens, adapters: AdapterSet) -> Work[Reading]:
        while True:
            try:
                with self._reader.lane() as taken:
                    return (yield from self._reader.read(prompt, adapters, taken))
            except NoSlot:
                yield Wait.room

    def likelihood(self, prompt: PromptTokens, adapters: AdapterSet, said: Sequence[int]) -> Work[float]:
        """Return the mean log-probability of the tokens `said` after the prompt; 0.0 where there are none."""
        if not said:
            return 0.0
        (continued,) = yield from self.continuations(prompt, adapters, [said])
        return continued.logprob / len(said)

    def continuations(
        self, prompt: PromptTokens, adapters: AdapterSet, texts: Sequence[Sequence[int]]
    ) -> Work[list[Continued]]:
        """Return how likely each of the texts is after the prompt."""
        together = [texts] if self._llama.can_shift else [[text] for text in texts]
        done: list[Continued] = []
        while together:
            try:
                with self._reader.lane() as taken:
                    reading = yield from self._reader.read(prompt, adapters, taken, whole=False)
                    done += yield from self._continuing.follow(reading, together[0])
            except NoSlot:
                yield Wait.room
            else:
                del together[0]
        return done

    def hidden(self, prompt: PromptTokens, adapters: AdapterSet) -> Work[list[float]]:
        """Return the hidden state, after the last norm, of the last of the prompt's two tokens or more."""
        before, last = replace(prompt, tail=prompt.tail[:-1]), prompt.tail[-1:]
        if not before.tail:
            raise BadRequest("the text is empty.", "Send some text.")
        while True:
            try:
                with self._reader.lane() as taken:
                    reading = yield from self._reader.read(before, adapters, taken)
                    rows = yield from self._reader.extend(reading, last, hidden=True)
                    return [float(number) for number in self._llama.hidden(rows[0])]
            except NoSlot:
                yield Wait.room

    def score(self, prompt: PromptTokens, adapters: AdapterSet, top: int) -> Work[list[Scored]]:
        """Return each token with its log-probability after those before it."""
        while True:
            try:
                return (yield from self._score(prompt, adapters, top))
            except NoSlot:
                yield Wait.room

    def _score(self, prompt: PromptTokens, adapters: AdapterSet, top: int) -> Work[list[Scored]]:
        vocabulary, flat = self._llama.vocabulary, prompt.flat
        first = flat[len(prompt.soft)]
        scores = [Scored(first, vocabulary.piece(first, special=True), 0.0)]
        with self._reader.lane() as taken:
            for segment in self._reader.whole(prompt, adapters, taken):
                rows = yield from self._reader.follow(taken[-1], segment)
                following = flat[segment.start + 1 : segment.end + 1]
                scores += [
                    scored(vocabulary, self._llama.logits(row), token, top)
                    for row, token in zip(rows, following, strict=False)
                ]
        return scores

    def warm(self, prompt: PromptTokens, adapters: AdapterSet) -> Work[int]:
        """Read the prompt's passages ahead; where there is no room beside the requests in hand, give up."""
        try:
            with self._reader.lane() as taken:
                return (yield from self._reader.warm(prompt, adapters, taken))
        except NoSlot:
            return 0
