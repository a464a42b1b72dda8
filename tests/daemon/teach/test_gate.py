from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.teach.gate import general_check, interval, judge

RIGHT, WRONG = [True] * 24, [False] * 24


def test_an_adapter_acts_only_if_what_was_kept_back_is_said_better():
    assert judge(2.0, 1.0, RIGHT, RIGHT).active
    assert "did not fall" in judge(2.0, 2.0, RIGHT, RIGHT).reason
    assert not judge(2.0, float("nan"), RIGHT, RIGHT).active
    assert "Nothing was kept back" in judge(None, None, RIGHT, RIGHT).reason


def test_an_adapter_that_forgot_what_the_model_knew_stays_a_candidate():
    verdict = judge(2.0, 1.0, RIGHT, WRONG)
    assert not verdict.active and "fell from 24 to 0 of 24" in verdict.reason
    assert judge(2.0, 1.0, RIGHT, [False, *RIGHT[1:]]).active  # one question is within what chance does


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_the_interval_holds_the_change(pairs):
    before, after = zip(*pairs, strict=True)
    least, most = interval(before, after)
    change = (sum(after) - sum(before)) / len(pairs)
    assert least <= change + 1e-9 and change - 1e-9 <= most


def test_the_general_check_has_its_answers_in_all_places():
    choices = general_check()
    assert len(choices) >= 20
    assert all(sum(one.letter == letter for one in choices) >= len(choices) // 5 for letter in "ABCD")
