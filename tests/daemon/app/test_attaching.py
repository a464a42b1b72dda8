import asyncio

import pytest

from lorebook_api.asking import AskRequest, Attachment
from lorebook_api.errors import BadRequest
from lorebook_daemon.answer.retrieved import Retrieved, RootHit
from lorebook_daemon.app.attaching import Attached, attaching, check_attachments, told_with
from lorebook_daemon.index.passage import Cell, Passage

SAVED = Passage("a.ipynb", 1, 1, "x = 1  # as saved", "notebook", cell=Cell("c1", 1, "code"))
OTHER = Passage("b.py", 1, 1, "the rate is 42", "code")


class Found:
    async def retrieve(self, query, k):
        return Retrieved((RootHit("/r", SAVED, 0.9), RootHit("/r", OTHER, 0.5)), "lexical", ("a notice",))


def retrieved(*attachments, query="what is x?", k=6):
    return asyncio.run(Attached(Found(), attachments, "/r").retrieve(query, k))


def test_what_is_attached_comes_first_and_takes_the_place_of_the_saved_cell():
    found = retrieved(Attachment("cell 1", "x = 2", "a.ipynb", 1, "c1", 1, 7), Attachment("the last error", "KeyError"))
    assert [hit.passage.text for hit in found.hits] == ["x = 2", "KeyError", "the rate is 42"]
    source = found.hits[0].source()
    assert (source.path, source.cell_id, source.cell_index, source.execution_count) == ("a.ipynb", "c1", 1, 7)
    assert found.hits[1].passage.path == "the last error" and found.notices == ("a notice",)
    assert found.hits[0].score == found.hits[1].score == 0.5


def test_long_attachments_become_several_passages_with_true_lines():
    text = "\n".join(f"value_{i} = {i} * some_factor" for i in range(400))
    found = retrieved(Attachment("cell 1", text, "a.ipynb", 1, "c1", 1)).hits
    hits = [hit for hit in found if hit.passage.path == "a.ipynb"]
    assert len(hits) > 6
    lines = text.split("\n")
    for hit in hits:
        passage = hit.passage
        assert passage.text == "\n".join(lines[passage.start_line - 1 : passage.end_line])


def test_of_many_attachments_those_that_share_words_with_the_question_come_first():
    cells = [Attachment(f"cell {i}", f"thing_{i} = {i}", "n.ipynb", 1, f"n{i}", i) for i in range(20)]
    found = retrieved(*cells, query="what is thing_17?", k=4)
    assert found.hits[0].passage.text == "thing_17 = 17"
    assert len(found.hits) == 20 + 2  # those that are not read are listed, not dropped


def test_nothing_attached_changes_nothing():
    found = Found()
    assert attaching(found, AskRequest("why?"), "/r") is found


def test_the_model_alone_is_told_what_is_attached():
    request = told_with(AskRequest("why?", attachments=(Attachment("the last error", "KeyError: 'a'"),)))
    assert request.question == "the last error:\nKeyError: 'a'\n\nwhy?"
    assert told_with(AskRequest("why?")).question == "why?"


@pytest.mark.parametrize(
    "bad",
    [
        (Attachment("", "x"),),
        (Attachment("t", " "),),
        (Attachment("t", "x" * 200_001),),
        (Attachment("t", "a\0b"),),
        (Attachment("t", "x", start_line=0),),
        (Attachment("t", "x"),) * 51,
    ],
)
def test_attachments_that_are_none(bad):
    with pytest.raises(BadRequest):
        check_attachments(bad)
    check_attachments((Attachment("t", "x"),))
