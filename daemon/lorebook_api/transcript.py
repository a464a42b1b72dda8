"""A conversation as a Markdown document, for a person to keep."""

from __future__ import annotations

from collections.abc import Iterator

from lorebook_api.asking import Answer, Citation
from lorebook_api.conversation import Conversation, Exchange
from lorebook_api.fence import code_block
from lorebook_api.place import name_place


def transcript(conversation: Conversation) -> str:
    """Return the questions, the answers as they were written, and the lines that each one cites."""
    parts = [f"# {_line(conversation.title)}", f"{conversation.created} to {conversation.updated}"]
    for exchange in conversation.exchanges:
        parts += _exchange(exchange)
    return "\n\n".join(parts) + "\n"


def _exchange(exchange: Exchange) -> Iterator[str]:
    yield f"## {_line(exchange.question)}"
    if "\n" in exchange.question.strip():
        yield code_block(exchange.question)
    if exchange.attachments:
        yield f"*With {_line(', '.join(one.title for one in exchange.attachments))}*"
    if exchange.answer is not None:
        yield from _answer(exchange.answer)
        return
    if exchange.text.strip():
        yield exchange.text.strip()
    yield f"*{_line(exchange.error)}*"


def _answer(answer: Answer) -> Iterator[str]:
    yield from (f"*{_line(notice)}*" for notice in answer.notices)
    yield answer.answer.strip()
    for citation in answer.citations:
        yield f"[{citation.n}] {_place(citation)} (support {citation.support:.2f})"
        yield code_block(citation.quote, "python" if citation.path.endswith((".py", ".ipynb")) else "")
    unsupported = [claim.text for claim in answer.claims if not claim.citations]
    if unsupported and not answer.abstained and answer.sources:
        yield "\n".join(["No passage supports:", "", *(f"- {_line(text)}" for text in unsupported)])
    yield f"*{_line(answer.model)} · grounded {answer.grounded:.2f} · {answer.timings.total_ms / 1000:.1f} s*"


def _place(citation: Citation) -> str:
    return f"`{name_place(citation).replace('`', '')}`"


def _line(text: str) -> str:
    return " ".join(text.split())
