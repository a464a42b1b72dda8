"""The daemon, put together: one per user, from the lock to the last engine's end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lorebook_api.discovery import Daemon
from lorebook_api.errors import DaemonUnavailable, LorebookError, StorageFailed
from lorebook_api.home import Home
from lorebook_api.version import VERSION
from lorebook_daemon.answer.ask import ask
from lorebook_daemon.app.activity import Activity, until_idle
from lorebook_daemon.app.adapterroom import Adapters
from lorebook_daemon.app.application import create_app
from lorebook_daemon.app.checks import folders
from lorebook_daemon.app.conversations import Conversations
from lorebook_daemon.app.doings import Doings
from lorebook_daemon.app.endpoint import Endpoint, listen
from lorebook_daemon.app.evalroom import EvalRoom
from lorebook_daemon.app.guard import Credentials
from lorebook_daemon.app.holding import Holding
from lorebook_daemon.app.indexroom import indexes_at, indexes_cut
from lorebook_daemon.app.jobs import Jobs
from lorebook_daemon.app.jobstore import JobStore
from lorebook_daemon.app.lifecycle import announced, now, sole
from lorebook_daemon.app.logs import logging_to
from lorebook_daemon.app.modelroom import engines_at, models_at
from lorebook_daemon.app.opinions import Opinions
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.roots import Roots
from lorebook_daemon.app.running import Running
from lorebook_daemon.app.server import Server, signals_calling
from lorebook_daemon.app.teachroom import Room, Teaching
from lorebook_daemon.app.warming import Warmer
from lorebook_daemon.app.watching import Watching
from lorebook_daemon.app.writing_ahead import Ahead
from lorebook_daemon.index.embed import Embedder
from lorebook_daemon.index.feedback import FeedbackStore
from lorebook_daemon.settings import Settings
from lorebook_daemon.teach.needs import check_installed

log = logging.getLogger(__name__)


async def serve(settings: Settings, home: Home, roots: Sequence[str] = (), socket: Path | None = None) -> None:
    """Run the daemon until it is told to stop or was idle for long enough; `roots` are indexed at the start.

    Listens at `settings.port` of 127.0.0.1, or at the unix socket `socket`. Raises Conflict where a daemon runs
    already or the port is in use, StorageFailed where the home cannot be written, NotFound and BadRequest for a root.
    """
    home.make()
    served = folders(roots)
    with sole(home), logging_to(home), contextlib.closing(listen(settings.port, socket)) as endpoint:
        stop = asyncio.Event()
        parts = assemble(settings, home, served, endpoint, stop)
        with signals_calling(stop.set):
            await run(parts, home, endpoint, stop)


def assemble(
    settings: Settings, home: Home, served: tuple[Path, ...], endpoint: Endpoint, stop: asyncio.Event
) -> Parts:
    """Return the real parts: models and indexes of `home`, engines in child processes."""
    activity = Activity()
    told = Daemon(endpoint.url, secrets.token_urlsafe(32), os.getpid(), VERSION, now())
    engines = engines_at(home, settings)
    indexes = indexes_at(home, settings)

    async def embedder() -> Embedder:
        return (await indexes.embedder(lambda progress: None)).embedder

    warmer = Warmer(engines, home, settings, ahead=Ahead(home, embedder) if settings.questions_ahead else None)
    feedback = FeedbackStore(home.state)
    opinions = Opinions(feedback, settings.feedback)
    holding = Holding(indexes.hold, not settings.embed_on_battery)
    roots = Roots(indexes, activity, warmer.indexed, holding, opinions.weights)

    def recut(splitter: str) -> Roots:
        noted = partial(warmer.emptied, splitter=splitter)
        return Roots(indexes_cut(home, settings, splitter), activity, noted, holding)

    doings = Doings()
    models, adapters = models_at(home, settings), Adapters(home)
    room = Room(home, settings, models.find, engines, adapters, ready=check_installed, feedback=feedback.all)
    teaching = Teaching(room)
    return Parts(
        settings=settings,
        told=told,
        credentials=Credentials(told.token, endpoint.hosts),
        served=served,
        activity=activity,
        running=Running(),
        engines=engines,
        roots=roots,
        recut=recut,
        watching=Watching(roots),
        models=models,
        adapters=adapters,
        warmer=warmer,
        conversations=Conversations(home),
        evaluations=EvalRoom(home, doings),
        opinions=opinions,
        teaching=teaching,
        jobs=Jobs(JobStore(home.state), {"teach": teaching.work}, activity),
        doings=doings,
        answer=ask,
        stop=stop.set,
    )


async def run(parts: Parts, home: Home, endpoint: Endpoint, stop: asyncio.Event) -> None:
    """Serve `parts` at `endpoint`, told in the runtime file, until `stop` is set or nothing was asked for long."""
    _finish_changes(parts)
    beside = [
        asyncio.create_task(work)
        for work in (_stop_when_idle(parts, stop), _index_served(parts), parts.warmer.run(), parts.roots.mind_power())
    ]
    beside.append(asyncio.create_task(parts.jobs.run()))
    with contextlib.ExitStack() as announcement:
        announcement.enter_context(announced(home, parts.told))
        log.info("serving at %s, process %s", parts.told.url, parts.told.pid)

        def ending() -> None:
            announcement.close()  # first of all, so that nobody finds a daemon that is about to end
            error = DaemonUnavailable("The daemon was told to stop.", "Ask again: it starts by itself.")
            parts.running.end_all(error)

        try:
            await Server(create_app(parts)).run_until(stop, endpoint.sock, ending)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await parts.doings.close()
            await parts.watching.close()
            await parts.roots.close()
            await parts.engines.close()
            parts.jobs.close()
            log.info("ended")


def _finish_changes(parts: Parts) -> None:
    """Have no adapter lie where neither its name nor its card is seen; where the disk refuses, the next one does it."""
    try:
        parts.adapters.finish_changes()
    except StorageFailed as error:
        log.warning("a change of an adapter's versions stays cut short: %s", error)


async def _stop_when_idle(parts: Parts, stop: asyncio.Event) -> None:
    await until_idle(parts.activity, parts.settings.idle_stop_minutes * 60)
    log.info("nothing was asked for %g minutes", parts.settings.idle_stop_minutes)
    stop.set()


async def _index_served(parts: Parts) -> None:
    for root in parts.served:
        try:
            await parts.roots.open([root], lambda progress: None)
            parts.warmer.indexed(root)
            parts.watching.keep(root)
        except LorebookError as error:
            log.warning("%s is not indexed: %s", root, error)
