"""The route by which a front end tells what the person has open, and has typed there without saving it."""

from __future__ import annotations

import asyncio
import unicodedata
from collections import OrderedDict
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.indexing import OpenRequest
from lorebook_daemon.app.checks import check_text, folders
from lorebook_daemon.app.parts import Parts

_OPEN_ROOTS = 4
"""Roots with something open that are watched at the most; the one that was opened first is left."""


def opening_routes(parts: Parts) -> APIRouter:
    """Return the route `open`."""
    router = APIRouter(prefix="/api")
    watched: OrderedDict[Path, None] = OrderedDict()

    @router.post("/open")
    async def opened(request: OpenRequest) -> dict[str, str]:
        """Bring the index up to date first: it is told of a notebook that was saved, too."""
        (root,) = folders([request.root])
        path = _inside(root, request.path)
        if root not in parts.served and not await parts.roots.knows(root):
            raise NotFound(f"{root} is not indexed.", f"Index it: lorebook index {root}")
        await _note_typed(parts, root, path, request)
        await parts.roots.open([root], lambda progress: None)
        if not request.closed:
            parts.warmer.opened(root, path)
            await _watch(parts, watched, root)
        return {"root": str(root), "path": path}

    return router


async def _note_typed(parts: Parts, root: Path, path: str, request: OpenRequest) -> None:
    if request.closed or request.contents is None:
        if await asyncio.to_thread(parts.roots.drop_unsaved, root, path):
            await _renew(parts, root, path)
        return
    if not await parts.roots.knows(root):
        await parts.roots.open([root], lambda progress: None)  # what was typed stands over what is there
    await asyncio.to_thread(parts.roots.put_unsaved, root, path, request.contents)
    await _renew(parts, root, path)


async def _renew(parts: Parts, root: Path, path: str) -> None:
    if not parts.roots.paused:
        await parts.roots.follow(root, [path])


async def _watch(parts: Parts, watched: OrderedDict[Path, None], root: Path) -> None:
    """Follow the changes of a root in which something is open: it is where the person works."""
    if root not in watched:
        parts.watching.keep(root)
    watched[root] = None
    watched.move_to_end(root)
    while len(watched) > _OPEN_ROOTS:
        oldest, _ = watched.popitem(last=False)
        await parts.watching.leave(oldest)


def _inside(root: Path, path: str) -> str:
    """Return the path of a file in `root` as the index has it; raises BadRequest outside it, NotFound for no file."""
    check_text("path", path)
    try:
        file = (root / path).resolve(strict=True)
        inside = file.relative_to(root)
    except ValueError as error:
        raise BadRequest(f"{path!r} is not inside {root}.", "Send its path in that folder.") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise NotFound(f"There is no file {path!r} in {root}.", "Check its path.") from error
    if not file.is_file():
        raise NotFound(f"{path!r} in {root} is no file.", "Send the path of a file.")
    return unicodedata.normalize("NFC", inside.as_posix())
