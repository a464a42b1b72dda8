import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.answer.truths import contradicts


@pytest.mark.parametrize(
    ("sentence", "lines", "wrong"),
    [
        ("The default is `False`.", "define sets `slots=True` by default.", True),
        ("The default is False.", '"strict": true', True),
        ("It is `strict = true` there.", "strict = false", True),
        ("The default is `True`.", "define sets `slots=True` by default.", False),
        ("The default is `False`.", "slots=False, frozen=True", False),
        ("It is True, and False in old code.", "slots=True", False),
        ("It is not False.", "slots=True", False),
        ("It is True unless asked.", "slots=False", False),
        ("The default is `False`.", "nothing of the kind", False),
        ("A true story.", "flag = False", False),
        ("Trueness is Falsehood.", "True", False),
    ],
)
def test_the_opposite_of_what_the_lines_say(sentence: str, lines: str, wrong: bool) -> None:
    assert contradicts(sentence, lines) is wrong


@given(st.text())
def test_no_text_contradicts_itself(text: str) -> None:
    assert not contradicts(text, text)
