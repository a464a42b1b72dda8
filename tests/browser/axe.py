"""axe-core over a part of a page: what keeps people from using it (https://github.com/dequelabs/axe-core)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

SCRIPT = Path(__file__).parents[2] / "extension" / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")


def find_barriers(page: Page, selector: str) -> list[str]:
    """Return the serious and critical findings inside of the element, one line each.

    Skips where axe-core is not there, and fails then in CI.
    """
    if not SCRIPT.is_file():
        told = "axe-core is not there. Type: make frontend"
        return pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found = page.evaluate("selector => axe.run(selector, { resultTypes: ['violations'] })", selector)
    assert found["passes"], "axe-core has looked at nothing"
    return [
        f"{violation['impact']}: {violation['id']}: {node['html']}: {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
    ]
