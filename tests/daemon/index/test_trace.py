from lorebook_api.schema import RankStep
from lorebook_daemon.index.trace import Trace


def test_a_candidate_has_its_score_and_place_after_each_step():
    trace = Trace()
    trace.note("words", {1: 3.0, 2: 5.0})
    trace.note("fused", {1: 0.5, 2: 0.5, 3: 0.25})
    assert trace.steps(1) == (RankStep("words", 3.0, 2), RankStep("fused", 0.5, 1))
    assert trace.steps(3) == (RankStep("words", 0.0, 0), RankStep("fused", 0.25, 3)), "not in the first list"
    assert trace.steps(9) == (RankStep("words", 0.0, 0), RankStep("fused", 0.0, 0))
