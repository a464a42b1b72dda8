import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook.fill import fill

NAMES = {"x": "text", "n": 3, "In": ["", "1+1"], "Out": {1: 2}, "inner": "{x} {n}"}
ERRORS = {7: "ValueError: no"}


def filled(text: str) -> str:
    return fill(text, NAMES, ERRORS, repr)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("{x} and {n}", "text and 3"),
        ("{In[1]} {Out[1]} {Err[7]}", "1+1 2 ValueError: no"),
        ("{In[9]} {Out[9]} {Err[9]} {y}", "{In[9]} {Out[9]} {Err[9]} {y}"),
        ("{x.upper()} {n+1} {id(n)} {x[0]} {n!r} { x }", "{x.upper()} {n+1} {id(n)} {x[0]} {n!r} { x }"),
        ("{inner}", "{x} {n}"),
        ("{{x}}", "{text}"),
        ("d = {'a': 1}; f'{", "d = {'a': 1}; f'{"),
    ],
)  # fmt: skip
def test_braces(typed: str, meant: str) -> None:
    assert filled(typed) == meant


class Mine:
    def __getattr__(self, name: str) -> object:
        raise AssertionError("nothing of an object is looked at")


@given(st.text(alphabet="{}[]xInOutErr079.-()", max_size=30))
def test_nothing_is_evaluated_and_nothing_fails(text: str) -> None:
    assert isinstance(fill(text, {"x": Mine(), "In": [], "Out": {}}, {}, lambda value: "shown"), str)
