"""Types commands of `lorebook eval` while a daemon made of fakes is served, and what they measure with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from fake_app import TOKEN, Bench
from lorebook_api.discovery import Daemon
from lorebook_api.home import Home
from lorebook_api.version import VERSION
from lorebook_daemon.app.lifecycle import announced
from lorebook_daemon.cli.commands import lorebook

QUESTIONS = (
    {"id": "r", "question": "what was the rate", "answer": ["42"], "path": "a.txt", "start_line": 1, "end_line": 1},
    {"id": "n", "question": "which rows were dropped", "answer": ["null"], "path": "b.txt"},
    {"id": "u", "question": "who was it", "answerable": False},
    {"id": "r", "question": "twice"},
    {"id": "x", "question": "where", "path": "a.txt", "start_line": "first"},
)


class Typing:
    """Types commands while a daemon made of fakes is served."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def __call__(self, *words: object, typed: str = "") -> Result:
        return self.line("eval", *words, typed=typed)

    def line(self, *words: object, typed: str = "") -> Result:
        """Return what came of `lorebook WORDS`."""
        return CliRunner().invoke(lorebook, list(map(str, words)), input=typed, prog_name="lorebook")

    def json(self, *words: object) -> Any:
        result = self(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@contextlib.contextmanager
def served(bench: Bench, home: Home) -> Iterator[Typing]:
    """Serve the parts for the block."""
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with bench.served() as url:
            with announced(home, Daemon(url, TOKEN, 1, VERSION, "now")):
                ready.set()
                while not done.is_set():
                    await asyncio.sleep(0.01)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait(10)
    try:
        yield Typing(bench)
    finally:
        done.set()
        thread.join()


def rows(path: Path, *fields: dict[str, Any]) -> Path:
    """Write rows, a line of JSON each."""
    path.write_text("".join(json.dumps(row) + "\n" for row in fields))
    return path
