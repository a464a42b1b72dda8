"""What Jupyter Server sees of the extension before any request."""

import json
import subprocess
import sys

import pytest

LOOK = """
import json, sys, time
import jupyter_server.extension.application, jupyter_server.base.handlers
before, begun = set(sys.modules), time.process_time()
import lorebook_extension
(point,) = lorebook_extension._jupyter_server_extension_points()
took = time.process_time() - begun
traits = point["app"].class_own_traits(config=True).values()
brought = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({
    "module": point["module"], "name": point["app"].name, "seconds": took, "brought": sorted(brought),
    "settings": {trait.name: [trait.default(), trait.help] for trait in traits},
}))
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def seen():
    """Look from a process of its own: importing Jupyter Server takes seconds under pytest's warnings."""
    return json.loads(run(LOOK))


def test_jupyter_is_told_the_app(seen):
    assert (seen["module"], seen["name"]) == ("lorebook_extension", "lorebook")


def test_every_setting_has_a_default_and_says_what_it_does(seen):
    assert {name: default for name, (default, _) in seen["settings"].items()} == {
        "start_daemon": True,
        "silence_seconds": 60.0,
        "roots": [],
    }
    assert all(text for _, text in seen["settings"].values())


def test_it_adds_little_to_the_start_of_jupyter(seen):
    assert seen["seconds"] < 0.1  # of the processor's, which do not depend on who else is at work
    assert not {"httpx", "pydantic", "rich", "click", "lorebook_daemon", "lorebook", "IPython"} & set(seen["brought"])


def test_the_package_alone_needs_no_jupyter_server():
    modules = run("import sys, lorebook_extension; print(*sys.modules)").split()
    assert not {"jupyter_server", "tornado", "traitlets"} & set(modules)
