"""What the app is built from: plain parts, made in `serve`, so that a test can hand in others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lorebook_api.asking import Answer, AskRequest
from lorebook_api.discovery import Daemon
from lorebook_api.state import ModelInfo
from lorebook_daemon.answer.reading import Emit
from lorebook_daemon.answer.retrieved import Retriever
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.adapterroom import Adapters
from lorebook_daemon.app.conversations import Conversations
from lorebook_daemon.app.doings import Doings
from lorebook_daemon.app.engines import Engines, Report
from lorebook_daemon.app.evalroom import EvalRoom
from lorebook_daemon.app.guard import Credentials
from lorebook_daemon.app.jobs import Jobs
from lorebook_daemon.app.opinions import Opinions
from lorebook_daemon.app.roots import Roots
from lorebook_daemon.app.running import Running
from lorebook_daemon.app.teachroom import Teaching
from lorebook_daemon.app.warming import Warmer
from lorebook_daemon.app.watching import Watching
from lorebook_daemon.engine.protocol import Engine, Priority
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.settings import Settings


class Answering(Protocol):
    """Takes a question all the way to its answer; what happens on the way goes to `emit`."""

    def __call__(
        self,
        request: AskRequest,
        retriever: Retriever,
        engine: Engine,
        emit: Emit,
        settings: Settings,
        priority: Priority = Priority.ask,
        /,
    ) -> Awaitable[Answer]:
        """Return the answer; what the engine does for it has `priority`."""
        ...


@dataclass(frozen=True)
class Models:
    """The model room's functions, as they are handed in; each raises LorebookError."""

    find: Callable[[str, Report], Awaitable[LocalModel]]
    """Returns the model of a name, brought here first where it is not there yet."""
    pull: Callable[[str, Report], Awaitable[ModelInfo]]
    """Brings a model here; cancelling it keeps what was brought."""
    known: Callable[[], Sequence[ModelInfo]]
    """Returns every model that is known, here or not."""
    add: Callable[[Path], ModelInfo]
    """Registers a GGUF file where it lies."""
    file: Callable[[str], Path | None]
    """Returns where the model of a name lies, None where it is not here."""
    remove: Callable[[str], None]
    """Deletes a model that lorebook brought."""


@dataclass(frozen=True)
class Parts:
    """Everything that the routes need."""

    settings: Settings
    told: Daemon
    credentials: Credentials
    served: tuple[Path, ...]
    """The roots asked about where a request names none."""
    activity: Activity
    running: Running
    engines: Engines
    roots: Roots
    recut: Callable[[str], Roots]
    """Returns indexes of their own, in which files are cut by another splitter; who asks closes them."""
    watching: Watching
    models: Models
    adapters: Adapters
    warmer: Warmer
    teaching: Teaching
    jobs: Jobs
    doings: Doings
    conversations: Conversations
    evaluations: EvalRoom
    opinions: Opinions
    answer: Answering
    stop: Callable[[], None]
    """Ends the daemon, soon."""
