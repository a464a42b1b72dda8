"""Filters and explanations over HTTP: what is narrowed, what is refused, what is told; and learning, all the way."""

import asyncio
import dataclasses

import pytest

from fake_app import Bench, client_of, parse_events
from lorebook_api.asking import Citation
from lorebook_api.feedback import Feedback
from lorebook_api.home import find_home
from lorebook_daemon.app.activity import Activity
from lorebook_daemon.app.indexroom import indexes_at
from lorebook_daemon.app.opinions import Opinions
from lorebook_daemon.app.roots import Roots
from lorebook_daemon.index.feedback import FeedbackStore
from lorebook_daemon.index.storage import index_folder
from lorebook_daemon.index.update import update
from lorebook_daemon.settings import Settings


def searched(client, root, query="the rate", **wishes):
    response = client.post("/api/search", json={"query": query, "roots": [str(root)], **wishes})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_search_and_an_answer_keep_to_their_filters(client, notes):
    assert [one["path"] for one in searched(client, notes, "rate rows")["results"]] == ["a.txt", "b.txt"]
    narrowed = {"filters": {"paths": ["b.txt"]}}
    assert [one["path"] for one in searched(client, notes, "rate rows", **narrowed)["results"]] == ["b.txt"]
    body = {"question": "rate rows", "roots": [str(notes)], **narrowed}
    events = parse_events(client.post("/api/ask", json=body).text)
    assert [source["path"] for source in events[-1][1]["sources"]] == ["b.txt"]


BAD = [
    {"filters": {"modified_since": "soon"}},
    {"filters": {"paths": ["src/", " "]}},
    {"filters": {"paths": ["a" * 501]}},
    {"filters": {"tags": ["t"] * 101}},
    {"filters": {"tags": ["a\0b"]}},
    {"filters": {"kinds": ["picture"]}},
    {"filters": {"paths": "src/"}},
]


@pytest.mark.parametrize("wish", BAD, ids=lambda wish: str(wish)[:50])
@pytest.mark.parametrize(("path", "field"), [("/api/search", "query"), ("/api/ask", "question")])
def test_a_filter_that_is_none_is_refused_before_anything_is_read(bench, client, notes, wish, path, field):
    response = client.post(path, json={field: "rate", "roots": [str(notes)], **wish})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["message"]
    assert bench.indexes.runs == []


@pytest.mark.parametrize(
    "wish", [{"kind": "doc", "filters": {"kinds": ["code"]}}, {"explain": True, "rewrite": "hyde"}], ids=str
)
def test_what_cannot_go_together_is_refused(client, notes, wish):
    response = client.post("/api/search", json={"query": "rate", "roots": [str(notes)], **wish})
    assert response.status_code == 400 and response.json()["error"]["hint"]


def test_steps_are_told_where_they_are_asked_for_and_the_last_is_the_reranker(client, notes):
    assert searched(client, notes)["results"][0]["steps"] == []
    (step,) = searched(client, notes, explain=True)["results"][0]["steps"]
    assert step["name"] == "words" and step["rank"] == 1
    steps = searched(client, notes, "rate rows were", explain=True, rerank="judge")["results"][0]["steps"]
    assert [step["name"] for step in steps] == ["words", "rerank"]
    assert steps[-1]["rank"] == 1


PYTHON = "def fare(km):\n    return 2.5 * km\n"


@pytest.fixture
def lab(tmp_path):
    """A root with its index, made without vectors."""
    root = tmp_path / "lab"
    (root / "src").mkdir(parents=True)
    (root / "src" / "fare.py").write_text(PYTHON)
    (root / "src" / "trips.py").write_text("from fare import fare\n\nfares = [fare(km) for km in trips]  # fare\n")
    (root / "notes.md").write_text("# Fare\n\nThe fare grows with the distance.\n")
    update(root, index_folder(find_home().cache, root), max_file_mb=20, report=lambda progress: None)
    return root


def real_bench(mode="off"):
    """Return a bench whose indexes are the real ones, without an embedder."""
    settings = Settings(model="tiny", offline=True, feedback=mode)
    opinions = Opinions(FeedbackStore(find_home().state), mode)
    indexes = indexes_at(find_home(), settings)
    roots = Roots(indexes, Activity(), lambda root: None, weights=opinions.weights)
    bench = Bench()
    bench.parts = dataclasses.replace(bench.parts, settings=settings, roots=roots, opinions=opinions)
    return bench


def test_a_real_index_is_narrowed_and_says_what_matches_nothing(lab):
    with client_of(real_bench()) as client:
        found = searched(client, lab, "fare", filters={"paths": ["src/"], "languages": ["python"]})
        assert {one["path"] for one in found["results"]} == {"src/fare.py", "src/trips.py"}
        assert not [notice for notice in found["notices"] if "match" in notice]
        slip = searched(client, lab, "fare", filters={"paths": ["src/", "scr/"]})
        assert slip["results"] and "No file matches the path 'scr/'" in " ".join(slip["notices"])
        none = searched(client, lab, "fare", filters={"paths": ["src/"], "kinds": ["doc"]})
        assert none["results"] == [] and "no passage is within all of them" in " ".join(none["notices"])
        assert {one["kind"] for one in searched(client, lab, "fare", kind="doc")["results"]} == {"doc"}


def test_a_glob_is_looked_for_in_every_root_before_it_is_said_to_match_nothing(lab, tmp_path):
    other = tmp_path / "other"
    (other / "extra").mkdir(parents=True)
    (other / "extra" / "more.md").write_text("the fare of another town\n")
    update(other, index_folder(find_home().cache, other), max_file_mb=20, report=lambda progress: None)
    with client_of(real_bench()) as client:
        body = {"query": "fare", "roots": [str(lab), str(other)], "filters": {"paths": ["extra/", "nowhere/"]}}
        found = client.post("/api/search", json=body).json()
    assert [one["path"] for one in found["results"]] == ["extra/more.md"]
    assert [notice for notice in found["notices"] if "matches" in notice] == [
        "No file matches the path 'nowhere/': paths are relative to the root."
    ]


def test_each_step_of_a_real_search_is_told(lab):
    with client_of(real_bench()) as client:
        found = searched(client, lab, "fare", explain=True)
    steps = {step["name"]: step for step in found["results"][0]["steps"]}
    assert {"words", "meaning", "fused", "definition", "path words", "final"} <= steps.keys()
    assert steps["final"]["score"] == pytest.approx(found["results"][0]["score"], abs=1e-4)
    assert found["results"][0]["path"] == "src/fare.py" and steps["definition"]["factor"] > 1


def opened(lab, path, query="fare"):
    return Feedback("opened", query, citations=(Citation(1, path, 1, 3, "", "0" * 64, 0.9, root=str(lab)),))


def order_after(lab, mode, feedback, times):
    """Return the paths that a search finds after feedback was given so often, and the weights then."""
    bench = real_bench(mode)
    with client_of(bench) as client:
        before = [one["path"] for one in searched(client, lab, "fare")["results"]]

        async def give():
            for _ in range(times):
                await bench.parts.opinions.keep(feedback, bench.parts.roots)

        asyncio.run(give())
        found = searched(client, lab, "fare", explain=True)
    return before, [one["path"] for one in found["results"]], bench.parts.opinions.weights(), found["notices"]


def test_what_is_opened_again_and_again_weighs_the_signals_and_explain_says_so(lab):
    before, _, learnt, notices = order_after(lab, "learn", opened(lab, "src/trips.py"), 25)
    assert before[0] == "src/fare.py"
    assert learnt["definition"] < 0.9, "it put the other one first"
    assert all(0.5 <= weight <= 1.5 for weight in learnt.values())
    assert any("as feedback weighs them" in notice and "definition ×" in notice for notice in notices)
    assert FeedbackStore(find_home().state).forget_all() == 25


@pytest.mark.parametrize(
    ("mode", "feedback"),
    [
        ("keep", ("opened", "src/trips.py")),
        ("learn", ("opened", "src/fare.py")),
        ("learn", ("opened", "gone.py")),
        ("learn", ("down", "src/trips.py")),
    ],
    ids=["kept only", "agrees", "not found", "a thumb down"],
)
def test_what_says_nothing_of_the_signals_leaves_the_order(lab, mode, feedback):
    rating, path = feedback
    given = dataclasses.replace(opened(lab, path), rating=rating, answer="It is.")
    before, after, learnt, notices = order_after(lab, mode, given, 10)
    assert before == after and not learnt
    assert not [notice for notice in notices if "feedback" in notice]
    assert len(FeedbackStore(find_home().state).all()) == 10, "it is kept all the same"


def test_feedback_on_a_folder_that_was_never_indexed_is_kept(tmp_path):
    bench = real_bench("learn")
    asyncio.run(bench.parts.opinions.keep(opened(tmp_path / "nowhere", "a.py"), bench.parts.roots))
    assert len(FeedbackStore(find_home().state).all()) == 1 and not bench.parts.opinions.weights()


def test_forgotten_feedback_is_unlearnt_at_once(lab):
    bench = real_bench("learn")
    with client_of(bench) as client:
        for _ in range(3):
            body = dataclasses.asdict(opened(lab, "src/trips.py"))
            assert client.post("/api/feedback", json=body).status_code == 200
        assert client.get("/api/feedback").json()["weights"]["definition"] < 1
        assert client.delete("/api/feedback").json() == {"forgotten": 3}
        assert client.get("/api/feedback").json()["weights"] == {}
