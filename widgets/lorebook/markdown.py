"""Text that others wrote, as Markdown in a notebook's output: what Jupyter's chat uses too."""

from __future__ import annotations

from lorebook_api.markdown import link, plain, prose

__all__ = ["link", "plain", "prose"]
