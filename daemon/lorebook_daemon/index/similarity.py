"""How near two vectors are: cosine, inner product, or Euclidean distance, told so that ranking can compare them.

Nearness is 1 minus the angle's or the squared distance's share, by the length of what was asked: of vectors of length 1
all three are the cosine, and put passages into the same order. Of others each has an order of its own.
"""

from __future__ import annotations

import numpy as np

from lorebook_api.retrieval import Similarity
from lorebook_daemon.index.embed import Matrix

OPERATORS: dict[Similarity, str] = {"cosine": "<=>", "ip": "<#>", "l2": "<->"}
"""pgvector's: the cosine taken from 1, the inner product below 0, the distance."""


def compared(similarity: Similarity, vector: Matrix, matrix: Matrix) -> Matrix:
    """Return how near each row of `matrix` is to the vector."""
    if similarity == "l2":
        return _by_distance(((matrix - vector) ** 2).sum(axis=1), vector)
    found: Matrix = matrix @ vector
    if similarity == "ip":
        return found / _squared(vector)
    lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(vector)
    lengths[lengths == 0] = 1.0
    cosines: Matrix = found / lengths.astype(np.float32)
    return cosines


def told_by_hnswlib(similarity: Similarity, vector: Matrix, distances: Matrix) -> Matrix:
    """Return nearness from hnswlib's distances: 1 less the cosine or the inner product, or the squared distance."""
    if similarity == "l2":
        return _by_distance(distances, vector)
    return 1.0 - distances if similarity == "cosine" else (1.0 - distances) / _squared(vector)


def told_by_pgvector(similarity: Similarity, vector: Matrix, distances: Matrix) -> Matrix:
    """Return nearness from what pgvector's operator gives."""
    if similarity == "l2":
        return _by_distance(distances**2, vector)
    return 1.0 - distances if similarity == "cosine" else -distances / _squared(vector)


def _by_distance(squared: Matrix, vector: Matrix) -> Matrix:
    return 1.0 - squared / (2 * _squared(vector))


def _squared(vector: Matrix) -> float:
    return float(vector @ vector) or 1.0
