"""What Jupyter Server sees of the extension before any request."""

import json
import subprocess
import sys
from pathlib import Path

from jupyter_server.extension.utils import validate_extension

import lorebook_extension
from lorebook_extension.app import LorebookApp

SHIPPED = Path(__file__).parents[2] / "extension" / "jupyter-config" / "lorebook_extension.json"


def test_jupyter_finds_the_app_by_the_shipped_file():
    (module,) = json.loads(SHIPPED.read_text())["ServerApp"]["jpserver_extensions"]
    assert validate_extension(module)
    (point,) = lorebook_extension._jupyter_server_extension_points()
    assert point == {"module": module, "app": LorebookApp}
    assert LorebookApp.name == "lorebook"


def test_every_setting_says_what_it_does():
    settings = [trait for trait in LorebookApp.class_own_traits(config=True).values()]
    assert {trait.name for trait in settings} == {"start_daemon", "silence_seconds"}
    assert all(trait.help for trait in settings)


def test_it_adds_little_to_the_start_of_jupyter():
    """Counted in modules as well as milliseconds: those do not depend on the machine's load."""
    code = """
import sys, time
import jupyter_server.extension.application, jupyter_server.base.handlers
before, begun = set(sys.modules), time.process_time()
import lorebook_extension
lorebook_extension._jupyter_server_extension_points()
took = time.process_time() - begun
print(took, *{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, *packages = result.stdout.split()
    assert float(took) < 0.1
    assert not {"httpx", "pydantic", "rich", "click", "lorebook_daemon", "lorebook", "IPython"} & set(packages)


def test_the_package_alone_needs_no_jupyter_server():
    code = "import sys, lorebook_extension; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jupyter_server", "tornado", "traitlets"} & set(result.stdout.split())
