"""How answers go out below /v1: as OpenAI streams them, or whole, as one JSON document."""

from __future__ import annotations

from typing import Any

from lorebook_daemon.app.events import Form, as_json

CHUNK, DONE, WHOLE = "chunk", "done", "whole"
"""The events of an answer: its chunks and then their end, or all of it."""


def _event(event: str, data: Any) -> bytes:
    return f"data: {'[DONE]' if event == DONE else as_json(data)}\n\n".encode("ascii")


def _document(event: str, data: Any) -> bytes:
    return as_json(data).encode("ascii")


STREAMED = Form("text/event-stream; charset=utf-8", _event)
DOCUMENT = Form("application/json", _document, pings=False)
"""Sent at the end, so that an error has its true status however late it comes."""
