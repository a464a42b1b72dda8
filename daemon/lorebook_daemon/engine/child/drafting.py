"""Prompt-lookup speculation: what is being said may stand in the prompt already, so guess that it goes on as there.

Guessed tokens are read together with the one that is sure, in one batch, and kept as far as the model says the same:
the text is what it would be without guesses, but for rounding where two tokens are almost equally likely.
Cf. "Prompt Lookup Decoding", A. Saxena, 2023; arXiv:2304.04487.

How many tokens are guessed follows from what a batch costs: of the 1.5B model on two cores, 2 tokens take 1.7 times as
long as one, 4 take 2.8, 8 take 6.0, and 16, for which llama.cpp has a kernel, no more than 7.9. So a few guesses never
pay much, and many only where nearly all come true: where the text has followed the prompt for a while.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST = 15
"""Tokens guessed at once where the text follows the prompt; with the sure one, a whole tile of llama.cpp's kernel."""

_ALIKE, _FOLLOWS = 4, 8
"""Tokens at the end that must stand in the prompt too: for one guess, and for `MOST` of them."""

_TRUST, _DOUBT = 0.6, 3
"""With less than this share of the guesses come true lately, so many times as many tokens must be alike."""


class Drafter:
    """Guesses what follows, from the prompt and what was said; knows how often it was right lately."""

    def __init__(self, prompt: Sequence[int]) -> None:
        """Look up guesses in these tokens, and in those that are added."""
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._right = _TRUST
        self.drafted = self.accepted = 0
        for token in prompt:
            self.add(token)

    def add(self, token: int) -> None:
        """Add a token that was said."""
        self._tokens.append(token)
        # The places are noted one token late, so that the end does not find itself.
        at = len(self._tokens) - 1
        if at >= _ALIKE:
            self._ends[tuple(self._tokens[at - _ALIKE : at])] = at

    def guess(self, most: int) -> list[int]:
        """Return up to `most` tokens that may come next, none where nothing like the end stands before it."""
        at = self._ends.get(tuple(self._tokens[-_ALIKE:]))
        if at is None:
            return []
        doubt = 1 if self._right >= _TRUST else _DOUBT
        alike = self._alike(at, _FOLLOWS * doubt)
        count = MOST if alike >= _FOLLOWS * doubt else 1 if alike >= _ALIKE * doubt else 0
        return self._tokens[at : at + min(most, count)]

    def _alike(self, at: int, most: int) -> int:
        """Return how many tokens before `at` are those at the end."""
        n = 0
        while n < min(most, at) and self._tokens[at - 1 - n] == self._tokens[-1 - n]:
            n += 1
        return n

    def learn(self, drafted: int, accepted: int) -> None:
        """Note how many of the guessed tokens came true."""
        self.drafted += drafted
        self.accepted += accepted
        if drafted:
            self._right += 0.2 * (accepted / drafted - self._right)
