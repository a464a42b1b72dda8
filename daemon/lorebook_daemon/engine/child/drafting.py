"""Prompt-lookup speculation: what is being said may stand in the prompt already, so guess that it goes on as there.

Guessed tokens are read together with the one that is sure, in one batch, and kept as far as the model says the same:
the text is what it would be without guesses, but for rounding where two tokens are almost equally likely.
Cf. "Prompt Lookup Decoding", A. Saxena, 2023; arXiv:2304.04487.
"""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST, _SHORTEST = 4, 2
"""Tokens at the end that must stand in the prompt too; more of them make a better guess."""

_CAREFUL, _BOLD = 3, 0.7
"""As long as fewer guesses than the latter share come true, so many tokens must stand there."""

MOST = 3
"""Tokens guessed at once: with the sure one that makes four, which take 1.9 times as long as one (2 cores, 1.5B)."""

_TRUST = 0.4
"""Share of guesses that must come true lately, else guessing pauses: three guesses cost 0.9 of a token's time."""

_PAUSE, _LONGEST_PAUSE = 16, 256
"""Tokens without guesses after too many were wrong; each time twice as many, until one comes true."""


class Drafter:
    """Guesses what follows, from the prompt and what was said; knows how often it was right lately."""

    def __init__(self, prompt: Sequence[int]) -> None:
        """Look up guesses in these tokens, and in those that are added."""
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._right = 0.5
        self._pause, self._next_pause = 0, _PAUSE
        self.drafted = self.accepted = 0
        for token in prompt:
            self.add(token)

    def add(self, token: int) -> None:
        """Add a token that was said."""
        self._tokens.append(token)
        # The places are noted one token late, so that the end does not find itself.
        at = len(self._tokens) - 1
        for n in range(_SHORTEST, _LONGEST + 1):
            if at >= n:
                self._ends[tuple(self._tokens[at - n : at])] = at
        self._pause -= 1

    def guess(self, most: int) -> list[int]:
        """Return up to `most` tokens that may come next, none where nothing like the end stands before it."""
        if self._pause > 0:
            return []
        shortest = _SHORTEST if self._right > _BOLD else _CAREFUL
        for n in range(_LONGEST, shortest - 1, -1):
            at = self._ends.get(tuple(self._tokens[-n:]))
            if at is not None:
                return self._tokens[at : at + min(most, MOST)]
        return []

    def learn(self, drafted: int, accepted: int) -> None:
        """Note how many of the guessed tokens came true."""
        self.drafted += drafted
        self.accepted += accepted
        if drafted:
            self._right += 0.2 * (accepted / drafted - self._right)
        if accepted:
            self._next_pause = _PAUSE
        if self._right < _TRUST:
            self._pause, self._right = self._next_pause, 0.5
            self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE)
