import pytest

from lorebook_daemon.answer.echoes import is_echo

WHICH = "Which addresses are trusted for X-Forwarded headers if nothing is configured?"


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("The addresses are trusted for X-Forwarded headers if nothing is configured.", WHICH),
        ("Addresses are trusted.", WHICH),
        ("The valve opens at a pressure.", "At what pressure does the valve open?"),
    ],
)
def test_who_says_the_question_again_answers_nothing(sentence: str, question: str) -> None:
    assert is_echo(sentence, question)


@pytest.mark.parametrize(
    ("sentence", "question"),
    [
        ("127.0.0.1 is trusted.", WHICH),
        ("The loopback address is trusted.", WHICH),
        ("No address is trusted.", "Which address is trusted?"),
        ("The valve opens.", "Does the valve open?"),
        ("The valve opens when the pump runs.", "When the pump runs, does the valve open?"),
        ("The valve opens.", "the valve opens"),
    ],
)
def test_who_adds_a_word_or_says_yes_or_no_answers(sentence: str, question: str) -> None:
    assert not is_echo(sentence, question)
