"""`lorebook eval`, from what is typed to what is shown, over a served daemon whose engine is a fake."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fakes import FakeEngine
from lorebook_api.errors import BadRequest
from lorebook_api.sides import parse_side
from lorebook_api.version import VERSION
from lorebook_daemon.cli.commands import lorebook
from typed_evaluation import QUESTIONS, Typing, rows

COMMANDS = (
    *("mc", "judge", "toxicity", "exact", "diversity", "bias", "rag", "leaderboard", "questions"),
    *("list", "show", "compare", "report", "rm"),
)


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.csv"
    rows = [f"Is number {n} ice?,ice,fire,{'a' if n % 4 else 'b'}" for n in range(24)]
    path.write_text("\n".join(["question,a,b,answer", *rows, "Is it fire?,ice,sand,9", ""]))
    return path


def test_every_command_has_help_with_an_example() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(lorebook, ["eval", name, "--help"], prog_name="lorebook")
        assert result.exit_code == 0
        assert f"  lorebook eval {name}" in result.stdout.split("Example")[1]
    for name in ("play", "judge", "standings", "export", "clear"):
        result = CliRunner().invoke(lorebook, ["eval", "arena", name, "--help"], prog_name="lorebook")
        assert f"  lorebook eval arena {name}" in result.stdout.split("Example")[1]


def test_choices_are_measured_kept_and_shown(typing: Typing, quiz: Path) -> None:
    told = typing.json("mc", quiz)
    assert (told["acc"], told["n"], len(told["skipped"])) == (0.75, 24, 1)
    (run,) = typing.json("list")["runs"]
    assert (run["id"], run["kind"], run["figures"]["acc"]["value"]) == (told["run"], "mc", 0.75)
    assert run["config"]["model"] == "fake" or run["config"]["model"] == "tiny"
    assert run["versions"]["lorebook"] == VERSION
    shown = typing("show", "last", "--items").stdout
    assert "acc" in shown and "row 25 left out" in shown and "24: acc 1" in shown
    assert told["run"] in typing("list").stdout
    assert len(typing.json("show", told["run"], "--items")["items"]) == 24
    assert "forgot" in typing("rm", told["run"]).stdout
    assert "Nothing was measured yet" in typing("list").stdout


def test_the_keys_of_the_document_about_choices(typing: Typing, quiz: Path) -> None:
    told = typing.json("mc", quiz, "--shots", "2")
    figures = ("acc", "acc_norm", "acc_bytes", "stderr", "stderr_norm", "stderr_bytes", "n")
    assert tuple(told)[:7] == figures
    assert all(isinstance(told[name], int if name == "n" else float) for name in figures)
    assert (told["n"], told["shots"]) == (22, 2)
    assert told["stderr"] > 0 and told["stderr_norm"] > 0
    asked = [call.prompts[0] for call in typing.bench.engine.calls if call.what == "continuations"]
    assert asked and all("number 0 ice?\nAnswer: fire\n\nQuestion: Is number 1" in str(one.text) for one in asked)


def test_a_gate_fails_where_a_figure_drops_beyond_its_interval(typing: Typing, quiz: Path, tmp_path: Path) -> None:
    before = typing.json("mc", quiz)["run"]
    again = typing.json("mc", quiz)["run"]
    assert typing("compare", before, again, "--gate").exit_code == 0
    quiz.write_text(quiz.read_text().replace(",a\n", ",b\n"))
    worse = typing.json("mc", quiz)["run"]
    told = typing("compare", before, worse)
    assert told.exit_code == 0 and "worse" in told.stdout and "data: " in told.stdout
    gated = typing("compare", before, worse, "--gate", "--json")
    assert gated.exit_code == 1 and "is worse than" in gated.stderr
    assert "acc" in json.loads(gated.stdout)["worse"]
    assert typing("compare", worse, before, "--gate").exit_code == 0
    part = typing.json("mc", quiz, "--limit", "20")["run"]
    lacking = typing("compare", worse, part, "--gate")
    assert lacking.exit_code == 1 and f"{part} did not measure 4 items that {worse} did." in lacking.stderr
    assert "different data" in " ".join(typing("compare", before, worse).stdout.split())
    page = tmp_path / "page.html"
    assert "wrote" in typing("report", before, worse, "--out", page).stdout
    assert "<svg" in page.read_text()
    assert typing("compare", before, "nothing").exit_code == 1
    assert typing("report", before, "--out", tmp_path / "no" / "page.html").exit_code == 1


def test_an_interrupted_measurement_goes_on_where_it_was(typing: Typing, quiz: Path) -> None:
    engine = typing.bench.engine
    asked = 0
    original = FakeEngine.continuations

    async def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked > 10:
            raise BrokenPipeError("the engine is gone")
        return await original(engine, *arguments, **named)

    engine.continuations = dying  # type: ignore[method-assign]
    assert typing("mc", quiz).exit_code == 1
    (run,) = typing.json("list")["runs"]
    assert run["state"] == "unfinished"
    del engine.continuations  # type: ignore[method-assign]
    told = typing.json("mc", quiz)
    assert told["run"] == run["id"] and told["n"] == 24 and told["acc"] == 0.75
    assert any("before this was interrupted" in notice for notice in told["notices"])
    assert len([call for call in engine.calls if call.what == "continuations"]) < 10 + 24, "some were not asked again"


def test_exact_answers(typing: Typing, tmp_path: Path) -> None:
    data = rows(
        tmp_path / "q.jsonl", {"question": "?", "answer": "4", "said": "4"}, {"question": "?", "answer": "four"}
    )
    told = typing.json("exact", data, "--format", "number", "--response", "said")
    assert (told["exact"], told["n"], told["kind"]) == (1.0, 1, "exact")
    assert told["intervals"]["exact"] == [1.0, 1.0]
    assert "no number" in told["skipped"][0]["why"]
    looping = rows(tmp_path / "p.jsonl", {"question": "Loop.", "tests": "assert 1", "said": "import os; os.fork()"})
    shown = typing("exact", looping, "--format", "code", "--response", "said").stdout
    assert "refused: it calls os.fork" in shown and "passed" in shown and "Programs were held by" in shown


def test_judging_with_anothers_scores(typing: Typing, tmp_path: Path) -> None:
    data = rows(tmp_path / "a.jsonl", *({"question": "Say 7.", "said": str(n), "gpt": n} for n in range(10)))
    told = typing.json("judge", data, "--response", "said", "--human", "gpt")
    assert (told["n"], told["missing"], told["agreement"]["n"]) == (10, 0, 10)
    assert "10 responses, 0 without a score" in typing("judge", data, "--response", "said", "--human", "gpt").stdout
    assert told["agreement"]["calibrated_mean"] is not None and told["rows"] == list(range(1, 11))
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"gpt": [9 - n for n in range(10)], "llama": [1] * 9}))
    apart = typing.json("judge", data, "--response", "said", "--human", f"{scores}:gpt")
    assert apart["agreement"]["n"] == 10
    assert "9 scores for 10 rows" in typing("judge", data, "--response", "said", "--human", f"{scores}:llama").stderr
    typing("toxicity", data, "--response", "said")
    assert typing.json("list")["runs"][0]["kind"] == "toxicity"


def test_rows_without_a_score_are_counted_and_listed(typing: Typing, tmp_path: Path) -> None:
    fields = ({"question": "Say.", "said": "x" * n, "id": 7} if n != 2 else {"question": "Say."} for n in range(1, 5))
    data = rows(tmp_path / "a.jsonl", *fields)
    told = typing.json("judge", data, "--response", "said")
    assert (told["n"], told["missing"], told["rows"]) == (3, 1, [1, 3, 4])
    assert len(told["scores"]) == 3 and [one["row"] for one in told["skipped"]] == [2]
    assert "length" in told
    assert any("row 3 has the id 7 of row 1" in notice for notice in told["notices"])


def test_ids_that_come_twice_are_told_and_the_run_goes_on(typing: Typing, tmp_path: Path) -> None:
    both = {"id": "x", "prompt": "Say it.", "answer": "it", "sent_more": "a a", "sent_less": "a b"}
    data = rows(tmp_path / "twice.jsonl", both, both)
    for command, *options in (("exact",), ("diversity", "--samples", "2"), ("bias",)):
        told = typing.json(command, data, *options)
        assert told["n"] == 2
        assert any("row 2 has the id x of row 1" in notice for notice in told["notices"]), command


def test_diversity_and_bias(typing: Typing, tmp_path: Path) -> None:
    prompts = rows(tmp_path / "p.jsonl", {"prompt": "Say it."})
    told = typing.json("diversity", prompts, "--samples", "2")
    assert told["self_bleu"] == pytest.approx(1.0), "the fake says the same each time"
    pairs = rows(tmp_path / "b.jsonl", {"sent_more": "a a a", "sent_less": "a b c", "bias_type": "age"})
    assert typing.json("bias", pairs)["stereotype: age"] == 1.0


def test_the_whole_system_is_measured(typing: Typing, notes: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "q.jsonl", *QUESTIONS)
    told = typing.json("rag", data, "--root", notes, "-k", "2")
    for name in ("context_relevance", "groundedness", "answer_relevance", "ndcg10", "latency_ms", "n"):
        assert name in told
    assert (told["n"], told["ndcg10"], told["recall10"], told["right"]) == (3, 1.0, 1.0, 1.0)
    assert told["abstention_f1"] == 0.0, "the fake answers everything"
    assert [one["row"] for one in told["skipped"]] == [4, 5]
    items = {one["id"]: one["scores"] for one in typing.json("show", "last", "--items")["items"]}
    assert "ndcg10" not in items["u"] and items["u"]["abstained_right"] == 0.0


def test_splitters_are_compared_each_over_an_index_of_its_own(typing: Typing, notes: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "q.jsonl", *QUESTIONS[:3])
    told = typing.json("leaderboard", data, "--root", notes, "--with", "splitter=structure:100", "--with", "k=2")
    assert {row["configuration"] for row in told["leaderboard"]} == {"default", "splitter=structure:100", "k=2"}
    assert typing.bench.recut == ["structure:100"]
    configurations = {typing.json("show", row["run"])["config"]["splitter"] for row in told["leaderboard"]}
    assert configurations == {"structure", "structure:100"}


def test_configurations_are_put_in_order(typing: Typing, notes: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "q.jsonl", *QUESTIONS[:3])
    words = ("leaderboard", data, "--root", notes, "--with", "k=1,steps=copies+merging", "--with", "rerank=judge")
    told = typing.json(*words)
    assert {row["configuration"] for row in told["leaderboard"]} == {
        "default",
        "k=1,steps=copies+merging",
        "rerank=judge",
    }
    assert len({row["run"] for row in told["leaderboard"]}) == 3
    shown = typing(*words, "--by", "ndcg10").stdout
    assert "rerank=judge" in shown and "ndcg10" in shown
    for wrong in ("k", "k=0", "k=x", "colour=red", "rerank=dice", "steps=jumping", "splitter=words"):
        assert typing("leaderboard", data, "--root", notes, "--with", wrong).exit_code == 1, wrong
    assert typing("leaderboard", data, "--root", notes, "--by", "beauty").exit_code == 1


def test_questions_are_proposed(typing: Typing, notes: Path, tmp_path: Path) -> None:
    long = "The pump at the old mill has a rate of 42 litres. " * 3
    (notes / "c.txt").write_text(long)
    typing.bench.engine._answer = "What rate of litres has the pump at the old mill?"
    out = tmp_path / "questions.jsonl"
    result = typing("questions", "--root", notes, "-n", "3", "--out", out)
    assert result.exit_code == 0, result.output
    assert "1 question from" in result.stderr and "a larger --model" in result.stderr
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["path"], row["answerable"], row["start_line"]) == ("c.txt", True, 1)
    assert typing.json("rag", out, "--root", notes)["recall10"] == 1.0


def test_a_folder_with_nothing_in_it(typing: Typing, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = typing("questions", "--root", tmp_path / "empty")
    assert result.exit_code == 1 and "nothing here to ask about" in result.stderr


def test_blind_votes(typing: Typing, tmp_path: Path) -> None:
    prompts = rows(
        tmp_path / "p.jsonl", {"question": "Why?"}, {"instruction": "Say", "input": "it"}, {"question": "How?"}
    )
    result = typing("arena", "play", prompts, "--a", "one", "--b", "system=Be brief, please.", typed="a\nt\nq\n")
    assert result.exit_code == 0, result.output
    assert "was one" in result.stdout
    shown = typing.json("arena", "standings")
    assert shown["votes"] == 2 and not shown["enough"]
    pairs = tmp_path / "votes.jsonl"
    typing("arena", "export", pairs)
    exported = [json.loads(line) for line in pairs.read_text().splitlines()]
    assert exported == [] or set(exported[0]) == {"instruction", "chosen", "rejected"}
    typed = typing("arena", "play", "--b", "two", typed="Is it?\nb\n\n")
    assert typed.exit_code == 0 and typing.json("arena", "standings")["votes"] == 3
    assert "forgot 4 battles" in typing("arena", "clear").stdout


def test_a_side_that_looks_things_up(typing: Typing, notes: Path, tmp_path: Path) -> None:
    prompts = rows(tmp_path / "p.jsonl", {"question": "what was the rate"})
    typed = ("arena", "judge", prompts, "--a", "auto", "--b", f"root={notes},k=1")
    assert typing.json(*typed)["votes"] == 1
    read = [prompt.passages for prompt in typing.bench.engine.prompts]
    assert ("the rate was 42 percent",) in read and () in read
    assert "looks nothing up" in typing("arena", "judge", prompts, "--a", "auto", "--b", "k=3").stderr


def test_a_judge_votes(typing: Typing, tmp_path: Path) -> None:
    prompts = rows(tmp_path / "p.jsonl", {"question": "Why?"}, {"question": "How?"}, {"colour": "red"})
    told = typing.json("arena", "judge", prompts, "--a", "one", "--b", "two")
    assert (told["votes"], told["inconsistent"], len(told["skipped"])) == (2, 0, 1)
    assert told["standings"]["votes"] == 2
    assert typing("arena", "judge", prompts, "--a", "one", "--b", "one").exit_code == 1


def test_what_a_side_may_be() -> None:
    side = parse_side("model=tiny,adapter=x:0.5+y,temperature=0.7,system=Be brief, and kind")
    assert (side.model, side.temperature, side.system) == ("tiny", 0.7, "Be brief, and kind")
    assert [(use.name, use.scale) for use in side.adapters] == [("x", 0.5), ("y", 1.0)]
    assert dataclasses.astuple(parse_side("tiny"))[:2] == ("tiny", "tiny")
    looking = parse_side("root=.,k=12,rerank=judge,rewrite=hyde,steps=copies+window,model=tiny")
    assert (looking.k, looking.rerank, looking.rewrite, looking.context_steps) == (12, "judge", "hyde", "copies,window")
    assert looking.roots == (str(Path.cwd()),) and looking.model == "tiny"
    for wrong in ("colour=red", "model=", "temperature=hot", "k=many", "rerank=dice", "rewrite=loudly"):
        with pytest.raises(BadRequest):
            parse_side(wrong)


def test_sets_with_nothing_in_them_are_refused_in_a_line(typing: Typing, tmp_path: Path) -> None:
    for text in ("", "[]", "question\n", "{"):
        path = tmp_path / ("set.csv" if text.startswith("question") else "set.json")
        path.write_text(text)
        for command, *options in (
            ("exact",),
            ("rag",),
            ("diversity",),
            ("bias",),
            ("judge", "--response", "x"),
            ("mc",),
        ):
            result = typing(command, path, *options)
            assert result.exit_code == 1, (command, text)
            assert result.stderr.splitlines()[-1].startswith("lorebook: ")
