"""How likely texts are after a prompt: what several of them begin with is read once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.reader import Reader, Reading
from lorebook_daemon.engine.child.work import Work
from lorebook_daemon.engine.protocol import Continued

_AT_ONCE = 16
"""Tokens of a text that are read at once: the texts of several prompts then fit one batch beside each other."""

Logprobs = npt.NDArray[np.float32]


@dataclass
class _Text:
    """A text with what is known of it: the sum so far, and whether each token was the likeliest."""

    tokens: Sequence[int]
    place: int
    total: float = 0.0
    greedy: bool = True

    def add(self, at: int, logprobs: Logprobs) -> None:
        """Count the token `at`, if there is one, by the log-probabilities after those before it."""
        if at < len(self.tokens):
            self.total += float(logprobs[self.tokens[at]])
            self.greedy = self.greedy and int(logprobs.argmax()) == self.tokens[at]


class Continuing:
    """Reads texts after a prompt that was read."""

    def __init__(self, llama: Llama, reader: Reader) -> None:
        """Read with `reader`."""
        self._llama, self._reader = llama, reader

    def follow(self, reading: Reading, texts: Sequence[Sequence[int]]) -> Work[list[Continued]]:
        """Return how likely each text is; all but the tokens that they share are taken back from the lane again.

        Of a model whose state cannot be cut, one text at a time: then a lane serves no second one.
        """
        asked = [_Text(tokens, place) for place, tokens in enumerate(texts)]
        yield from self._branch(reading, asked, 0, self._logprobs(reading.rows[0]))
        return [Continued(one.total, len(one.tokens), one.greedy) for one in asked]

    def _branch(self, reading: Reading, texts: Sequence[_Text], at: int, after: Logprobs) -> Work[None]:
        """Count texts that share their first `at` tokens from there on; `after` are the log-probabilities there."""
        for text in texts:
            text.add(at, after)
        longer = sorted((text for text in texts if len(text.tokens) > at + 1), key=lambda text: list(text.tokens))
        for _, group in groupby(longer, key=lambda text: text.tokens[at]):
            sharing = list(group)
            run = _shared(sharing, at)
            last = yield from self._read(reading, sharing, at, run)
            yield from self._branch(reading, sharing, at + len(run), last)
            if self._llama.can_shift:
                self._reader.cut(reading, len(run))

    def _read(self, reading: Reading, sharing: Sequence[_Text], at: int, run: Sequence[int]) -> Work[Logprobs]:
        """Read what texts share, counting the tokens within; return the log-probabilities after the last."""
        last = np.zeros(0, np.float32)
        for start in range(0, len(run), _AT_ONCE):
            rows = yield from self._reader.extend(reading, run[start : start + _AT_ONCE])
            for place, row in enumerate(rows, at + start + 1):
                last = self._logprobs(row)
                if place < at + len(run):
                    for text in sharing:
                        text.add(place, last)
        return last

    def _logprobs(self, row: int) -> Logprobs:
        """Return log-probabilities [vocabulary's size]: in 32 bits but for their sum, which is some 1e-6 nats off."""
        logits = self._llama.logits(row)
        relative = logits - logits.max()
        return relative - np.float32(math.log(np.exp(relative).sum(dtype=np.float64)))  # type: ignore[no-any-return]


def _shared(texts: Sequence[_Text], at: int) -> Sequence[int]:
    """Return the tokens from `at` on that texts in order share, less the last of the shortest."""
    first, last = texts[0].tokens, texts[-1].tokens  # what these share stands in all between them
    most = min(len(text.tokens) for text in texts) - 1
    end = next((n for n in range(at, most) if first[n] != last[n]), most)
    return first[at:end]
