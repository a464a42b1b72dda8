"""The server extension, as Jupyter Server configures it: `c.LorebookApp.…`, `--LorebookApp.…`."""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Float

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

    def initialize_handlers(self) -> None:
        """Add the one route."""
        wiring = {"door": Door(self.start_daemon), "silence_seconds": self.silence_seconds}
        self.handlers.append((r"lorebook/(.*)", ForwardHandler, wiring))
