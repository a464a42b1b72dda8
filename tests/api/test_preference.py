from lorebook_api.feedback import Feedback, KeptFeedback
from lorebook_api.preference import Preference, approved, preferences
from lorebook_api.teaching import Pair


def kept(*given: Feedback) -> list[KeptFeedback]:
    """Return it as the daemon tells it: the latest first."""
    return [KeptFeedback(n, "2030", one) for n, one in enumerate(given, 1)][::-1]


def test_a_correction_is_better_than_what_it_put_right() -> None:
    assert preferences(kept(Feedback("edited", "q", "wrong", edited="right"))) == (Preference("q", "right", "wrong"),)
    assert preferences(kept(Feedback("edited", "q", "same", edited="same "))) == ()


def test_of_two_that_were_shown_together_the_thumb_says_which() -> None:
    pairs = preferences(kept(Feedback("up", "q", "a", other="b"), Feedback("down", "q", "c", other="d")))
    assert pairs == (Preference("q", "a", "b"), Preference("q", "d", "c"))


def test_of_one_question_what_was_praised_is_better_than_what_was_not() -> None:
    given = (
        Feedback("down", "q", "bad"),
        Feedback("up", "q", "good"),
        Feedback("up", "q", "fine"),
        Feedback("up", "other", "alone"),
        Feedback("opened", "q"),
    )
    assert preferences(kept(*given)) == (Preference("q", "good", "bad"), Preference("q", "fine", "bad"))


def test_each_pair_comes_once_and_the_oldest_first() -> None:
    one, two = Feedback("edited", "q", "a", edited="b"), Feedback("edited", "p", "a", edited="b")
    assert preferences(kept(one, two, one)) == (Preference("q", "b", "a"), Preference("p", "b", "a"))


def test_approved_is_what_was_praised_or_put_right_and_not_rejected_since() -> None:
    given = (
        Feedback("up", "q", "good"),
        Feedback("edited", "p", "wrong", edited="right"),
        Feedback("up", "q", "good"),
        Feedback("up", "r", "hasty"),
        Feedback("down", "r", "hasty"),
        Feedback("opened", "s"),
    )
    assert approved(kept(*given)) == (Pair("q", "good"), Pair("p", "right"))
