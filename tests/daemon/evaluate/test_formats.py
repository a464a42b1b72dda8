"""Tests of the readers of multiple-choice sets: what the model is asked is what lm-eval asks."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.errors import BadRequest, NotFound
from lorebook_daemon.evaluate.formats import FORMATS, read_items
from lorebook_daemon.evaluate.ids import twice
from lorebook_daemon.evaluate.rows import Row

ROWS: dict[str, dict[str, object]] = {
    "mmlu": {"question": " 2 + 2? ", "choices": ["3", "4", "5", "6"], "answer": 1, "subject": "abstract_algebra"},
    "hellaswag": {
        "ind": 7,
        "activity_label": "Baking",
        "ctx_a": "A man stands. [header] He",
        "ctx_b": "then",
        "endings": ["runs.", "bakes [title] well."],
        "label": "1",
    },
    "winogrande": {
        "sentence": "The cup fits the box as _ is big.",
        "option1": "the cup",
        "option2": "the box",
        "answer": "2",
    },
    "arc": {"question": "Which?", "choices": {"text": ["ice", "fire"], "label": ["A", "B"]}, "answerKey": "B"},
    "truthfulqa": {"question": "Why?", "mc1_targets": {"choices": ["So.", "Not so."], "labels": [1, 0]}},
    "truthfulqa-mc2": {"question": "Why?", "mc2_targets": {"So.": 1, "Also so.": 1, "Not so.": 0}},
    "csv": {"question": "Which?", "a": "ice", "b": "fire", "answer": "b"},
}


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "label", "x"]), inner),
    max_leaves=6,
)
INNER = ("choices", "labels", "stem", "text", "label")


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reads_its_row_and_leaves_out_a_broken_one(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [ROWS[name], {"x": 1}])
    items = read_items(path, name)
    (item,) = items.items
    assert len(item.choices) == len(item.lengths) >= 2
    assert all(choice.text.startswith(" ") and not choice.context.endswith(" ") for choice in item.choices)
    (skipped,) = items.skipped
    assert skipped.row == 2
    assert "missing" in skipped.why or "no list" in skipped.why


def asked(name: str, tmp_path: Path) -> tuple[list[str], list[str], tuple[int, ...]]:
    (item,) = read_items(written(tmp_path / "rows.jsonl", [ROWS[name]]), name).items
    return [choice.context for choice in item.choices], [choice.text for choice in item.choices], item.right


def test_mmlu_is_asked_by_letters(tmp_path: Path) -> None:
    contexts, texts, right = asked("mmlu", tmp_path)
    head = "The following are multiple choice questions (with answers) about abstract algebra.\n\n"
    assert set(contexts) == {f"{head}2 + 2?\nA. 3\nB. 4\nC. 5\nD. 6\nAnswer:"}
    assert (texts, right) == ([" A", " B", " C", " D"], (1,))


def test_hellaswag_loses_its_marks(tmp_path: Path) -> None:
    contexts, texts, right = asked("hellaswag", tmp_path)
    assert contexts[0] == "Baking: A man stands. He Then"
    assert (texts, right) == ([" runs.", " bakes. well."], (1,))


def test_winogrande_asks_the_rest_of_the_sentence_after_each_option(tmp_path: Path) -> None:
    contexts, texts, right = asked("winogrande", tmp_path)
    assert contexts == ["The cup fits the box as the cup", "The cup fits the box as the box"]
    assert (texts, right) == ([" is big.", " is big."], (1,))


def test_mc2_counts_by_mass(tmp_path: Path) -> None:
    items = read_items(written(tmp_path / "rows.jsonl", [ROWS["truthfulqa-mc2"]]), "truthfulqa-mc2")
    assert items.by_mass
    assert items.items[0].right == (0, 1)
    assert items.items[0].choices[0].context.endswith("\n\nQ: Why?\nA:")


def test_examples_stand_before_each_question_and_are_not_asked(tmp_path: Path) -> None:
    rows = [{"question": f"Q{n}?", "a": "ice", "b": "fire", "answer": "ab"[n % 2]} for n in range(4)]
    items = read_items(written(tmp_path / "rows.jsonl", rows), "csv", shots=2)
    assert items.shots == len(items.items) == 2
    before = "Question: Q0?\nAnswer: ice\n\nQuestion: Q1?\nAnswer: fire\n\n"
    assert items.items[0].choices[0].context == f"{before}Question: Q2?\nAnswer:"
    with pytest.raises(BadRequest, match="not 4 rows"):
        read_items(tmp_path / "rows.jsonl", "csv", shots=4)


def test_mmlu_s_own_files_have_their_examples_apart(tmp_path: Path) -> None:
    for part, question in (("test", "Asked?"), ("dev", "Shown?")):
        (tmp_path / part).mkdir()
        (tmp_path / part / f"anatomy_{part}.csv").write_text(f'"{question}",1,2,3,4,C\n', encoding="utf-8")
    items = read_items(tmp_path / "test" / "anatomy_test.csv", "mmlu", shots=1)
    (item,) = items.items
    context = item.choices[0].context
    assert context.startswith("The following are multiple choice questions (with answers) about anatomy.\n\nShown?")
    assert context.count("The following") == 1
    assert "Answer: C\n\nAsked?" in context
    assert item.right == (2,)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"question": "Q?", "a": "ice", "b": "fire", "answer": "7"}, "none of the choices"),
        ({"question": "Q?", "a": "ice", "b": "fire", "answer": "snow"}, "none of the choices"),
        ({"question": "Q?", "a": "ice", "answer": "a"}, "fewer than two"),
        ({"question": None, "a": "ice", "b": "fire", "answer": "a"}, "missing"),
    ],
)
def test_a_row_that_cannot_be_used_is_listed_with_its_reason(row: dict[str, object], why: str, tmp_path: Path) -> None:
    items = read_items(
        written(tmp_path / "rows.jsonl", [ROWS["csv"], row, {**ROWS["csv"], "question": "More?"}]), "csv"
    )
    assert len(items.items) == 2
    assert items.skipped[0].row == 2
    assert why in items.skipped[0].why


def test_a_choice_is_named_by_its_column_where_another_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question,a,b,c,answer\nWhich?,ice,,fire,c\n,ice,fire,,a\n", encoding="utf-8")
    items = read_items(path, "csv")
    assert [item.right for item in items.items] == [(1,)]
    assert [skipped.why for skipped in items.skipped] == ["`question` is empty"]


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_a_row_with_anything_in_a_field_is_read_or_left_out(name: str, data: st.DataObject) -> None:
    odd = dict(ROWS[name])
    field = data.draw(st.sampled_from(sorted(odd)))
    nested = st.dictionaries(
        st.sampled_from(INNER), ANYTHING | st.lists(st.dictionaries(st.sampled_from(INNER), ANYTHING))
    )
    odd[field] = data.draw(ANYTHING | nested)
    with tempfile.TemporaryDirectory() as folder:
        items = read_items(written(Path(folder) / "rows.jsonl", [ROWS[name], odd]), name)
    assert len(items.items) + len(items.skipped) == 2
    for item in items.items:
        assert item.right
        assert max(item.right) < len(item.choices) == len(item.lengths)


@pytest.mark.parametrize(
    ("name", "field"), [("csv", "id"), ("winogrande", "qID"), ("mmlu", "task_id"), ("hellaswag", "ind")]
)
@pytest.mark.parametrize("value", ["x", 0])
def test_two_rows_with_one_id(name: str, field: str, value: object, tmp_path: Path) -> None:
    items = read_items(written(tmp_path / "rows.jsonl", [{**ROWS[name], field: value}] * 2), name)
    assert [skipped.why for skipped in items.skipped] == [f"has the id {value} of row 1"]
    assert items.items[0].id == str(value)


def test_items_know_their_rows_where_others_were_left_out(tmp_path: Path) -> None:
    rows = [{"x": 1}, *({**ROWS["csv"], "question": f"Q{n}?"} for n in range(3))]
    assert [item.row for item in read_items(written(tmp_path / "rows.jsonl", rows), "csv").items] == [2, 3, 4]
    shown = read_items(written(tmp_path / "rows.jsonl", rows[1:]), "csv", shots=1)
    assert [item.row for item in shown.items] == [2, 3]


def test_examples_are_of_the_item_s_own_subject(tmp_path: Path) -> None:
    rows = [
        {**ROWS["mmlu"], "question": f"{subject} {n}?", "subject": subject}
        for n in range(3)
        for subject in ("anatomy", "world_religions")
    ]
    items = read_items(written(tmp_path / "rows.jsonl", [*rows, {**ROWS["mmlu"], "subject": "law"}]), "mmlu", shots=2)
    assert [item.row for item in items.items] == [5, 6]
    first, second = (item.choices[0].context for item in items.items)
    assert "about anatomy.\n\nanatomy 0?" in first and "anatomy 1?" in first and "religions" not in first
    assert "about world religions.\n\nworld_religions 0?" in second and "anatomy" not in second
    assert [(one.row, one.why) for one in items.skipped] == [(7, "there are not 2 rows for examples about law")]


def test_truthfulqa_as_its_authors_table_has_it(tmp_path: Path) -> None:
    path = tmp_path / "TruthfulQA.csv"
    path.write_text(
        "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"
        "Adversarial,Laws,Why?,So; it is,So; It is so.; ,Not so; Never.,https://example.org\n"
        "Adversarial,Laws,How?,,Thus,,https://example.org\n",
        encoding="utf-8",
    )
    first, second = (read_items(path, name) for name in ("truthfulqa", "truthfulqa-mc2"))
    assert [choice.text for choice in first.items[0].choices] == [" So; it is.", " Not so.", " Never."]
    assert first.items[0].right == (0,) and first.items[0].choices[0].context.endswith("\n\nQ: Why?\nA:")
    assert [choice.text for choice in second.items[0].choices] == [" So.", " It is so.", " Not so.", " Never."]
    assert second.items[0].right == (0, 1)
    assert [one.why for one in (*first.skipped, *second.skipped)] == [
        "`Best Answer` is empty",
        "`Incorrect Answers` is empty",
    ]


def test_ids_that_come_twice_are_told() -> None:
    rows = [Row(1, {"task_id": 3}), Row(2, {"id": "a"}), Row(3, {"task_id": 3}), Row(4, {}), Row(5, {"id": None})]
    assert twice(rows) == ("ids that come twice: row 3 has the id 3 of row 1. All rows count.",)
    assert twice(rows[:2]) == ()
    (many,) = twice([Row(n, {"id": 1}) for n in range(1, 10)])
    assert many.count("has the id") == 5 and "and 3 more" in many


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", '{"a": ', "\xff\xfe"])
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv"])
def test_a_file_without_a_usable_row_is_refused(text: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadRequest):
        read_items(path, "csv")


def test_a_line_that_is_no_json_is_told_with_its_number(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", [ROWS["csv"]] * 2)
    path.write_text(path.read_text(encoding="utf-8") + "not json\n", encoding="utf-8")
    with pytest.raises(BadRequest, match="line 3"):
        read_items(path, "csv")


def test_a_cell_of_a_table_may_hold_what_looks_like_the_end_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('question,a,b,answer\nWhich\x85of,ice\u2028cold,"fi\nre",b\n', encoding="utf-8")
    (item,) = read_items(path, "csv").items
    assert [choice.text for choice in item.choices] == [" ice\u2028cold", " fi\nre"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_items(tmp_path / "none.csv", "csv")
    with pytest.raises(BadRequest, match="folder"):
        read_items(tmp_path, "csv")
    with pytest.raises(BadRequest, match="no format"):
        read_items(tmp_path, "quiz")
