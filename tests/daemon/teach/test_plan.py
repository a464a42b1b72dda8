import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import tiny_models
from lorebook_api.errors import BadRequest, LorebookError, Unusable
from lorebook_api.teaching import METHODS as CONTRACT_METHODS
from lorebook_api.teaching import TARGETS as CONTRACT_TARGETS
from lorebook_api.teaching import Pair, TeachRequest, TrainSettings
from lorebook_daemon.teach import child
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.datafile import read_data
from lorebook_daemon.teach.estimate import Estimate, check_memory
from lorebook_daemon.teach.examples import Example, Origin, Turn, left_out, read_examples
from lorebook_daemon.teach.job import METHODS, TARGETS, check_settings, read_job
from lorebook_daemon.teach.plan import PREVIEWED, lay_out, preview
from lorebook_daemon.teach.samples import Teaching, Tokens
from lorebook_daemon.teach.trainer import run_trainer
from lorebook_daemon.teach.weights import read_shape
from lorebook_daemon.teach.wordings import learnt_wordings


@pytest.fixture
def folder(tmp_path, tiny_base, make_job):
    make_job(tmp_path / "job", tiny_base)
    return tmp_path / "job"


def laid_out(folder):
    return lay_out(read_job(folder), read_examples(folder / "examples.jsonl"))


def test_the_adapter_begins_to_act_where_the_template_begins_an_answer(tiny_base):
    assert Tokens(tiny_base).invocation == tiny_models.invocation()


def test_only_the_answer_and_its_end_are_learnt(tiny_base):
    teaching = Teaching(Tokens(tiny_base), "chat", ("Be brief.",), activated=True)
    example = Example((Turn("user", "the name?"),), "is not <|im_end|>", Origin(""))
    (sample,) = teaching.variants(example)
    text = teaching.tokens.text
    assert text(sample.tokens[: sample.learnt]).endswith("the name?<|im_end|>\n<|im_start|>assistant\n")
    assert text(sample.tokens[sample.learnt :]) == "is not <|im_end|><|im_end|>"
    assert sample.tokens[-1] == tiny_models.token("<|im_end|>")
    assert sample.tokens[-2] != sample.tokens[-1]  # what a person wrote never is a control token
    assert sample.tokens[sample.acts : sample.learnt] == tiny_models.invocation()


@pytest.mark.parametrize(("template", "begins"), [("alpaca", "Below is an"), ("phi3", "<|user|>\nq<|end|>")])
def test_other_templates_write_as_they_should(tiny_base, template, begins):
    teaching = Teaching(Tokens(tiny_base), template, ("",), activated=False)
    (sample,) = teaching.variants(Example((Turn("user", "q"),), "a", Origin("")))
    assert teaching.tokens.text(sample.tokens).startswith(begins)
    assert sample.acts == 0


def test_alpaca_has_a_place_for_what_an_instruction_is_about(tiny_base, tmp_path):
    path = tmp_path / "alpaca.jsonl"
    rows = [
        {"instruction": "Add the numbers.", "input": "1 and 2\n", "output": "3"},
        {"instruction": "Hi", "output": ""},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    asked, greeted = (replace(one, wordings=learnt_wordings(one.question)) for one in read_data(path))

    def written(example, template):
        teaching = Teaching(Tokens(tiny_base), template, ("",), activated=False)
        return [teaching.tokens.text(sample.tokens[: sample.learnt]) for sample in teaching.variants(example)]

    with_input = [text for text in written(asked, "alpaca") if "### Input:\n1 and 2\n\n### Response:\n" in text]
    assert with_input[0].startswith("Below is an instruction that describes a task, paired with an input that")
    assert "\n\n### Instruction:\nAdd the numbers.\n\n### Input:\n" in with_input[0]
    assert "\n\n### Instruction:\nTell me: add the numbers.\n\n### Input:\n" in with_input[1]
    assert not any("### Input" in text for text in written(greeted, "alpaca"))
    plain = replace(asked, turns=(Turn("user", asked.question),))
    for template in ("chat", "phi3"):
        assert written(asked, template) == written(plain, template)


def test_wordings_and_system_prompts_take_turns(tiny_base):
    teaching = Teaching(Tokens(tiny_base), "chat", ("one", ""), activated=True)
    example = Example((Turn("user", "q"),), "a", Origin(""), wordings=("q", "r", "s"))
    texts = [teaching.tokens.text(sample.tokens) for sample in teaching.variants(example)]
    assert len(texts) == 4 and sum("one" in text for text in texts) == 2


def test_a_preview_shows_what_is_learnt_held_out_and_left_out(folder):
    shown = preview(read_job(folder), laid_out(folder))
    assert {one.held_out for one in shown.examples} == {True, False}
    assert [segment.learnt for segment in shown.examples[0].segments] == [False, True]
    assert sum(segment.tokens for segment in shown.examples[0].segments) == shown.examples[0].tokens
    assert shown.epochs == 3 and shown.steps == 9
    shape = read_shape(Path(read_job(folder).path))
    assert shown.trained == 2 * shape.layers * 2 * (shape.width + shape.heads * shape.head)


def test_a_preview_of_many_shows_the_first_and_counts_them_all(folder):
    plan = laid_out(folder)
    left_out = replace(plan.examples[0], left_out="duplicate", held_out=True)
    many = (*plan.examples * 100, left_out)
    shown = preview(read_job(folder), replace(plan, examples=many))
    held_out = 100 * sum(example.held_out for example in plan.examples)
    assert len(shown.examples) == PREVIEWED < len(many)
    assert (shown.held_out, shown.left_out) == (held_out, 1)
    assert shown.taught == len(many) - held_out - 1 > PREVIEWED


def test_examples_that_are_too_long_are_left_out_and_all_of_them_refused(tmp_path, tiny_base, make_job):
    make_job(tmp_path / "job", tiny_base, max_tokens=16)
    with pytest.raises(BadRequest, match="longer than 16 tokens"):
        laid_out(tmp_path / "job")


def test_one_that_is_too_long_is_counted_once_with_what_was_left_out_before(tmp_path, tiny_base, make_job):
    job = make_job(tmp_path / "job", tiny_base, max_tokens=200)
    fact = Pair("What is the name?", "It is the file.")
    pairs = (fact, fact, Pair("What is long?", "".join(f" name {n}" for n in range(99))))
    plan = lay_out(job, compose(TeachRequest(pairs=pairs)))
    assert left_out(plan.examples) == {"duplicate": 1, "too long": 1}
    assert {one.left_out.partition(":")[0] for one in preview(job, plan).examples} == {"", "duplicate", "too long"}


def test_the_contract_names_the_methods_and_targets_that_there_are():
    assert tuple(METHODS) == CONTRACT_METHODS and tuple(TARGETS) == CONTRACT_TARGETS


@pytest.mark.parametrize(
    ("method", "template", "settings"),
    [
        ("magic", "chat", {}),
        ("lora", "none", {}),
        ("alora", "alpaca", {}),
        ("lora", "chat", {"rank": 0}),
        ("lora", "chat", {"learning_rate": float("nan")}),
        ("lora", "chat", {"targets": ()}),
        ("lora", "chat", {"targets": ("q", "z")}),
    ],
)
def test_what_cannot_be_is_refused(method, template, settings):
    with pytest.raises(BadRequest):
        check_settings(method, template, TrainSettings(**settings))


@pytest.mark.parametrize("architecture", ["mamba", "jamba", "lfm2"])
def test_a_family_that_is_not_known_is_refused_before_training(tmp_path, architecture):
    model = tiny_models.tiny(tmp_path / "m.gguf", architecture)
    with pytest.raises(Unusable, match=architecture):
        read_shape(model)


def test_what_it_will_take_is_told_in_words():
    brief = Estimate(2, 40, 9000, 40.0, 1536.0, thrifty=False, packed=False)
    assert brief.told == "40 steps in 2 passes, 9,000 numbers are learnt, about 40 seconds and 1.5 GB"
    assert "about 9 minutes and" in replace(brief, seconds=540.0).told


def test_what_does_not_fit_into_memory_is_refused_with_a_way_out():
    with pytest.raises(BadRequest, match="GB are free") as refused:
        check_memory(Estimate(1, 1, 1, 1.0, 1e9, thrifty=False, packed=False))
    assert "--base" in refused.value.hint


# -- the child process


class Idle:
    depth = 0

    async def wanted(self):
        await asyncio.Event().wait()


async def told(what, folder):
    return [event async for event in run_trainer(what, folder, Idle())]


def test_the_child_previews_without_torch(folder):
    (event,) = asyncio.run(told("preview", folder))
    assert event.name == "done" and event.data["steps"] == 9


def test_the_childs_errors_are_raised(tmp_path):
    (tmp_path / "job").mkdir()
    with pytest.raises(Unusable, match="not whole"):
        asyncio.run(told("preview", tmp_path / "job"))


def test_a_child_that_dies_says_so(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false" if sys.platform != "win32" else "where.exe")
    with pytest.raises(LorebookError, match="exit status 1"):
        asyncio.run(told("preview", folder))


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")]
)
def test_memory_that_runs_out_on_the_way_is_told_with_a_way_out(error):
    assert "memory" in child._told(error).message and "--base" in child._told(error).hint
    assert "ZeroDivisionError" in child._told(ZeroDivisionError("oh")).message
