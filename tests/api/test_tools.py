"""The tools that other programs' models get."""

from dataclasses import asdict

import pytest

import fake_daemon
from fake_daemon import ABSTAINED, CITATION, FakeDaemon
from lorebook_api.errors import BadRequest, Forbidden
from lorebook_api.home import Home
from lorebook_api.indexing import Progress
from lorebook_api.tools import DATA, Toolbox


@pytest.fixture
def toolbox(home: Home) -> Toolbox:
    home.tools_switch.touch()
    return Toolbox(home, ("/data",), start=False)


def test_off_until_a_person_turns_them_on_and_off_again_at_once(toolbox: Toolbox, home: Home, fake: FakeDaemon) -> None:
    assert toolbox.search("fare").passages
    home.tools_switch.unlink()
    for use in (
        lambda: toolbox.search("fare"),
        lambda: toolbox.find_related("a.py"),
        lambda: toolbox.ask("why?", print),
    ):
        with pytest.raises(Forbidden, match="lorebook mcp --enable"):
            use()
    assert len(fake.calls) == len(fake.of("/health")) + 1


def test_search_and_related_tell_places_and_that_texts_are_data(toolbox: Toolbox, fake: FakeDaemon) -> None:
    found = toolbox.search("fare", k=3, kind="code")
    assert found.about == DATA and "not" not in found.passages[0].place
    assert asdict(found.passages[0]) == {
        "place": "src/fare.py:10-12", "kind": "code", "score": 0.5, "root": "/data", "path": "src/fare.py",
        "start_line": 10, "end_line": 12, "cell_index": None, "text": "def fare(km):\n    return km\n",
    }  # fmt: skip
    assert toolbox.find_related("eda.ipynb", 2, 5, k=4).passages == found.passages
    sent = fake.of("/api/search")[0].body
    assert (sent["query"], sent["k"], sent["kind"], sent["roots"]) == ("fare", 3, "code", ["/data"])
    sent = fake.of("/api/related")[0].body
    assert (sent["path"], sent["line"], sent["cell_index"], sent["k"], sent["roots"]) == (
        "eda.ipynb", 2, 5, 4, ["/data"]
    )  # fmt: skip


def test_ask_cites_and_tells_what_nothing_supports(toolbox: Toolbox, fake: FakeDaemon) -> None:
    told: list[Progress] = []
    answer = toolbox.ask("why?", told.append, "an-id")
    assert answer.answer.startswith("Cell 5 drops them. [1]") and answer.about == DATA
    assert [one.place for one in answer.citations] == ["clean.ipynb · cell 5 [In 7] lines 2-3", "src/fare.py:10"]
    assert answer.citations[0].quote == CITATION.quote
    assert (answer.unsupported, answer.nearest) == (("It rained.",), ())
    assert [progress.what for progress in told][:2] == ["loading echo-1b", "answering"]
    assert fake.of("/api/ask")[0].body["request_id"] == "an-id"
    toolbox.stop("an-id")
    assert fake.of("/api/cancel")[0].body == {"request_id": "an-id"}


def test_what_was_not_found_tells_where_the_nearest_stands(toolbox: Toolbox, fake: FakeDaemon) -> None:
    fake.scripts.ask = fake_daemon.answering(ABSTAINED, ())
    answer = toolbox.ask("why?", lambda progress: None)
    assert answer.abstained and answer.nearest == ("clean.ipynb · cell 5 [In 7] lines 1-4",)


def test_no_folder_but_those_offered_can_be_named(toolbox: Toolbox, fake: FakeDaemon) -> None:
    with pytest.raises(BadRequest, match="/etc"):
        toolbox.find_related("passwd", root="/etc")
    assert not fake.of("/api/related")
