"""The folders that questions are about which come from Jupyter's server itself, not from a page of its."""

from __future__ import annotations

from jupyter_server.serverapp import ServerApp

from lorebook_api.errors import BadRequest


def served_roots() -> tuple[str, ...]:
    """Return the folders of `LorebookApp.roots`, or the one that Jupyter serves; raises BadRequest where there is none.

    To be called in the server's process, once it has loaded the extension.
    """
    page = ServerApp.instance().web_app.settings.get("page_config_data", {})
    roots = tuple(page.get("lorebookRoots", ()))
    if not roots:
        raise BadRequest("Jupyter serves no folder that lorebook could look in.", "Set c.LorebookApp.roots = ['/…']")
    return roots
