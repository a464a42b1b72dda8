"""Cosine, inner product and Euclidean distance: each beside brute force, compared one by one and by the graph."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from lorebook_api.retrieval import Similarity
from lorebook_daemon.index import vectors as module
from lorebook_daemon.index.similarity import OPERATORS, compared, told_by_hnswlib, told_by_pgvector
from lorebook_daemon.index.vectors import Vectors
from lorebook_daemon.settings import _CHOICES

SIMILARITIES = get_args(Similarity)
DIMENSIONS, MANY = 8, 400
each = pytest.mark.parametrize("similarity", SIMILARITIES)


def rows(n, seed=0, *, unit):
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n, DIMENSIONS)).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix if unit else matrix * random.uniform(0.5, 4.0, (n, 1)).astype(np.float32)


def brute(similarity, question, matrix):
    """Return how near each row is, the plain way, the nearest the greatest."""
    if similarity == "l2":
        return -np.linalg.norm(matrix - question, axis=1)
    if similarity == "ip":
        return matrix @ question
    return matrix @ question / np.linalg.norm(matrix, axis=1) / np.linalg.norm(question)


def filled(similarity, matrix):
    vectors = Vectors.empty(DIMENSIONS, similarity)
    vectors.add(range(len(matrix)), matrix)
    return vectors


def test_a_setting_and_an_operator_for_each():
    assert set(OPERATORS) == set(_CHOICES["similarity"]) == set(SIMILARITIES)


@each
@pytest.mark.parametrize("exact_below", [0, 10_000], ids=["graph", "one by one"])
@pytest.mark.parametrize("unit", [True, False])
def test_the_order_is_that_of_brute_force(monkeypatch, similarity, exact_below, unit):
    monkeypatch.setattr(module, "_EXACT_BELOW", exact_below)
    matrix, questions = rows(MANY, unit=unit), rows(20, 1, unit=unit)
    vectors = filled(similarity, matrix)
    same = 0
    for question in questions:
        ids, near = vectors.nearest(question, 10)
        assert near.tolist() == sorted(near.tolist(), reverse=True)
        assert near == pytest.approx(compared(similarity, question, matrix[ids]), abs=1e-4)
        same += len(set(ids.tolist()) & set(np.argsort(-brute(similarity, question, matrix))[:10].tolist()))
    assert same / 200 > (0.95 if exact_below == 0 else 0.999)


def test_vectors_of_length_one_are_equally_near_by_all_three_and_others_are_not():
    for unit, orders in ((True, 1), (False, 3)):
        matrix, question = rows(MANY, unit=unit), rows(1, 1, unit=unit)[0]
        found = [filled(similarity, matrix).nearest(question, 10) for similarity in SIMILARITIES]
        assert len({tuple(ids.tolist()) for ids, _ in found}) == orders
        if unit:
            assert all(near == pytest.approx(matrix[ids] @ question, abs=1e-5) for ids, near in found)


@each
def test_what_lengthens_all_vectors_leaves_nearness_as_it_was(similarity):
    matrix, question = rows(50, unit=True), rows(1, 1, unit=True)[0]
    near, longer = (compared(similarity, question * times, matrix * times) for times in (1, 30))
    assert near == pytest.approx(longer, abs=1e-4)


@each
def test_a_vector_of_nothing_is_near_to_none(similarity):
    near = compared(similarity, np.zeros(DIMENSIONS, np.float32), rows(5, unit=True))
    assert np.isfinite(near).all()


@each
def test_saved_and_loaded_it_is_still_for_that_similarity(tmp_path, similarity):
    matrix, question = rows(MANY, unit=False), rows(1, 1, unit=False)[0]
    vectors = filled(similarity, matrix)
    vectors.save(tmp_path, "v.graph")
    ids, near = Vectors.load(tmp_path / "v.graph").nearest(question, 10)
    before = vectors.nearest(question, 10)
    assert (ids.tolist(), near.tolist()) == (before[0].tolist(), before[1].tolist())


def test_distances_as_the_libraries_tell_them():
    matrix, question = rows(50, unit=False), rows(1, 1, unit=False)[0]
    cosine = brute("cosine", question, matrix)
    told = {
        "cosine": (1 - cosine, 1 - cosine),
        "ip": (1 - matrix @ question, -(matrix @ question)),
        "l2": (((matrix - question) ** 2).sum(axis=1), np.linalg.norm(matrix - question, axis=1)),
    }
    for similarity, (hnswlib, pgvector) in told.items():
        near = compared(similarity, question, matrix)
        assert told_by_hnswlib(similarity, question, hnswlib) == pytest.approx(near, abs=1e-4)
        assert told_by_pgvector(similarity, question, pgvector) == pytest.approx(near, abs=1e-4)
