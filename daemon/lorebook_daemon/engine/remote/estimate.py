"""How long a prompt is where the server counts no tokens: an estimate that errs to more."""

from __future__ import annotations

import math

from lorebook_daemon.engine.protocol import AnyPrompt, Plain, PromptSize

_BYTES_A_TOKEN = 3
"""English takes four bytes a token and code about three and a half."""
_TOKENS_A_TURN = 8
"""What a chat template writes around one turn, at the most usually."""


def estimate(prompt: AnyPrompt) -> PromptSize:
    """Return about how many tokens a prompt takes: three bytes a token, and eight tokens around each turn."""
    if isinstance(prompt, Plain):
        return PromptSize(len(prompt.tokens) or _about(prompt.text), ())
    turns = sum(
        _about(message.content) + sum(_about(call.name + call.arguments) for call in message.tool_calls)
        for message in prompt.messages
    )
    around = _TOKENS_A_TURN * (len(prompt.messages) + 1)
    return PromptSize(turns + around + sum(map(_about, prompt.tools)), tuple(map(_about, prompt.passages)))


def _about(text: str) -> int:
    return math.ceil(len(text.encode(errors="replace")) / _BYTES_A_TOKEN)
