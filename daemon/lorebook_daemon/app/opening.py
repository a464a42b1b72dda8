"""The route by which a front end tells what the person has open, so that it is read before it is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter

from lorebook_api.errors import BadRequest, NotFound
from lorebook_daemon.app.checks import check_text, folders
from lorebook_daemon.app.parts import Parts


@dataclass(frozen=True)
class OpenRequest:
    """Body of `POST /api/open`: a notebook, or another file, by its path in `root`, with `/`."""

    root: str
    path: str


def opening_routes(parts: Parts) -> APIRouter:
    """Return the route `open`."""
    router = APIRouter(prefix="/api")

    @router.post("/open")
    async def opened(request: OpenRequest) -> dict[str, str]:
        """Bring the index up to date first: it is told of a notebook that was saved, too."""
        (root,) = folders([request.root])
        path = _inside(root, request.path)
        if root not in parts.served and not await parts.roots.knows(root):
            raise NotFound(f"{root} is not indexed.", f"Index it: lorebook index {root}")
        await parts.roots.open([root], lambda progress: None)
        parts.warmer.opened(root, path)
        return {"root": str(root), "path": path}

    return router


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
    return inside.as_posix()
