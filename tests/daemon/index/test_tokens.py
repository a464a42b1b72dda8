from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.tokens import (
    STOP_WORDS,
    bare_identifier,
    definition_term,
    inner_identifiers,
    parts,
    passage_terms,
    question_terms,
    spelled_names,
    terms_of,
    words,
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("parseDates", ("parse", "dates")),
        ("HTTPServer_v2", ("http", "server", "v", "2")),
        ("drop_null_rows", ("drop", "null", "rows")),
        ("__init__", ("init",)),
        ("URL", ("url",)),
        ("größe", ("grösse",)),
        ("___", ()),
    ],
)
def test_parts_of_identifiers(word, expected):
    assert parts(word) == expected


def test_whole_identifier_is_kept_beside_its_parts():
    assert terms_of("parseDates") == ("parsedates", "pars", "date")


def test_one_stem_for_the_forms_of_a_word():
    assert terms_of("validating") == terms_of("validates") == terms_of("Validate")


def test_question_meets_identifier():
    passage = Passage("a.py", 1, 1, "def drop_null_rows(frame): ...", "code")
    assert set(question_terms("which function drops the null rows?")) - {"function"} <= {"drop", "null", "row"} | {
        *passage_terms(passage),
        "function",
    }
    assert {"drop", "null", "row"} <= passage_terms(passage).keys()


def test_stop_words_go_from_questions_only():
    assert question_terms("how is the threshold used") == ["threshold"]
    assert "use" in passage_terms(Passage("a.py", 1, 1, "use", "code"))


def test_question_of_stop_words_keeps_them():
    assert question_terms("what is it") == ["what", "is", "it"]


def test_decimal_number_is_one_term():
    assert words("test_size=0.25, v1") == ["test_size", "0.25", "v1"]
    assert "0.25" in passage_terms(Passage("n.ipynb", 1, 1, "split(test_size=0.25)", "notebook"))


def test_unspaced_scripts_become_pairs():
    assert terms_of("機械学習") == ("機械", "械学", "学習")
    assert terms_of("木") == ("木",)


def test_fields_of_a_passage():
    passage = Passage("deep/down/under/store/cache.py", 1, 1, "pass", "code", context=("class Lru:",), defines=("Lru",))
    counts = passage_terms(passage)
    assert counts["cach"] == 2
    assert "deep" not in counts
    assert counts["store"] == counts["under"] == 1
    assert counts["lru"] == 1
    assert counts[definition_term("Lru")] == 1


def test_definition_term_takes_the_last_name():
    assert definition_term("App.run") == definition_term("std::Run") == definition_term("run")


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("BaseModel", "BaseModel"),
        (" app.run() ", "run"),
        ("std::vector", "vector"),
        ("base model", None),
        ("3", None),
        ("", None),
    ],
)
def test_bare_identifier(question, name):
    assert bare_identifier(question) == name


def test_names_inside_a_sentence():
    assert inner_identifiers("how does BaseModel call model_post_init and run() on JSON in 3d") == [
        "BaseModel",
        "model_post_init",
        "run",
    ]


def test_names_that_a_sentence_may_spell():
    assert spelled_names("How is the JSON object built?") == [
        "json",
        "object",
        "built",
        "jsonobject",
        "json_object",
        "objectbuilt",
        "object_built",
    ]
    assert spelled_names("is it up?") == []


@given(st.text(max_size=200))
def test_any_text_gives_terms_that_have_letters(text):
    for term in (*question_terms(text), *passage_terms(Passage("p", 1, 1, text, "doc"))):
        assert term
        assert "\n" not in term


@given(st.text(max_size=60), st.sampled_from(sorted(STOP_WORDS)))
def test_adding_a_stop_word_changes_nothing(text, stop):
    if any(word.casefold() not in STOP_WORDS for word in words(text)):
        assert question_terms(f"{text} {stop}") == question_terms(text)
