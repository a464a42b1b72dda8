"""Rows of data files: of a table whose rows are uneven nothing is read that may belong elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import JudgeRequest, Skipped
from lorebook_daemon.evaluate.diversity import read_prompts
from lorebook_daemon.evaluate.exact import read_asked
from lorebook_daemon.evaluate.formats import read_items
from lorebook_daemon.evaluate.ids import twice
from lorebook_daemon.evaluate.judge import read_judged
from lorebook_daemon.evaluate.rag import read_questions
from lorebook_daemon.evaluate.rows import Row, Unusable, read_rows
from lorebook_daemon.evaluate.stereotypes import read_pairs


def table(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


LONG = Skipped(2, "has 4 cells, the header 3")


def test_a_row_with_a_comma_too_many_is_left_out_by_every_reader(tmp_path: Path) -> None:
    rows = read_rows(table(tmp_path, "question,answer,said", "why,so,so", "why, then,so,so"))
    assert read_questions(rows)[1] == (LONG,)
    assert read_asked(rows, "text", "said")[1] == (LONG,)
    assert read_judged(rows, JudgeRequest("", "said"))[1] == [LONG]
    assert read_prompts(rows)[1] == (LONG,)
    pairs = read_rows(table(tmp_path, "sent_more,sent_less,bias_type", "a b,b a,age", "a, b,b a,age"))
    assert read_pairs(pairs)[1] == (LONG,)


def test_a_choice_with_a_comma_is_no_other_choice(tmp_path: Path) -> None:
    items = read_items(table(tmp_path, "question,a,b,answer", "which,ice,fire,a", "which,ice, snow,fire,b"), "csv")
    assert len(items.items) == 1 and items.skipped == (Skipped(2, "has 5 cells, the header 4"),)
    published = table(tmp_path, "Q?,1,2,3,4,C", "Q, really?,1,2,3,4,C")
    items = read_items(published, "mmlu")
    assert len(items.items) == 1 and items.skipped == (Skipped(2, "has 7 cells, the header 6"),)


def test_a_short_row_is_left_out_where_that_loses_something(tmp_path: Path) -> None:
    rows = read_rows(table(tmp_path, "question,answer,path", "why,so,a.txt", "how"))
    assert read_questions(rows)[1] == (Skipped(2, "has 1 cells, the header 3"),)
    with pytest.raises(Unusable, match="has 1 cells"):
        rows[1].text("answer")


def test_a_question_may_have_fewer_choices_than_others(tmp_path: Path) -> None:
    items = read_items(table(tmp_path, "question,answer,a,b,c", "which,c,ice,fire,sand", "which,b,ice,fire"), "csv")
    assert [len(item.choices) for item in items.items] == [3, 2] and not items.skipped


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="several columns called 'answer'"):
        read_rows(table(tmp_path, "question,answer,answer", "why,so,thus"))
    with pytest.raises(BadRequest, match="several columns called ''"):
        read_rows(table(tmp_path, "question,,", "why,so,thus"))


def test_empty_cells_behind_the_last_column_are_none(tmp_path: Path) -> None:
    rows = read_rows(table(tmp_path, "question,answer,,", "why,so,,", "how,thus,", "who,me"))
    assert [dict(row.fields) for row in rows] == [
        {"question": "why", "answer": "so"},
        {"question": "how", "answer": "thus"},
        {"question": "who", "answer": "me"},
    ]
    assert rows[0] == Row(1, {"question": "why", "answer": "so"})


def test_a_row_that_is_uneven_ends_no_measurement_where_only_its_id_is_looked_at(tmp_path: Path) -> None:
    rows = read_rows(table(tmp_path, "id,question,answer,said,human", "q1,why,so,so,7", "q1,why, then,so,so,7", "q1"))
    assert [row.get("id") for row in rows] == ["q1", None, "q1"] and rows[2].get("human") is None
    assert twice(rows) == ("ids that come twice: row 3 has the id q1 of row 1. All rows count.",)
    judged, skipped = read_judged(rows, JudgeRequest("", "said", human="human"))
    assert len(judged) == 1 and [one.row for one in skipped] == [2, 3]
