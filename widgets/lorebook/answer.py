"""An answer as a notebook shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lorebook.links import target_of
from lorebook_api.asking import Answer as Body
from lorebook_api.asking import AskRequest, Attachment, Citation, Claim, Source, Timings, Usage
from lorebook_api.fence import code_block
from lorebook_api.markdown import link, plain, prose
from lorebook_api.place import name_place


@dataclass(frozen=True)
class Answer:
    """What came of a question; shown as Markdown, with each citation linked to its lines or its cell.

    `body` is the answer as the daemon sent it, `request` what was asked, `folder` where links count from.
    """

    body: Body
    request: AskRequest
    folder: Path

    @property
    def text(self) -> str:
        """The answer's text, with `[1]` marks."""
        return self.body.answer

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The lines that support the answer."""
        return self.body.citations

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Its sentences, each with what supports it."""
        return self.body.claims

    @property
    def sources(self) -> tuple[Source, ...]:
        """The passages that the model was given."""
        return self.body.sources

    @property
    def grounded(self) -> float:
        """How far the sentences are supported, 0 to 1."""
        return self.body.grounded

    @property
    def abstained(self) -> bool:
        """Whether no file held the answer."""
        return self.body.abstained

    @property
    def usage(self) -> Usage:
        """Tokens read and written."""
        return self.body.usage

    @property
    def timings(self) -> Timings:
        """Milliseconds from the request's arrival."""
        return self.body.timings

    @property
    def data(self) -> dict[str, Any]:
        """The answer as plain JSON data, as `lorebook ask --json` prints it."""
        return asdict(self.body)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return _as_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": _as_text(self), "text/markdown": _as_markdown(self)}


def sent_along(attachments: Sequence[Attachment]) -> str:
    """Return in a line what went to the model beside the question; empty for nothing."""
    return f"with {', '.join(one.title for one in attachments)}" if attachments else ""


def _as_text(answer: Answer) -> str:
    lines = [*_remarks(answer), answer.text.strip(), ""]
    for citation in answer.citations:
        lines.append(f"[{citation.n}] {_name(answer, citation)} (support {citation.support:.2f})")
        lines += [f"    {line}" for line in citation.quote.splitlines()]
    if answer.abstained and answer.sources:
        lines += ["The nearest passages:", *(f"  {_name(answer, source)}" for source in answer.sources)]
    lines += [f"? not supported: {' '.join(claim.text.split())}" for claim in _unsupported(answer)]
    return "\n".join([*lines, _summary(answer)])


def _as_markdown(answer: Answer) -> str:
    parts = [f"*{plain(remark)}*" for remark in _remarks(answer)]
    marks = {citation.n: link(f"[{citation.n}]", _target(answer, citation)) for citation in answer.citations}
    parts.append(prose(answer.text, marks))
    for citation in answer.citations:
        head = f"**&#91;{citation.n}&#93;** {_link(answer, citation)} · support {citation.support:.2f}"
        language = "python" if citation.path.endswith((".py", ".ipynb")) else ""
        parts.append(f"{head}\n\n{code_block(citation.quote, language)}")
    if answer.abstained and answer.sources:
        nearest = [f"- {_link(answer, source)}" for source in answer.sources]
        parts.append("\n".join(["The nearest passages:", "", *nearest]))
    unsupported = [f"- {plain(claim.text)}" for claim in _unsupported(answer)]
    if unsupported:
        parts.append("\n".join(["**No passage supports:**", "", *unsupported]))
    return "\n\n".join([*parts, f"<small>{plain(_summary(answer))}</small>"])


def _remarks(answer: Answer) -> list[str]:
    return [*filter(None, (sent_along(answer.request.attachments),)), *answer.body.notices]


def _unsupported(answer: Answer) -> Sequence[Claim]:
    if answer.abstained or not answer.request.grounding:
        return ()
    return [claim for claim in answer.claims if not claim.citations]


def _name(answer: Answer, item: Citation | Source) -> str:
    return name_place(item, item.root if len(answer.request.roots) > 1 else "")


def _link(answer: Answer, item: Citation | Source) -> str:
    return link(_name(answer, item), _target(answer, item))


def _target(answer: Answer, item: Citation | Source) -> str:
    root = answer.request.roots[0] if answer.request.roots else ""
    return target_of(item, root, answer.folder)


def _summary(answer: Answer) -> str:
    adapters = "".join(f" + {use.name}:{use.scale:g}" for use in answer.body.adapters)
    checked = f"grounded {answer.grounded:.2f}" if answer.request.grounding else "not grounded"
    cut = f" · {len(answer.body.context.cut)} passages left out" if answer.body.context.cut else ""
    seconds = answer.timings.total_ms / 1000
    return f"{answer.body.model}{adapters} · {seconds:.1f} s · {answer.usage.completion_tokens} tokens · {checked}{cut}"
