import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook.arguments import AskOptions, parse_options
from lorebook_api.errors import BadRequest
from lorebook_api.retrieval import Filters


@pytest.mark.parametrize(
    ("line", "options", "rest"),
    [
        ("what's up?", AskOptions(), "what's up?"),
        ("", AskOptions(), ""),
        ("--root a --root 'b c' why -k?", AskOptions(roots=("a", "b c")), "why -k?"),
        ("-k 6 --max-tokens=9 --no-grounding why", AskOptions(k=6, max_tokens=9, grounding=False), "why"),
        ('--adapter "x y:0.5" --model m', AskOptions(adapters=("x y:0.5",), model="m"), ""),
        (
            "--path src/ --path '!old/' --kind code --tag a why",
            AskOptions(filters=Filters(("src/", "!old/"), ("code",), tags=("a",))),
            "why",
        ),
        ("--language=sql --notebook e.ipynb q", AskOptions(filters=Filters((), (), ("sql",), "", ("e.ipynb",))), "q"),
        ("-- -k is what?", AskOptions(), "-k is what?"),
        ("- why?", AskOptions(), "- why?"),
    ],
)
def test_options_come_first(line: str, options: AskOptions, rest: str) -> None:
    assert parse_options(line) == (options, rest)


@pytest.mark.parametrize(
    "line", ["-k", "-k 0", "-k many", "-k 101", "--max-tokens 0", "--colour red", "--root", "-k ²"]
)
def test_what_is_no_option(line: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_options(line)
    assert caught.value.hint == "Type: %lore help"


@given(st.text(alphabet="-=k 'x\"1"))
def test_only_a_bad_request_is_raised(line: str) -> None:
    with contextlib.suppress(BadRequest):
        parse_options(line)


@pytest.mark.parametrize(
    ("line", "hint"), [("--since soon", "2026-11-01"), ("--kind picture", "notebook"), ("--path '' q", "Leave it out")]
)
def test_a_filter_that_is_none_says_what_to_type(line: str, hint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_options(line)
    assert hint in caught.value.hint
