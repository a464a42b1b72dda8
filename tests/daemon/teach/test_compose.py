import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.errors import BadRequest, NotFound, Unusable
from lorebook_api.teaching import Pair, TeachRequest, TrainSettings, pairs_in
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.datafile import read_data
from lorebook_daemon.teach.examples import Example, Origin, Turn, left_out, read_examples, write_examples
from lorebook_daemon.teach.hygiene import flagged
from lorebook_daemon.teach.recipes import RECIPES
from lorebook_daemon.teach.select import Selection, positions, read_cells
from lorebook_daemon.teach.split import FEW, split
from lorebook_daemon.teach.wordings import kept_wordings, learnt_wordings


def chosen(path, **how):
    return [cell.index for cell in read_cells(path, Selection(**how)) if cell.chosen]


def taught(path, recipe="auto", **how):
    return [(one.question, one.answer) for one in RECIPES[recipe](read_cells(path, Selection(**how)))]


def made(question="What is it?", answer="It is blue.", cell="c1"):
    return Example((Turn("user", question),), answer, Origin("/lab.ipynb", cell))


# -- select


def test_cells_are_chosen_by_position_range_tag_id_or_because_they_teach(lab):
    assert chosen(lab, cells="0,2-3") == [0, 2, 3]
    assert chosen(lab, tags=("keep",)) == [1]
    assert chosen(lab, ids=("c2",), tags=("keep",)) == [1, 2]
    assert chosen(lab) == [3, 4]
    assert chosen(lab, whole=True) == [0, 1, 2, 3, 4, 6]  # a cell that asks teaches nothing


@pytest.mark.parametrize("how", [{"cells": "7"}, {"cells": "5-3"}, {"cells": "two"}, {"tags": ("x",)}, {"ids": ("z",)}])
def test_what_is_not_there_cannot_be_chosen(lab, how):
    with pytest.raises(BadRequest) as refused:
        chosen(lab, **how)
    assert refused.value.hint


@given(st.sets(st.integers(0, 30), min_size=1))
def test_positions_are_what_was_written(wanted):
    assert positions(",".join(map(str, sorted(wanted))), 31) == wanted
    assert positions(f"{min(wanted)}-{max(wanted)}", 31) == set(range(min(wanted), max(wanted) + 1))


def test_what_is_no_notebook_is_refused(tmp_path):
    with pytest.raises(NotFound):
        read_cells(tmp_path / "none.ipynb", Selection())
    (tmp_path / "bad.ipynb").write_text("{")
    with pytest.raises(Unusable, match=r"bad\.ipynb"):
        read_cells(tmp_path / "bad.ipynb", Selection())


# -- recipes


def test_each_recipe_makes_its_examples(lab):
    code = "```\ndf = df.dropna()\nlen(df)\n```"
    prose = "Rows without a date are dropped."
    assert taught(lab, "explain", whole=True) == [(f"Explain what this code of lab.ipynb does:\n\n{code}", prose)]
    assert taught(lab, "write", whole=True) == [(f"Write the code of lab.ipynb for this:\n\n{prose}", code)]
    assert taught(lab, "result", whole=True) == [(f"What does this code of lab.ipynb show?\n\n{code}", "421")]
    assert ("", prose) in taught(lab, "text", whole=True)
    pairs = [("Who wrote it?", "Anna did."), ("When?", "In May."), ("Where?", "In Oslo.")]
    assert taught(lab, "qa") == pairs
    assert taught(lab) == pairs


def test_auto_explains_code_and_keeps_pairs(lab):
    answers = {answer for _, answer in taught(lab, whole=True)}
    assert answers == {"Anna did.", "In May.", "In Oslo.", "Rows without a date are dropped.", "421"}


def test_auto_takes_notes_that_ask_and_answer(tmp_path):
    sources = [
        "Who keeps the key?\n\nInes does.",
        "Keys.\n\nThere are two.",
        "Why?",
        "Where?\n\nHere.\n---\nWhen?\n\nNow.",
    ]
    cells = [{"cell_type": "markdown", "id": f"c{n}", "metadata": {}, "source": one} for n, one in enumerate(sources)]
    path = tmp_path / "notes.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    assert taught(path, whole=True) == [("Who keeps the key?", "Ines does."), ("Where?", "Here."), ("When?", "Now.")]


@given(st.lists(st.tuples(st.text("ab ?", min_size=1), st.text("xy .\n", min_size=1)), min_size=1, max_size=4))
def test_pairs_are_read_back(pairs):
    clean = [(q.strip() or "q", " ".join(a.split()) or "a") for q, a in pairs]
    written = "\n---\n".join(f"{question}\n\n{answer}" for question, answer in clean)
    assert pairs_in(written) == tuple(Pair(question, answer) for question, answer in clean)


# -- data files

SHAPES = [
    ({"instruction": "Add.", "input": "1 and 2", "output": "3"}, [("Add.\n\n1 and 2", "3")]),
    ({"instruction": "Hi", "input": "", "output": "Hello"}, [("Hi", "Hello")]),
    ({"prompt": "p", "completion": "c"}, [("p", "c")]),
    ({"question": "q", "answer": "a"}, [("q", "a")]),
    ({"text": "plain"}, [("", "plain")]),
    ({"conversations": ["one", "two", "three", "four"]}, [("one", "two"), ("three", "four")]),
    ({"conversations": [{"from": "human", "value": "h"}, {"from": "gpt", "value": "g"}]}, [("h", "g")]),
    (
        {"messages": [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "u"), ("assistant", "a"))]},
        [("u", "a")],
    ),
]


@pytest.mark.parametrize(("row", "expected"), SHAPES)
@pytest.mark.parametrize("lines", [True, False])
def test_every_shape_is_read_as_json_and_as_lines(tmp_path, row, expected, lines):
    path = tmp_path / "data.json"
    path.write_text("\n".join([json.dumps(row)] * 2) if lines else json.dumps([row, row]))
    assert [(one.question, one.answer) for one in read_data(path)] == expected * 2


def test_a_later_answer_comes_after_all_that_was_said(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps([{"conversations": ["one", "two", "three", "four"]}]))
    assert [turn.content for turn in read_data(path)[1].turns] == ["one", "two", "three"]
    assert len({one.origin.group for one in read_data(path)}) == 1  # what is held out is a whole conversation


@pytest.mark.parametrize("text", ["{", '[{"a": 1}]', "[1]", '[{"instruction": "x"}]', '{"messages": [{"role": "x"}]}'])
def test_a_row_without_a_shape_is_named(tmp_path, text):
    path = tmp_path / "data.json"
    path.write_text(text)
    with pytest.raises(Unusable, match=r"data\.json"):
        read_data(path)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"conversations": ["one alone"]}, "no answer"),
        ({"conversations": []}, "no answer"),
        ({"messages": [{"role": "user", "content": "u"}]}, "no answer"),
        ({"messages": [{"role": r, "content": "c"} for r in ("user", "assistant", "tool")]}, "unknown role"),
        ({"conversations": [{"from": "observation", "value": "v"}]}, "unknown role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "t"}]}]}, "no text"),
        ({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": None}]}, "no text"),
    ],
)
def test_a_row_that_gives_no_example_is_left_out_and_the_others_are_read(tmp_path, row, why):
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, [row, {"prompt": "p", "completion": "c"}])))
    examples = compose(TeachRequest(data=(str(path),), keep=(why,)))
    assert examples[0].left_out.startswith(f"{why}: ") and examples[0].origin.cell == "row 1"
    assert [one.answer for one in examples if not one.left_out and not one.held_out] == ["c"]
    assert left_out(examples) == {why: 1}


def test_what_looks_like_the_end_of_a_line_may_stand_in_a_text(tmp_path):
    path = tmp_path / "data.jsonl"
    row = {"instruction": "a\u2028b\x85c", "output": "d\u2029e"}
    path.write_text(f"{json.dumps(row, ensure_ascii=False)}\r\n" * 2, encoding="utf-8", newline="")
    assert [(one.question, one.answer) for one in read_data(path)] == [("a\u2028b\x85c", "d\u2029e")] * 2


@pytest.mark.parametrize(
    ("text", "where"), [('{"text": "a"}\n\n{"text": ', "line 3"), ('[{"text": "a"},\n {"text" "b"}]', "line 2")]
)
def test_a_fault_is_told_with_its_line(tmp_path, text, where):
    path = tmp_path / "data.jsonl"
    path.write_text(text)
    with pytest.raises(Unusable, match=where):
        read_data(path)


# -- hygiene

LONG = "The pump in hall three was repaired on Tuesday morning and then ran without a fault until late on Friday"


@pytest.mark.parametrize(
    ("question", "answer", "flag"),
    [
        ("What?", "  ", "empty"),
        ("What?", "what?", "low-quality"),
        ("What?", "...", "low-quality"),
        ("What?", "no no no " * 20, "low-quality"),
        ("Key?", "It is AKIAIOSFODNN7EXAMPLE.", "secret"),
        ("Key?", "-----BEGIN RSA PRIVATE KEY-----", "secret"),
        ("Who?", "Write to ines.okafor@example.org.", "secret"),
        ("How?", 'password = "correct-horse"', "secret"),
        ("Where?", "postgres://ines:hunter22@db.example.org/lab", "secret"),
        ("Where?", "In hall three.", ""),
        ("How do I set a token?", "Pass token=None.", ""),
    ],
)
def test_what_should_not_be_taught_is_flagged(question, answer, flag):
    (one,) = flagged([made(question, answer)])
    assert one.left_out.partition(":")[0] == flag
    if flag:
        (kept,) = flagged([made(question, answer)], keep=(flag,))
        assert not kept.left_out


def test_the_rejected_answer_of_a_pair_is_looked_at_too():
    (one,) = flagged([replace(made(), rejected='Log in with password="hunter2x".')])
    assert one.left_out == "secret: it holds what is given as password"


def test_the_same_twice_and_nearly_the_same_are_taught_once():
    near = (
        LONG.replace("Friday", "Saturday") + " as far as anybody in the whole team can tell from the logs of that week"
    )
    long = LONG + " as far as anybody in the whole team can tell from the logs of that week"
    flags = [one.left_out.partition(":")[0] for one in flagged([made(), made(), made(answer=long), made(answer=near)])]
    assert flags == ["", "duplicate", "", "near-duplicate"]


def test_short_facts_that_differ_in_a_word_are_all_taught():
    facts = [made(f"What colour is cable {n}?", f"It is colour {n}.") for n in range(40)]
    assert not any(one.left_out for one in flagged(facts))


def test_a_hundred_thousand_examples_take_no_more_than_their_number():
    many = [
        made(f"What is {n}?", f"It is {n * 7} and a good deal more than {n}, as one can see here") for n in range(3000)
    ]
    assert len(flagged(many)) == 3000


# -- split


def test_whole_cells_are_kept_back_so_that_nothing_leaks():
    examples = [made(f"q{n}?", f"a{n}", cell=f"c{n // 2}") for n in range(4 * FEW)]
    parts = split(examples, 0.2, seed=1)
    kept = {one.origin.group for one in parts if one.held_out}
    assert len(kept) == round(2 * FEW * 0.2)
    assert not kept & {one.origin.group for one in parts if not one.held_out}
    assert [one.held_out for one in split(examples, 0.2, seed=1)] == [one.held_out for one in parts]
    assert [one.held_out for one in split(examples, 0.2, seed=2)] != [one.held_out for one in parts]


def test_cells_that_an_example_holds_together_are_kept_back_together(notebook):
    prose = [f"What does step {n} do?\n\nIt makes table {n} of what it was given." for n in range(2 * FEW)]
    cells = [
        {"cell_type": kind, "metadata": {}, "source": source, "outputs": []}
        for n, told in enumerate(prose)
        for kind, source in (("markdown", told), ("code", f"table_{n} = step_{n}(given_{n})"))
    ]
    parts = compose(TeachRequest(notebooks=(str(notebook(*cells)),), whole=True, settings=TrainSettings(held_out=0.2)))
    kept = {one.group for part in parts if part.held_out for one in part.origins}
    learnt = {one.group for part in parts if not part.held_out for one in part.origins}
    assert len(kept) == 2 * round(2 * FEW * 0.2) and not kept & learnt


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=1, max_size=60))
def test_no_cell_is_ever_learnt_and_measured_with(cells):
    places = [[Origin("/lab.ipynb", f"c{n}") for n in one] for one in cells]
    parts = split([Example((), f"text {n}", a, also=tuple(b)) for n, (a, *b) in enumerate(places)], 0.2, seed=1)
    kept = {one.group for part in parts if part.held_out for one in part.origins}
    assert not kept & {one.group for part in parts if not part.held_out for one in part.origins}


def test_the_same_cells_are_kept_back_wherever_the_notebook_lies():
    def kept(folder):
        examples = [
            Example((Turn("user", f"What is {n}?"),), f"It is {n}.", Origin(f"{folder}/lab.ipynb", f"c{n}"))
            for n in range(2 * FEW)
        ]
        return [one.origin.cell for one in split(examples, 0.2, seed=1) if one.held_out]

    assert kept("/home/ada") == kept("/srv/copy")


def test_of_few_cells_all_are_taught_and_other_wordings_measured():
    parts = split([made("What is the rate?", "42")], 0.1, seed=0)
    learnt = {wording for one in parts if not one.held_out for wording in one.wordings}
    kept = {one.question for one in parts if one.held_out}
    assert "What is the rate?" in learnt and len(learnt) > 2
    assert kept and not kept & learnt


# -- the whole


def test_a_request_becomes_examples(lab, tmp_path):
    examples = compose(TeachRequest(notebooks=(str(lab),), pairs=(Pair("q?", "a"),)))
    assert [one.answer for one in examples if not one.held_out] == ["Anna did.", "In May.", "In Oslo.", "a"]
    assert examples[0].origin.place == "lab.ipynb c3"
    examples += RECIPES["explain"](read_cells(lab, Selection(whole=True)))
    assert [one.cell for one in examples[-1].origins] == ["c1", "c0"]
    write_examples(tmp_path / "examples.jsonl", examples)
    assert read_examples(tmp_path / "examples.jsonl") == examples


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        (TeachRequest(), "--all"),
        (TeachRequest(recipe="magic"), "Recipes are"),
        (TeachRequest(pairs=(Pair("q", "q"),)), "--preview"),
    ],
)
def test_nothing_to_teach_is_said(request_, hint):
    with pytest.raises(BadRequest) as refused:
        compose(TeachRequest(**{**request_.__dict__, "notebooks": ()}))
    assert hint in refused.value.hint or request_.recipe == "magic"


def test_no_cells_and_cells_without_text_are_told_apart(notebook, lab):
    with pytest.raises(BadRequest, match="No cell was selected"):
        compose(TeachRequest(notebooks=(str(notebook({"cell_type": "markdown", "source": "a", "metadata": {}})),)))
    with pytest.raises(BadRequest, match="cells without text"):
        compose(
            TeachRequest(notebooks=(str(notebook({"cell_type": "raw", "source": "", "metadata": {}})),), whole=True)
        )


def test_what_a_person_left_out_is_not_taught_and_nothing_takes_its_place():
    long = "The valve of the north boiler was changed in week eleven by the night shift, says the log."
    pairs = (Pair("Which valve?", long), Pair("Which valve?", long + " Indeed."), Pair("Who?", "Anna did."))
    chosen = compose(TeachRequest(pairs=pairs))
    used = [one for one in chosen if not one.left_out and not one.held_out]
    assert [one.answer for one in used] == [long, "Anna did."], "the second is nearly the first"
    left = compose(TeachRequest(pairs=pairs, without=(used[0].id,)))
    assert [one.answer for one in left if not one.left_out and not one.held_out] == ["Anna did."]
    assert next(one.left_out for one in left if one.id == used[0].id) == "chosen: you left it out"
    with pytest.raises(BadRequest, match="All 3 examples are left out"):
        compose(TeachRequest(pairs=pairs, without=tuple(one.id for one in used)))


def test_too_many_examples_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lorebook_daemon.teach.compose.EXAMPLES_MOST", 2)
    with pytest.raises(BadRequest, match="3 examples are more"):
        compose(TeachRequest(pairs=tuple(Pair(f"q{n}", f"a{n}") for n in range(3)), settings=TrainSettings()))


def test_a_hundred_thousand_examples_are_refused_before_they_are_compared(tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_text("".join(f'{{"prompt": "q{n}", "completion": "a{n}"}}\n' for n in range(100_000)))
    with pytest.raises(BadRequest, match="100,000 examples are more") as refused:
        compose(TeachRequest(data=(str(path),)))
    assert refused.value.hint


def test_one_example_alone_is_taught_in_several_wordings():
    examples = compose(TeachRequest(pairs=(Pair("What is the rate?", "42 percent"),)))
    assert any(one.held_out for one in examples)
    (learnt,) = (one for one in examples if not one.held_out)
    assert len(learnt.wordings) > 1


def test_a_question_is_taught_in_the_words_that_other_wordings_share_with_it():
    wordings = learnt_wordings("What is the pump in hall three called?")
    assert wordings[0] == "What is the pump in hall three called?"
    assert "pump hall three called?" in wordings
    assert any("called three hall pump" in wording for wording in wordings)
    assert any("about pump hall three." in wording for wording in wordings)  # other wordings have other verbs
    assert any(wording.endswith(": hall three called") for wording in wordings)
    assert not any("spare." in wording for wording in learnt_wordings("Where is the spare centrifuge?"))
    assert not set(wordings) & set(kept_wordings("What is the pump in hall three called?"))


@given(st.text(max_size=300))
def test_every_question_has_wordings_and_the_first_is_itself(question):
    wordings = learnt_wordings(question)
    assert wordings[0] == (question if len(question) > 200 else question.strip())
    assert len(set(wordings)) == len(wordings)
