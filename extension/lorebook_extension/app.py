"""The server extension, as Jupyter Server configures it: `c.LorebookApp.…`, `--LorebookApp.…`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Float, List, Unicode

from lorebook_extension.door import Door
from lorebook_extension.handlers import ForwardHandler


class LorebookApp(ExtensionApp):
    """Puts the user's daemon below `lorebook/` of Jupyter Server's base URL."""

    name = "lorebook"

    start_daemon = Bool(
        True,
        help="""Start the daemon when a request comes and none runs. Where this is off and none runs, requests are
        answered with 503.""",
    ).tag(config=True)

    silence_seconds = Float(
        60.0,
        min=1.0,
        help="""Seconds of silence in the middle of an answer after which the daemon counts as lost. It sends
        something every 10 seconds, however long it works.""",
    ).tag(config=True)

    roots = List(
        Unicode(),
        help="""Folders that the panel asks about, as absolute paths. None: the folder that Jupyter serves. What lies
        outside of that one can be cited, but not opened.""",
    ).tag(config=True)

    def initialize_settings(self) -> None:
        """Tell the page which folders it asks about: a browser knows only paths below the folder that is served."""
        # Not every contents manager keeps its files in a folder.
        server: Any = self.serverapp
        root = getattr(server.contents_manager, "root_dir", "")
        served = str(Path(root).resolve()) if root else ""
        page = server.web_app.settings.setdefault("page_config_data", {})
        page["lorebookServed"] = served
        page["lorebookRoots"] = [str(Path(one).expanduser().resolve()) for one in self.roots or [served] if one]

    def initialize_handlers(self) -> None:
        """Add the one route."""
        wiring = {
            "door": Door(self.start_daemon),
            "quiet_door": Door(start=False),
            "silence_seconds": self.silence_seconds,
        }
        self.handlers.append((r"lorebook/(.*)", ForwardHandler, wiring))
