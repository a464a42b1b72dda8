"""A question's answer as Markdown for a chat: as it grows, and at last with what it rests on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lorebook_api.asking import Answer
from lorebook_api.fence import code_block
from lorebook_api.markdown import plain, prose
from lorebook_api.place import Located, name_place


def told(body: str, name: str) -> str:
    """Return what a message asks, without the mention of the persona `name`, wherever it stands."""
    return re.sub(rf"@{re.escape(name)}(?![\w-])[:,]? *", "", body, flags=re.IGNORECASE).strip()


def growing(text: str) -> str:
    """Return an answer's text so far; it is unchecked yet, and ends with a sign of that."""
    return f"{prose(text.rstrip())} …"


def finished(answer: Answer, roots: Sequence[str]) -> str:
    """Return the answer, the lines that support it, and the sentences that nothing supports.

    Nothing in it acts, whatever the files say: no HTML, no image, no link.
    """
    return "\n\n".join(_parts(answer, roots))


def _parts(answer: Answer, roots: Sequence[str]) -> Iterator[str]:
    yield from (f"*{plain(notice)}*" for notice in answer.notices)
    yield prose(answer.answer, {citation.n: f"**&#91;{citation.n}&#93;**" for citation in answer.citations})
    for citation in answer.citations:
        language = "python" if citation.path.endswith((".py", ".ipynb")) else ""
        yield f"**&#91;{citation.n}&#93;** {_place(citation, roots)} · support {citation.support:.2f}"
        yield code_block(citation.quote, language)
    if answer.abstained and answer.sources:
        nearest = [f"- {_place(source, roots)}" for source in answer.sources]
        yield "\n".join(["The nearest passages:", "", *nearest])
    unsupported = [f"- {plain(claim.text)}" for claim in answer.claims if not claim.citations]
    if unsupported and not answer.abstained:
        yield "\n".join(["**No passage supports:**", "", *unsupported])
    seconds = answer.timings.total_ms / 1000
    yield f"*{plain(f'{answer.model} · grounded {answer.grounded:.2f} · {seconds:.1f} s')}*"


def _place(item: Located, roots: Sequence[str]) -> str:
    return plain(name_place(item, item.root if len(roots) > 1 else ""))
