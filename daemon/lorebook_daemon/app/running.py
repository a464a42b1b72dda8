"""The streams in hand, by request id, so that they can be taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from lorebook_api.errors import Conflict, LorebookError


class Running:
    """Knows the task behind each stream, and why one was ended from outside."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reasons: dict[str, LorebookError] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    @contextmanager
    def entered(self, request_id: str, task: asyncio.Task[None]) -> Iterator[None]:
        """Keep `task` under `request_id` for the block; raises Conflict where that id is in hand already."""
        if request_id in self._tasks:
            raise Conflict(f"Request {request_id!r} is in hand already.", "Give each request an id of its own.")
        self._tasks[request_id] = task
        try:
            yield
        finally:
            del self._tasks[request_id]
            self._reasons.pop(request_id, None)

    def end(self, request_id: str, reason: LorebookError) -> bool:
        """Cancel a request and note what its caller shall be told; False where no such request is in hand."""
        task = self._tasks.get(request_id)
        if task is None:
            return False
        self._reasons.setdefault(request_id, reason)
        task.cancel()
        return True

    def end_all(self, reason: LorebookError) -> None:
        """Cancel every request, each told the same."""
        for request_id in list(self._tasks):
            self.end(request_id, reason)

    def reason(self, request_id: str) -> LorebookError | None:
        """Return why the request was ended from outside, None where it was not."""
        return self._reasons.get(request_id)
