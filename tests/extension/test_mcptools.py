"""lorebook's tools in Jupyter's MCP server: off until enabled, then the real server with its real client."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from fake_daemon import FakeDaemon
from lorebook_api.home import Home
from lorebook_api.tools import DATA
from lorebook_extension.mcptools import TOOLS, enabled_tools

ROOT = Path(__file__).parents[2]


def test_none_are_offered_until_a_person_enables_them(home: Home) -> None:
    assert enabled_tools() == []
    home.tools_switch.touch()
    assert enabled_tools() == [f"lorebook_extension.mcptools:{tool}" for tool in TOOLS]


def test_the_wheel_declares_what_is_there() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert set(declared) == {"jupyter_server_mcp.tools", "jupyter_ai.personas"}
    for group in declared.values():
        module, name = group["lorebook"].split(":")
        source = ROOT / "extension" / f"{module.replace('.', '/')}.py"
        assert re.search(rf"^(class|def) {name}\b", source.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.parametrize("switch", ["on", "off"])
def test_the_real_server_finds_and_calls_them(home: Home, tmp_path: Path, free_port: int, switch: str) -> None:
    pytest.importorskip("jupyter_server_mcp", reason="jupyter-server-mcp is not installed")
    if switch == "on":
        home.tools_switch.touch()
    work = tmp_path / "work"
    work.mkdir()
    with FakeDaemon(home.runtime) as fake:
        server = start_jupyter(tmp_path, work, free_port)
        try:
            told = talk(free_port)
        finally:
            server.terminate()
            server.wait(10)
    log = (tmp_path / "log").read_text()
    if switch == "off":
        assert not [name for name in told["tools"] if name.startswith("lorebook")], log
        return
    assert set(TOOLS) <= set(told["tools"]), log
    assert told["search"]["about"] == DATA and told["search"]["passages"][0]["path"] == "src/fare.py", log
    assert told["ask"]["citations"][0]["n"] == 1
    assert fake.of("/api/search")[0].body["roots"] == [str(work)]


def start_jupyter(folder: Path, work: Path, port: int) -> subprocess.Popen[bytes]:
    """Start Jupyter Server with our extension, its MCP server, and an entry point as the wheel declares it."""
    loaded = folder / "path" / "jupyter_server_config.d"
    loaded.mkdir(parents=True)
    shutil.copy(ROOT / "extension" / "jupyter-config" / "lorebook_extension.json", loaded)
    declared = folder / "site" / "lorebook_doors-0.dist-info"
    declared.mkdir(parents=True)
    (declared / "METADATA").write_text("Metadata-Version: 2.1\nName: lorebook-doors\nVersion: 0\n")
    (declared / "entry_points.txt").write_text(
        "[jupyter_server_mcp.tools]\nlorebook = lorebook_extension.mcptools:enabled_tools\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    environment |= {f"JUPYTER_{what}_DIR": str(folder / what.lower()) for what in ("CONFIG", "DATA", "RUNTIME")}
    environment |= {
        "JUPYTER_CONFIG_PATH": str(folder / "path"),
        "PYTHONPATH": os.pathsep.join((str(folder / "site"), *sys.path)),
    }
    words = ["--ServerApp.jpserver_extensions={'jupyter_server_mcp': True}", f"--ServerApp.root_dir={work}"]
    words += [f"--MCPExtensionApp.mcp_port={port}", "--ServerApp.port=0", "--no-browser", "--allow-root"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *words],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


TALK = """
import asyncio, json, sys
from fastmcp import Client

async def main():
    async with Client(sys.argv[1]) as client:
        told = {"tools": [tool.name for tool in await client.list_tools()]}
        if "lorebook_search" in told["tools"]:
            told["search"] = (await client.call_tool("lorebook_search", {"query": "fare"})).structured_content
            told["ask"] = (await client.call_tool("lorebook_ask", {"question": "why?"})).structured_content
    print(json.dumps(told))

asyncio.run(main())
"""


def talk(port: int) -> dict:
    """Return what a client of that server is told, from a process without pytest's warnings."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    words = [sys.executable, "-c", TALK, f"http://127.0.0.1:{port}/mcp"]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)
