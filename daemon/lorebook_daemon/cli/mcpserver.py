"""The tools as an MCP server on stdin and stdout, by the protocol's own SDK."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import ParamSpec, TypeVar

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from lorebook_api.client import new_request_id
from lorebook_api.errors import LorebookError
from lorebook_api.indexing import Progress
from lorebook_api.tools import DATA, CitedAnswer, Question, Toolbox
from lorebook_api.version import VERSION

INSTRUCTIONS = (
    "lorebook searches a person's own notebooks, code and documents on their machine. `search` takes milliseconds; "
    "`ask` has a small model there write a short answer, which it checks line by line. Cite the `place` of what you "
    f"use. {DATA}"
)
P = ParamSpec("P")
R = TypeVar("R")

READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def serve(toolbox: Toolbox) -> None:
    """Serve until stdin ends; stdout carries nothing but the protocol, stderr the warnings."""
    make_server(toolbox).run("stdio")


def make_server(toolbox: Toolbox) -> MCPServer[None]:
    """Return the server with its three tools."""

    async def ask(question: Question, context: Context) -> CitedAnswer:
        return await _ask(toolbox, question, context)

    server: MCPServer[None] = MCPServer("lorebook", version=VERSION, instructions=INSTRUCTIONS, log_level="WARNING")
    server.add_tool(_telling(toolbox.search), annotations=READ_ONLY)
    server.add_tool(_telling(toolbox.find_related), annotations=READ_ONLY)
    server.add_tool(ask, description=Toolbox.ask.__doc__, annotations=READ_ONLY)
    return server


def _telling(tool: Callable[P, R]) -> Callable[P, R]:
    """Return the tool with our errors as those whose words the SDK passes on; it keeps all others to itself."""

    @wraps(tool)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return tool(*args, **kwargs)
        except LorebookError as error:
            raise ToolError(str(error)) from error

    return told


async def _ask(toolbox: Toolbox, question: str, context: Context) -> CitedAnswer:
    """Ask in a thread, telling the client how far it is; a client that cancels takes the question back."""
    request_id, told = new_request_id(), 0

    def report(progress: Progress) -> None:
        nonlocal told
        told += 1  # the protocol wants a number that grows, and the steps of an answer have no common measure
        anyio.from_thread.run(partial(context.report_progress, told, message=progress.what))

    asking = partial(_telling(toolbox.ask), question, report, request_id)
    try:
        return await anyio.to_thread.run_sync(asking, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(toolbox.stop, request_id)
        raise
