import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.answer.attribute import supporting_lines

TEXT = """def settle(readings, limit=12):
    # Twelve equal readings in a row mean that the sensor is stuck.
    run = 1
    for before, after in pairs(readings):
        run = run + 1 if before == after else 1
        if run >= limit:
            return True
    return False
rmse: 2.94 cm
r2: 0.9312"""


@pytest.mark.parametrize(
    ("sentence", "lines"),
    [
        ("The RMSE was 2.94 cm.", (8, 8)),
        ("A sensor is stuck after twelve equal readings in a row.", (1, 1)),
        ("The limit of settle is 12.", (0, 0)),
        ("It returns True when run reaches the limit.", (5, 6)),
    ],
)
def test_the_lines_that_a_sentence_rests_on(sentence: str, lines: tuple[int, int]) -> None:
    found = supporting_lines(sentence, TEXT)
    assert (found.start, found.end) == lines
    assert found.overlap > 0.3


@given(st.text(max_size=80), st.text(max_size=300))
def test_lines_stay_within_the_passage(sentence: str, text: str) -> None:
    found = supporting_lines(sentence, text)
    assert 0 <= found.start <= found.end < len(text.split("\n"))
    assert 0.0 <= found.overlap <= 1.0 + 1e-9


def test_a_sentence_that_shares_nothing_points_at_the_whole_passage() -> None:
    found = supporting_lines("Bananas.", TEXT)
    assert (found.start, found.end, found.overlap) == (0, 9, 0.0)
