"""A small vocabulary for models with random weights: bytes, a few words, ChatML's control tokens and a template.

It is a byte-level BPE (as GPT-2's), so that every text can be written with it and every token has bytes.
"""

from __future__ import annotations

from functools import cache

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = (END_OF_TEXT, START, END)

_WORDS = (
    "Yes yes No no YES NO user system assistant tool the The and from source file answer name value print import "
    "return def is of to in for with it a not line class self None True False"
)
"""Those with a token of their own, after a space too."""

CHAT_TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- 'Functions that may be called:\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}
    {{- '\\n</tools>\\nTo call one: <tool_call>{"name": …, "arguments": {…}}</tool_call><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- elif message.role != 'system' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
        {%- for call in message.tool_calls or [] %}
            {%- set called = call.function or call %}
            {{- '\\n<tool_call>{"name": "' + called.name + '", "arguments": ' }}
            {{- called.arguments if called.arguments is string else (called.arguments | tojson) }}
            {{- '}</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""ChatML, with functions as Qwen writes them."""


@cache
def byte_characters() -> tuple[str, ...]:
    """Return the visible character that stands for each byte: itself where it has a shape, else one from 256 on."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return tuple(chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256))


def written(text: str) -> str:
    """Return a text as its tokens are written in the file."""
    return "".join(byte_characters()[byte] for byte in text.encode())


@cache
def merges() -> tuple[tuple[str, str], ...]:
    """Return the pairs that are joined, in the order in which they may be, so that each word becomes one token."""
    pairs: list[tuple[str, str]] = []
    for word in dict.fromkeys(_WORDS.split()):
        for text in (word, f" {word}"):
            pieces = _joined(list(written(text)), pairs)
            while len(pieces) > 1:
                pairs.append((pieces[0], pieces[1]))
                pieces = [pieces[0] + pieces[1], *pieces[2:]]
    return tuple(pairs)


def _joined(pieces: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    for first, second in pairs:
        for i in range(len(pieces) - 2, -1, -1):
            if (pieces[i], pieces[i + 1]) == (first, second):
                pieces[i : i + 2] = [first + second]
    return pieces


@cache
def vocabulary() -> tuple[str, ...]:
    """Return all tokens as they are written in the file: bytes, joined pairs, control tokens."""
    joined = dict.fromkeys(first + second for first, second in merges())
    return (*byte_characters(), *joined, *CONTROL)


def token(text: str) -> int:
    """Return the number of the token that is `text`; raises ValueError where no token is."""
    return vocabulary().index(text if text in CONTROL else written(text))


@cache
def unspoken() -> tuple[int, ...]:
    """Return the tokens that a random model never prefers: what ends a turn, and what is not readable ASCII."""
    readable = {*range(32, 127), ord("\n")}
    return (*(byte for byte in range(256) if byte not in readable), *map(token, CONTROL))
