from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.fence import code_block
from lorebook_api.markdown import link, plain, prose
from rendered import render

HARMLESS = {
    "p", "em", "strong", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "code", "blockquote", "hr",
    "br", "table", "thead", "tbody", "tr", "th", "td", "s",
}  # fmt: skip


NASTY = st.lists(
    st.sampled_from(
        ["<img src=x onerror=alert(1)>", "<script>", "</code>", "<!--", "![a](http://e.org/p.png)", "[x](javascript:a)",
         "<http://e.org>", "https://e.org", "[r]: http://e.org\n", "[r]", "`", "``", "```", "````", "~~~", "\n", "\n\n",
         "    ", "\t", "- ", "> ", "1. ", "# ", "|", "\\", "&lt;", "&#60;b>", "*", "_", "a", "[1]", "$x$", "```html\n",
         "\n```\n", "\x1b[2J", "<?php", "<a href=x>", "\r\n", "\u2028", "===\n"]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@given(NASTY)
def test_nothing_in_an_answer_acts(text: str) -> None:
    rendered = render(prose(text))
    for tag, attributes in rendered.tags:
        assert tag in HARMLESS
        assert set(attributes) <= {"class", "start"}
    assert "\x1b" not in rendered.text


@given(NASTY | st.text())
def test_a_quote_is_one_code_block_that_shows_its_text(text: str) -> None:
    rendered = render(f"before\n\n{code_block(text)}\n\nafter")
    assert [tag for tag, _ in rendered.tags] == ["p", "pre", "code", "p"]
    assert rendered.text.startswith("before") and rendered.text.rstrip().endswith("after")


@given(NASTY)
def test_plain_text_shows_its_characters(text: str) -> None:
    rendered = render(f"x{plain(text)}x")
    assert [tag for tag, _ in rendered.tags] == ["p"]
    shown = " ".join("".join(c for c in text if c >= " " or c in "\n\t").split())
    assert " ".join(rendered.text.split()) == f"x{shown}x"


@given(NASTY, st.text(max_size=20))
def test_a_link_leads_to_its_target_only(words: str, target: str) -> None:
    rendered = render(f"x {link('w' + words, 'a/' + target)}")
    assert [tag for tag, _ in rendered.tags] == ["p", "a"]
    assert set(rendered.tags[1][1]) == {"href"}
    href = rendered.tags[1][1]["href"]
    assert href is not None and href.startswith("a/")


def test_markdown_that_is_harmless_stays() -> None:
    rendered = render(prose("**bold** `a < b`\n\n- one\n- two\n\n```python\nif a < b:\n    x[1]\n```\n"))
    assert [tag for tag, _ in rendered.tags] == ["p", "strong", "code", "ul", "li", "li", "pre", "code"]
    assert "a < b" in rendered.text and "if a < b:\n    x[1]\n" in rendered.text
    assert rendered.tags[-1][1] == {"class": "language-python"}


def test_marks_are_links_outside_code_only() -> None:
    shown = prose("It drops them [1] and `x[1]`, [2].\n```\nx[1]\n```", {1: link("[1]", "a.py#L3")})
    rendered = render(shown)
    assert [tag for tag, _ in rendered.tags] == ["p", "a", "code", "pre", "code"]
    assert rendered.tags[1][1] == {"href": "a.py#L3"}
    assert "x[1], [2]" in rendered.text


def test_targets_are_quoted() -> None:
    assert link("x", "a b/ü(1).ipynb#cell-id=x>y") == "[x](<a%20b/%C3%BC%281%29.ipynb#cell-id=x%3Ey>)"
    assert link("x", "../a.py#L3") == "[x](<../a.py#L3>)"
    assert link("x", "file:///c:/a.py#L3") == "[x](<file:///c:/a.py#L3>)"
