"""From tokens' bytes to text that can be shown: whole characters only, and never a part of a stop word."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Turns bytes into text as it comes, holding back what may still become a stop word."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        """Watch for the stop words, of which empty ones are ignored."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = tuple(word for word in stop if word)
        self._held = ""
        self.stopped = False
        """Whether a stop word came; what follows it is dropped."""

    def feed(self, data: bytes) -> str:
        """Return the text that is safe to show now."""
        return self._take(self._decoder.decode(data))

    def finish(self) -> str:
        """Return what was held back, for there is no more to come."""
        text = self._take(self._decoder.decode(b"", final=True)) + ("" if self.stopped else self._held)
        self._held = ""
        return text

    def _take(self, text: str) -> str:
        if self.stopped:
            return ""
        self._held += text
        found = [at for word in self._stop if (at := self._held.find(word)) >= 0]
        if found:
            self.stopped = True
            return self._held[: min(found)]
        keep = max((self._overlap(word) for word in self._stop), default=0)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def _overlap(self, word: str) -> int:
        """Return how many characters at the end of the held text may begin `word`."""
        longest = min(len(word) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(word[:n])), 0)
