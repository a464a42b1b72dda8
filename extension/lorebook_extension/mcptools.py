"""lorebook's tools for Jupyter's MCP server (jupyter-server-mcp), which finds them by its entry point.

That server asks for no token: whoever reaches its port may use its tools. So none are offered until the person has
turned them on with `lorebook mcp --enable`, and they stop at once when they are turned off.
"""

from __future__ import annotations

import asyncio
from functools import partial

from lorebook_api.home import find_home
from lorebook_api.indexing import Progress
from lorebook_api.tools import (
    CellIndex,
    CitedAnswer,
    Count,
    FilePath,
    FoundPassages,
    Line,
    OfKind,
    Query,
    Question,
    Root,
    Toolbox,
)
from lorebook_extension.served import served_roots

TOOLS = ("lorebook_search", "lorebook_find_related", "lorebook_ask")


def enabled_tools() -> list[str]:
    """Return the tools as `module:function`, none where they are off; Jupyter's MCP server asks when it starts."""
    return [f"{__name__}:{tool}" for tool in TOOLS] if find_home().tools_switch.is_file() else []


async def lorebook_search(query: Query, k: Count = 8, kind: OfKind = None) -> FoundPassages:
    """Find passages of the person's own notebooks, code, documents and data, the best first. Cite their `place`."""
    return await asyncio.to_thread(_toolbox().search, query, k, kind)


async def lorebook_find_related(
    path: FilePath, line: Line = 1, cell_index: CellIndex = None, root: Root = None, k: Count = 8
) -> FoundPassages:
    """Find passages near to one that is known: what it uses, what uses it, what says the like elsewhere."""
    return await asyncio.to_thread(_toolbox().find_related, path, line, cell_index, root, k)


async def lorebook_ask(question: Question) -> CitedAnswer:
    """Answer from the person's files with a small model on their machine; cites the lines. Takes up to a minute."""
    return await asyncio.to_thread(partial(_toolbox().ask, question, _nobody))


def _toolbox() -> Toolbox:
    return Toolbox(find_home(), served_roots())


def _nobody(progress: Progress) -> None:
    """Tell nobody how far it is: that server hands its tools no way to."""
