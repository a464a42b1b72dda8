import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.answer.numbers import unbacked_numbers, values

TEXT = """rmse: 2.94 cm
r2: 0.9312
1200 rows in 12 files
BH-01,3,840,2024-03-31 02:00"""


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("It is 2.94 cm and 12 files.", []),
        ("It is 2.95 cm.", ["2.95"]),
        ("It is 2.9 cm, not 3.1.", ["3.1"]),
        ("r2 was 0.93, that is 93.1%, or 93 %.", []),
        ("r2 was 0.94.", ["0.94"]),
        ("It took 1,200 rows, or 1_200.0.", []),
        ("It took 1,201 rows.", ["1,201"]),
        ("BH-01 is 840 m away; at 02:00 on 2024-03-31.", []),
        ("BH-07 is 841 m away.", ["07", "841"]),
        ("No numbers at all, not in q4_k.", []),
    ],
)
def test_numbers_that_stand_nowhere(sentence: str, missing: list[str]) -> None:
    assert unbacked_numbers(sentence, TEXT[:40], TEXT[40:]) == missing


@given(st.integers(0, 10**9))
def test_one_number_however_it_is_written(number: int) -> None:
    for written in (f"{number}", f"{number:,}", f"{number:_}", f"{number}.0"):
        assert number in values(f"it is {written} here")
        assert unbacked_numbers(f"it is {written} here", f"n = {number}") == []
        assert unbacked_numbers(f"it is {number}", f"it is {written} here") == []


@given(st.text(), st.text())
def test_any_text_can_be_read(sentence: str, text: str) -> None:
    assert unbacked_numbers(sentence, sentence, text) == []
