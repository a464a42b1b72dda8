"""Embeddings: vectors as the index is made with, for any text."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np

from lorebook_api.errors import BadRequest, NotFound
from lorebook_daemon.app.events import Emit
from lorebook_daemon.app.parts import Parts
from lorebook_daemon.app.v1.requests import EmbeddingBody
from lorebook_daemon.app.v1.wire import WHOLE
from lorebook_daemon.index.embed import Matrix
from lorebook_daemon.models.shelf import AUTO

_TEXTS_MOST = 2048
_BATCH = 16
"""Texts between two moments at which a request can be ended."""


async def embed(parts: Parts, body: EmbeddingBody, emit: Emit) -> None:
    """Emit a vector of length 1 for each text.

    Raises BadRequest, NotFound for another model than the index's embedder, and what bringing that one raises.
    """
    texts = _texts(body)
    named = await parts.roots.embedder(lambda progress: None)
    if body.model not in (AUTO, named.name):
        raise NotFound(f"{body.model!a} makes no embeddings here.", f"Ask for {named.name}, or for auto.")
    embedder = named.embedder
    if body.dimensions not in (None, embedder.dimensions):
        message = f"dimensions is {body.dimensions}; {named.name} makes vectors of {embedder.dimensions}."
        raise BadRequest(message, "Leave it out.")
    batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
    matrix = np.concatenate([await asyncio.to_thread(embedder.embed, batch) for batch in batches])
    tokens = await asyncio.to_thread(embedder.count, texts)
    emit(WHOLE, _told(body, matrix, named.name, tokens))


def _texts(body: EmbeddingBody) -> tuple[str, ...]:
    """Return the texts, which are one or several; raises BadRequest for tokens: those are another model's."""
    given = (body.input,) if isinstance(body.input, str) else body.input
    texts = tuple(one for one in given if isinstance(one, str))
    if len(texts) < len(given):
        hint = "Send text. In LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False)."
        raise BadRequest("input holds tokens, which mean other words to other models.", hint)
    if not texts or not all(text.strip() for text in texts):
        raise BadRequest("input is empty.", "Send a text, or several.")
    if len(texts) > _TEXTS_MOST:
        raise BadRequest(f"input holds {len(texts)} texts; it takes {_TEXTS_MOST}.", "Send several requests.")
    return texts


def _told(body: EmbeddingBody, matrix: Matrix, model: str, tokens: int) -> dict[str, Any]:
    vectors: list[Any]
    if body.encoding_format == "base64":
        vectors = [base64.b64encode(row.astype("<f4").tobytes()).decode("ascii") for row in matrix]
    else:
        vectors = matrix.tolist()
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
