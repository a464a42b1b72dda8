import logging
from pathlib import Path

import pytest
import semble_grammars

from lorebook_daemon.index import grammars
from lorebook_daemon.index.loaders.structured import STRUCTURED
from lorebook_daemon.index.loaders.text import load_markup


def test_every_language_is_one_that_the_grammars_know():
    assert set(grammars.LANGUAGES.values()) <= set(semble_grammars.available_languages())
    assert set(STRUCTURED.values()) - {""} <= set(semble_grammars.available_languages())


def test_every_grammar_can_be_reached_by_a_file():
    markup = {unit.language for name in ("a.adoc", "a.org", "a.sty", "a.typ") for unit in load_markup(Path(name), b"x")}
    reached = {*grammars.LANGUAGES.values(), *STRUCTURED.values(), *markup}
    # Read by loaders of their own, or parts of another grammar.
    assert set(semble_grammars.available_languages()) - reached == {
        "html",
        "markdown",
        "markdown_inline",
        "php_only",
        "rst",
    }


def test_a_grammar_that_is_missing_is_told_once(caplog):
    with caplog.at_level(logging.WARNING):
        assert grammars.grammar("no-such-language") is None
        assert grammars.grammar("no-such-language") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no-such-language" in caplog.text


def test_grammars_are_unpacked_below_lorebooks_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LOREBOOK_HOME", str(tmp_path))
    monkeypatch.delenv(grammars.CACHE_VARIABLE, raising=False)
    semble_grammars.get_language.cache_clear()
    try:
        assert grammars.grammar.__wrapped__("json") is not None
    finally:
        semble_grammars.get_language.cache_clear()
    folder = tmp_path / "cache" / "grammars" / semble_grammars.__version__
    assert [file for file in folder.rglob("*") if file.is_file()]


def test_a_parse_that_takes_too_long_is_given_up(monkeypatch):
    python = grammars.grammar("python")
    assert python is not None
    source = b"x = [1, 2, 3]\n" * 20_000
    assert grammars.parse(python, source) is not None
    monkeypatch.setattr(grammars, "PARSE_SECONDS", -1.0)
    assert grammars.parse(python, source) is None


@pytest.mark.parametrize("size", [grammars.LARGEST_TREE + 1])
def test_no_tree_of_a_huge_file(size):
    python = grammars.grammar("python")
    assert python is not None
    assert grammars.parse(python, b"#" * size) is None
