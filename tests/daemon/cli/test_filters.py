"""What narrows a search, on the command line; why passages stand where they do; forgetting what was opened."""

import json
from dataclasses import asdict
from datetime import datetime, timedelta

import pytest

import fake_daemon
from commandline import Run
from fake_daemon import FakeDaemon
from lorebook_api.feedback import Feedback, FeedbackState, KeptFeedback

OPTIONS = ("--path", "src/", "--path", "!./old/", "--kind", "code", "--kind", "doc", "--language", "python")
MORE = ("--since", "2026-11-01T14:00+00:00", "--notebook", "eda.ipynb", "--tag", "result")
SENT = {
    "paths": ["src/", "!./old/"],
    "kinds": ["code", "doc"],
    "languages": ["python"],
    "modified_since": "2026-11-01T14:00:00+00:00",
    "notebooks": ["eda.ipynb"],
    "tags": ["result"],
}


@pytest.mark.parametrize(
    ("words", "route"),
    [(("search", "fare"), "search"), (("ask", "fare?"), "ask"), (("index", "--explain", "fare"), "search")],
    ids=["search", "ask", "explain"],
)
def test_filters_are_sent(run: Run, fake: FakeDaemon, words: tuple[str, ...], route: str) -> None:
    assert run(*words, *OPTIONS, *MORE).exit_code == 0
    assert fake.of(f"/api/{route}")[0].body["filters"] == SENT


def test_how_long_ago_is_told_as_a_moment(run: Run, fake: FakeDaemon) -> None:
    run("search", "fare", "--since", "7d")
    since = datetime.fromisoformat(fake.of("/api/search")[0].body["filters"]["modified_since"])
    assert timedelta(days=6.9) < datetime.now().astimezone() - since < timedelta(days=7.1)


@pytest.mark.parametrize(
    ("option", "code", "says"),
    [
        (("--since", "yesterday"), 1, "2026-11-01"),
        (("--since", ""), 1, "how long ago"),
        (("--path", " "), 1, "path is empty"),
        (("--tag", ""), 1, "tag is empty"),
        (("--kind", "picture"), 2, "'code', 'notebook', 'doc', 'data'"),
    ],
)
def test_a_bad_value_says_what_to_type(
    run: Run, fake: FakeDaemon, option: tuple[str, str], code: int, says: str
) -> None:
    for command in (("search", "fare"), ("ask", "fare?"), ("index", "--explain", "fare")):
        result = run(*command, *option)
        assert result.exit_code == code and says in result.stderr
    assert not fake.of("/api/search")


def test_a_path_is_told_from_the_root_on(run: Run, fake: FakeDaemon) -> None:
    run("search", "fare", "--path", "./src/fare.py")
    assert fake.of("/api/search")[0].body["filters"]["paths"] == ["src/fare.py"]


def test_an_index_is_not_narrowed(run: Run, fake: FakeDaemon) -> None:
    result = run("index", "--path", "src/")
    assert result.exit_code == 2 and "--explain" in result.stderr
    assert run("index", "--explain", "fare", "--watch").exit_code == 2
    assert run("index", "--explain", " ").exit_code == 2
    assert not fake.calls


def test_a_ranking_is_explained_step_by_step(run: Run, fake: FakeDaemon) -> None:
    result = run("index", "--explain", "fare", "-k", "3")
    assert result.stdout.splitlines() == [
        " 1. src/fare.py:10-12",
        "",
        "            1",
        "words       0.800",
        "meaning     0.300",
        "fused       0.400",
        "definition  ×2.50",
        "together    ·",
        "final       0.500",
    ]
    assert "fused: both" in result.stderr
    sent = fake.of("/api/search")[0].body
    assert (sent["explain"], sent["k"], sent["rerank"]) == (True, 3, "none")


def test_an_explanation_as_json_has_every_step(run: Run, fake: FakeDaemon) -> None:
    (result,) = json.loads(run("index", "--explain", "fare", "--json").stdout)["results"]
    assert [step["name"] for step in result["steps"]] == [step.name for step in fake_daemon.STEPS]


def test_feedback_is_forgotten(run: Run, fake: FakeDaemon) -> None:
    result = run("index", "--forget-feedback")
    assert result.exit_code == 0 and "forgot 2 ratings" in result.stderr
    assert [call.method for call in fake.of("/api/feedback")] == ["DELETE"]
    assert json.loads(run("index", "--forget-feedback", "--json").stdout) == {"forgotten": 2}


def test_what_was_put_right_is_data_to_teach_from(run: Run, fake: FakeDaemon) -> None:
    assert "nothing was put right" in run("index", "--preferences").stderr
    kept = KeptFeedback(1, "2030", Feedback("edited", "why?", "It rained.", edited="It leaked."))
    fake.scripts.replies["/api/feedback"] = asdict(FeedbackState("keep", (kept,)))
    row = {"prompt": "why?", "chosen": "It leaked.", "rejected": "It rained."}
    assert [json.loads(line) for line in run("index", "--preferences").stdout.splitlines()] == [row]
    assert json.loads(run("index", "--preferences", "--json").stdout) == {"preferences": [row]}
