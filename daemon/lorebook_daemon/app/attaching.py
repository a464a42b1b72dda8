"""What a person attached to a question, read before what was found: open cells, an error, variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lorebook_api.asking import AskRequest, Attachment
from lorebook_api.errors import BadRequest
from lorebook_daemon.answer.retrieved import Retrieved, Retriever, RootHit
from lorebook_daemon.app.checks import check_text
from lorebook_daemon.index.passage import Cell, Passage, Unit
from lorebook_daemon.index.split import split
from lorebook_daemon.index.tokens import passage_terms, question_terms

ATTACHMENTS_MOST = 50
ATTACHMENT_LONGEST = 200_000
"""Characters of one attachment at the most."""


@dataclass(frozen=True)
class Attached:
    """A retriever whose first passages are those attached.

    What was found of a cell that is attached is left out: the index may hold it as it was when it was saved.
    """

    retriever: Retriever
    attachments: tuple[Attachment, ...]
    root: str
    """The root that the attachments' paths are relative to."""

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return the attached passages, then at most `k` others.

        Of more than `k` attached passages those that share the most words with the question come first, and the rest
        after what was found: the model reads in this order, and lists what it leaves out.
        """
        found = await self.retriever.retrieve(query, k)
        cells = {(one.path, one.cell_id) for one in self.attachments if one.cell_id}
        others = [hit for hit in found.hits if _cell_of(hit) not in cells]
        top = max((hit.score for hit in others), default=1.0)
        mine = [RootHit(self.root, passage, top) for one in self.attachments for passage in _passages(one)]
        if len(mine) > k:
            wanted = set(question_terms(query))
            mine.sort(key=lambda hit: -len(wanted & set(passage_terms(hit.passage))))
        return replace(found, hits=(*mine[:k], *others, *mine[k:]))


def attaching(retriever: Retriever, request: AskRequest, root: str) -> Retriever:
    """Return the retriever that finds what the request attaches before what `retriever` finds."""
    return Attached(retriever, request.attachments, root) if request.attachments else retriever


def told_with(request: AskRequest) -> AskRequest:
    """Return a request to the model alone with its attachments before the question: nothing is retrieved for it."""
    texts = [f"{one.title}:\n{one.text}" for one in request.attachments]
    return replace(request, question="\n\n".join([*texts, request.question]))


def check_attachments(attachments: Sequence[Attachment]) -> None:
    """Raise BadRequest for too many, for one that is too long or blank, and for one without a title."""
    if len(attachments) > ATTACHMENTS_MOST:
        raise BadRequest(f"{len(attachments)} attachments are too many; {ATTACHMENTS_MOST} can be sent.", "Send fewer.")
    for one in attachments:
        check_text("the title of an attachment", one.title)
        check_text(f"the attachment {one.title!r}", one.text)
        if len(one.text) > ATTACHMENT_LONGEST:
            told = f"The attachment {one.title!r} has {len(one.text):,} characters."
            raise BadRequest(told, f"Send at most {ATTACHMENT_LONGEST:,}.")
        if one.start_line < 1:
            raise BadRequest(f"The attachment {one.title!r} begins at line {one.start_line}.", "Lines count from 1.")


def _passages(one: Attachment) -> list[Passage]:
    if one.cell_id:
        cell = Cell(one.cell_id, one.cell_index or 0, "code", one.execution_count)
        unit = Unit(one.text, "notebook", "python", one.start_line, cell=cell)
    else:
        unit = Unit(one.text, "doc", "", one.start_line)
    return split(unit, one.path or one.title)


def _cell_of(hit: RootHit) -> tuple[str, str | None]:
    return hit.passage.path, hit.passage.cell.id if hit.passage.cell else None
