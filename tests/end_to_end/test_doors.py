"""`lorebook mcp` as a program with an MCP client uses it: real commands, a real daemon, the real small model."""

import asyncio
import sys
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

pytestmark = [pytest.mark.model, pytest.mark.daemon, pytest.mark.timeout(300)]

FARE = "def fare(km):\n    '''Return the fare for a ride.'''\n    return 3.2 + 1.9 * km\n"
RIDES = "from fare import fare\n\ndef total(rides):\n    return sum(fare(ride.km) for ride in rides)\n"


@pytest.mark.timeout(300)
def test_a_program_searches_and_asks_once_it_is_allowed(person):
    work = person.folder
    for name, text in (("fare.py", FARE), ("rides.py", RIDES), ("notes.md", "# Weather\n\nIt rained all week.\n")):
        (work / name).write_text(text, encoding="utf-8")
    entry = person.type("mcp", "--enable", "--root", str(work)).document()["mcpServers"]["lorebook"]
    assert entry["args"][-3:] == ["mcp", "--root", str(work)]
    search, related, ask = asyncio.run(asyncio.wait_for(talk(person), 280))
    assert {passage["path"] for passage in search["passages"][:2]} == {"fare.py", "rides.py"}
    assert related["passages"][0]["path"] == "rides.py"
    assert ask["model"] == "smollm2-135m-instruct-q4_1"
    for cited in ask["citations"]:
        lines = (work / cited["path"]).read_text(encoding="utf-8").splitlines()
        assert cited["quote"] == "\n".join(lines[cited["start_line"] - 1 : cited["end_line"]])
    assert "rides.py" in person.type("related", "fare.py:1").out.splitlines()[0]


async def talk(person) -> tuple[Any, ...]:
    words = ["-P", "-m", "lorebook_daemon", "mcp", "--root", str(person.folder)]
    server = StdioServerParameters(command=sys.executable, args=words, env=person.env, cwd=person.folder)
    async with Client(stdio_client(server)) as client:
        results = (
            await client.call_tool("search", {"query": "how is the fare of a ride computed?"}),
            await client.call_tool("find_related", {"path": "fare.py", "line": 1}),
            await client.call_tool("ask", {"question": "What does a ride cost for each km?"}),
        )
    assert not any(result.is_error for result in results), results
    return tuple(result.structured_content for result in results)
