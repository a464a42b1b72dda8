import numpy as np

from lorebook_api.retrieval import RankStep
from lorebook_daemon.index.trace import Trace


def test_a_candidate_has_its_score_and_place_after_each_step():
    trace = Trace()
    trace.note("words", (1, 2), (3.0, 5.0))
    trace.note("fused", [1, 2, 3], np.array([0.5, 0.5, 0.25]))
    assert trace.of(1) == (RankStep("words", 3.0, 2), RankStep("fused", 0.5, 1))
    assert trace.of(3) == (RankStep("words", 0.0, 0), RankStep("fused", 0.25, 3)), "not in the first list"
    assert trace.of(9) == (RankStep("words", 0.0, 0), RankStep("fused", 0.0, 0))


def test_a_signal_tells_what_it_multiplied_a_score_by():
    trace = Trace()
    trace.note("together", (1, 2, 3), np.array([0.6, 0.2, 0.1]), np.array([0.3, 0.4, 0.0]))
    assert [trace.of(key)[0].factor for key in (1, 2, 3)] == [2.0, 0.5, None], "from nothing there is no factor"
