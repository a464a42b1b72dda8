"""The events of a question on an event loop, from the client that waits for each in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from lorebook_api.asking import AskRequest
from lorebook_api.client import AskEvent, Client
from lorebook_api.errors import LorebookError


async def follow(client: Client, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
    """Yield what happens to the question, the answer last; raises what the client raises.

    Where nobody waits any more, cancelled or closed, the question is taken back by its `request_id`.
    """
    events = client.ask(request)
    ended = False
    try:
        while True:
            event = await asyncio.to_thread(next, events, None)
            if event is None:
                ended = True
                return
            yield event
    except LorebookError:
        ended = True
        raise
    finally:
        if not ended:
            await asyncio.shield(asyncio.to_thread(client.cancel, request.request_id))
