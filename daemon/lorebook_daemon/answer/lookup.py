"""How a question is looked up: as it stands, or put in other words first, and reranked afterwards."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lorebook_api.asking import Message
from lorebook_api.indexing import Progress
from lorebook_api.retrieval import Rerank, Rewrite
from lorebook_daemon.answer.reading import Emit
from lorebook_daemon.answer.reranking import READ_BY_MODEL, RERANKERS, Means, Reranking
from lorebook_daemon.answer.retrieved import Retrieved, Retriever
from lorebook_daemon.answer.rewriting import REWRITERS, Rewritten, Widened, is_follow_up
from lorebook_daemon.engine.protocol import ASKING, Engine, Turn


@dataclass(frozen=True)
class Lookup:
    """What a request wants done with its question before and after the search."""

    rerank: Rerank
    rewrite: Rewrite
    history: tuple[Message, ...] = ()
    cross_encoder: str = ""
    """The folder of a cross-encoder's files."""

    def wants_model(self, question: str) -> bool:
        """Return whether a model has to be in memory for it."""
        return self.rerank in READ_BY_MODEL or self._rewrites(question)

    async def prepared(
        self, question: str, retriever: Retriever, engine: Engine | None, emit: Emit, turn: Turn = ASKING
    ) -> tuple[str, Retriever]:
        """Return the question as it is understood, and the retriever that carries out the rest.

        Raises BadRequest and Unusable where there is no cross-encoder, and what the engine raises.
        """
        rewritten = await self._rewritten(question, engine, emit, turn)
        if rewritten.queries or rewritten.instead:
            retriever = Widened(retriever, rewritten.queries, rewritten.instead)
        if rewritten.question != question:
            retriever = _Telling(retriever, f"Understood as: {rewritten.question}")
        make = RERANKERS[self.rerank]
        if make is not None:
            retriever = Reranking(retriever, make(Means(engine, turn, self.cross_encoder)), emit)
        return rewritten.question, retriever

    async def _rewritten(self, question: str, engine: Engine | None, emit: Emit, turn: Turn) -> Rewritten:
        rewriter = REWRITERS[self.rewrite]
        if rewriter is None or engine is None or not self._rewrites(question):
            return Rewritten(question)
        await emit("progress", Progress("putting the question in other words"))
        return await rewriter.rewrite(question, self.history, engine, turn)

    def _rewrites(self, question: str) -> bool:
        if self.rewrite == "follow-up":
            return bool(self.history) and is_follow_up(question)
        return self.rewrite != "none"


@dataclass(frozen=True)
class _Telling:
    """A Retriever whose results come with a notice."""

    retriever: Retriever
    notice: str

    async def retrieve(self, query: str, k: int) -> Retrieved:
        """Return what the retriever finds."""
        found = await self.retriever.retrieve(query, k)
        return replace(found, notices=(self.notice, *found.notices))
