# ruff: noqa: E402 - what needs torch is imported where there is one
"""Every method of fine-tuning: it learns, goes on after a kill, and says in llama.cpp what it says in torch."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

for wanted in ("torch", "peft"):
    pytest.importorskip(wanted, reason="training is tested where pip install 'lorebook[train]' was typed")

import numpy as np
import torch

import tiny_engine
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import BadRequest, Unusable
from lorebook_api.teaching import Pair, TeachRequest, TrainSettings
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.work import Piece
from lorebook_daemon.engine.protocol import Plain
from lorebook_daemon.models.adapter_file import SOFT, SOFT_VECTORS, check_fits, read_adapter
from lorebook_daemon.models.adapters import import_adapter
from lorebook_daemon.models.classes import HEAD, TASK, read_head
from lorebook_daemon.teach import teacher
from lorebook_daemon.teach.batches import Prefixes, adapters_off
from lorebook_daemon.teach.compose import compose
from lorebook_daemon.teach.examples import write_examples
from lorebook_daemon.teach.export import write_adapter
from lorebook_daemon.teach.job import METHODS, TrainJob, write_job
from lorebook_daemon.teach.loop import Schedule, Training
from lorebook_daemon.teach.merge import merged
from lorebook_daemon.teach.methods import TRAINERS
from lorebook_daemon.teach.model import causal, trained
from lorebook_daemon.teach.plan import lay_out, preview
from lorebook_daemon.teach.preferences import BETA
from lorebook_daemon.teach.teacher import Tell, load, write

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]

ANSWERS = tuple(Pair(f"What is the name of file {n}?", f"return {n} is the answer") for n in range(5))
PAIRS = [
    {"prompt": f"Say file {n}.", "chosen": f"the file {n}", "rejected": f"what a silly file {n} this is"}
    for n in range(24)
]
LABELLED = [{"text": f"the file {n} is {word}", "label": word} for n in range(14) for word in ("good", "bad")]
RATES = {
    **dict.fromkeys(("alora", "lora", "dpo"), 0.02),
    **dict.fromkeys(("classifier", "last-layers"), 0.01),
    "prompt": 0.1,
    "bitfit": 0.1,
    "full": 0.003,
}
APART = ("prompt",)
"""It changes what stands before the tokens, and has a test of its own."""
FIT = [
    (family, method) for method in METHODS for family in ("llama", "qwen2") if (family, method) != ("llama", "bitfit")
]


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    import tiny_models

    folder = tmp_path_factory.mktemp("bases")
    return {family: tiny_models.tiny(folder / f"{family}.gguf", family) for family in ("llama", "qwen2")}


def request_for(method, folder):
    settings = TrainSettings(epochs=3, batch=4, rank=2, layers=0)
    rows = {"pairs": PAIRS, "labels": LABELLED}.get(METHODS[method].learns)
    if rows is None:
        return TeachRequest(pairs=ANSWERS, method=method, settings=settings)
    folder.mkdir(parents=True, exist_ok=True)
    data = folder.parent / f"{method}.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    return TeachRequest(data=(str(data),), method=method, settings=settings, keep=("near-duplicate",))


def a_job(base, folder, method):
    request = request_for(method, folder)
    job = TrainJob("j1", "facts", base.stem, str(base), "", method, "chat", "auto", ("",), 1, request.settings)
    examples = compose(request)
    write_job(folder, job)
    write_examples(folder / "examples.jsonl", examples)
    return job, examples


def set_up(base, folder, method):
    job, examples = a_job(base, folder, method)
    plan = lay_out(job, examples)
    model = load(base, plan.shape)
    objective = TRAINERS[method].prepare(model, job, plan, Prefixes(model, 2**26))
    return model, job, plan, objective


def training(model, plan, objective, folder, method, **more):
    schedule = Schedule(6, 4, RATES[method], 0, checkpoint_steps=2)
    return Training(model, objective, plan.variants, plan.held_out, schedule, folder / "checkpoint.pt", **more)


def taught(base, folder, method):
    model, job, plan, objective = set_up(base, folder, method)
    at = training(model, plan, objective, folder, method).run()
    TRAINERS[method].write(folder, model, job, plan)
    return model, plan, objective, at


def torch_logprobs(model, tokens):
    with torch.no_grad():
        hidden = model(torch.tensor([tokens]), torch.arange(len(tokens))[None], causal(len(tokens)))[0]
        return torch.log_softmax(model.logits(hidden[0]).float(), -1).numpy()


def llama_logprobs(path, tokens, adapter=None):
    llama = Llama(path, 512, 1)
    adapters = (llama.adapters.find(str(adapter), 1.0),) if adapter else ()
    (rows,) = llama.decode([Piece(0, 0, tuple(tokens), adapters, len(tokens))])
    logits = torch.tensor(np.stack([llama.logits(row).copy() for row in rows]))
    return torch.log_softmax(logits, -1).numpy()


def test_each_method_has_a_trainer_and_a_rate_here():
    assert METHODS.keys() == TRAINERS.keys() == RATES.keys()


@pytest.mark.parametrize(("family", "method"), FIT)
def test_it_learns_and_changes_nothing_else(bases, tmp_path, family, method):
    model, _, plan, objective = set_up(bases[family], tmp_path, method)
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    run = training(model, plan, objective, tmp_path, method)
    at = run.run()
    losses = [loss for _, loss in at.loss]
    assert sum(losses[-run.steps_a_pass :]) < sum(losses[: run.steps_a_pass]) * 0.9
    assert all(torch.equal(p, frozen[name]) for name, p in model.named_parameters() if name in frozen)
    assert bool(at.accuracy) == (METHODS[method].learns != "answers")


@pytest.mark.parametrize(("family", "method"), [one for one in FIT if one[1] not in APART])
def test_it_is_written_as_what_llama_cpp_says_the_same_with(bases, tmp_path, family, method):
    base = bases[family]
    model, _, _, _ = taught(base, tmp_path, method)
    tokens = list(range(20, 60))
    if METHODS[method].trains in ("biases", "everything"):
        theirs = llama_logprobs(tmp_path / "model.gguf", tokens)
    else:
        theirs = llama_logprobs(base, tokens, tmp_path / "adapter.gguf")
    ours = torch_logprobs(model, tokens)
    assert np.abs(np.exp(ours) - np.exp(theirs)).max() < 5e-3
    assert np.abs(np.exp(ours) - np.exp(llama_logprobs(base, tokens))).max() > 0.01  # it does change something


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_killed_training_goes_on_bit_by_bit(bases, tmp_path, method):
    class Killed(Exception):
        pass

    def kill(metrics):
        if metrics.step == 5:
            raise Killed

    def run(folder, **more):
        model, _, plan, objective = set_up(bases["qwen2"], folder, method)
        training(model, plan, objective, folder, method, **more).run()
        return {name: parameter.detach().clone() for name, parameter in trained(model).items()}

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "broken", report=kill)
    resumed = run(tmp_path / "broken")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_estimate_counts_what_is_trained(bases, tmp_path, method):
    model, job, plan, _ = set_up(bases["qwen2"], tmp_path, method)
    count = sum(p.numel() for name, p in trained(model).items() if not name.startswith("classes."))
    outside = 0 if method != "full" else sum(p.numel() for p in trained(model).values() if p.dim() == 1)
    assert plan.estimate.trained == count - outside
    assert preview(job, plan).trained == plan.estimate.trained


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_teacher_carries_it_out_with_products_of_16_bits(bases, tmp_path, method, monkeypatch):
    monkeypatch.setattr(teacher, "multiplies_bfloat16", lambda: True)
    job, examples = a_job(bases["qwen2"], tmp_path, method)
    heard = []
    told = teacher.teach(tmp_path, job, lay_out(job, examples), Tell(*[heard.append] * 3), lambda: None)
    assert json.loads(json.dumps(told)) == json.loads((tmp_path / "card.json").read_text())
    assert told["method"] == method and told["trained"] > 0 and told["memory_mb"] > 0
    assert bool(told["curves"]["accuracy"]) == (METHODS[method].learns != "answers")
    own = METHODS[method].trains in ("biases", "everything")
    assert (tmp_path / ("model.gguf" if own else "adapter.gguf")).is_file()
    assert all(math.isfinite(loss) for _, loss in told["curves"]["loss"])


# -- preferences


def test_the_loss_of_a_preference_is_the_papers(bases, tmp_path):
    model, _, plan, objective = set_up(bases["qwen2"], tmp_path, "dpo")
    samples = [variants[0] for variants in plan.variants[:4]]
    assert torch.allclose(objective.losses(samples), torch.full((4,), math.log(2)), atol=1e-4)
    for parameter in trained(model).values():
        parameter.data += 0.05 * torch.sin(torch.arange(parameter.numel()).float()).view_as(parameter)
    for sample, loss in zip(samples, objective.losses(samples), strict=True):
        sides = []
        for tokens in (sample.tokens, sample.rejected):
            apart = [_said(model, tokens, sample, off) for off in (False, True)]
            sides.append(apart[0] - apart[1])
        expected = math.log1p(math.exp(-BETA * (sides[0] - sides[1])))
        assert abs(loss.item() - expected) < 1e-3


def _said(model, tokens, sample, off):
    """Return the log-probability of an answer, the adapter acting from where it acts."""
    from contextlib import nullcontext

    prefixes = Prefixes(model, 0)
    past = prefixes.of(sample.tokens[: sample.acts])
    fresh = list(tokens[sample.acts : -1])
    mask = torch.ones(1, 1, len(fresh), len(tokens) - 1, dtype=torch.bool)
    mask[:, :, :, sample.acts :] = causal(len(fresh))
    with torch.no_grad(), adapters_off(model) if off else nullcontext():
        positions = torch.arange(sample.acts, len(tokens) - 1)[None]
        hidden = model(torch.tensor([fresh]), positions, mask, [(k.float(), v.float()) for k, v in past])[0]
        logprobs = torch.log_softmax(model.logits(hidden[0]).float(), -1)
    first = sample.learnt - 1 - sample.acts
    wanted = torch.tensor(tokens[sample.learnt :])
    return float(logprobs[first:].gather(1, wanted[:, None]).sum())


def test_preferences_are_learnt_for_what_was_kept_back(bases, tmp_path):
    _, plan, objective, at = taught(bases["qwen2"], tmp_path, "dpo")
    assert plan.held_out
    assert at.accuracy[-1][1] >= at.accuracy[0][1]
    assert sum(objective.preferred(list(plan.held_out))) >= len(plan.held_out) * 0.65


def test_equal_answers_are_left_out_and_refused_where_all_are(bases, tmp_path):
    job, examples = a_job(bases["qwen2"], tmp_path, "dpo")
    from dataclasses import replace

    some = [replace(examples[0], rejected=examples[0].answer + " "), *examples[1:]]
    shown = preview(job, lay_out(job, some)).examples
    assert shown[0].left_out.startswith("equal:") and not shown[1].left_out
    with pytest.raises(BadRequest, match=r"can be learnt from \(equal"):
        lay_out(job, [replace(example, rejected=example.answer) for example in examples])
    with pytest.raises(BadRequest, match="no answer that was rejected"):
        lay_out(job, [replace(example, rejected="") for example in examples])


# -- classes


def test_one_class_is_refused(bases, tmp_path):
    from dataclasses import replace

    job, examples = a_job(bases["qwen2"], tmp_path, "classifier")
    with pytest.raises(BadRequest, match="All texts have the class 'good'"):
        lay_out(job, [replace(example, label="good") for example in examples])
    with pytest.raises(BadRequest, match="no label"):
        lay_out(job, [replace(example, label="") for example in examples])


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_engine_tells_classes_as_torch_does(bases, tmp_path, home, family):
    base = bases[family]
    _, plan, objective, at = taught(base, tmp_path, "classifier")
    assert at.accuracy[-1][1] > 0.5, "better than chance; a tiny model with random weights, and few rows kept back"
    assert read_adapter(tmp_path / "adapter.gguf").task == TASK
    info = import_adapter(tmp_path / "adapter.gguf", home, "told")
    head = read_head(tmp_path / "peft" / HEAD)
    assert head.classes == ("bad", "good")
    texts = [row["text"] for row in LABELLED[:6]]
    samples = [plan.teaching._labelled(example) for example in plan.examples[:6]]
    with torch.no_grad():
        ours = torch.softmax(objective._scores(samples)[0], -1).numpy()

    async def told():
        async with tiny_engine.engine(base, home) as engine:
            plain = await engine.hidden(texts)
            with_it = await engine.hidden(texts, (AdapterUse(info.name),))
            alone = [(await engine.hidden([text], (AdapterUse(info.name),)))[0] for text in texts]
            with pytest.raises(BadRequest):
                await engine.hidden([""])
            return plain, with_it, alone

    plain, with_it, alone = asyncio.run(told())
    assert np.abs(head.probabilities(with_it) - ours).max() < 0.02
    assert np.abs(np.array(with_it) - np.array(alone)).max() < 0.05
    assert np.abs(np.array(with_it) - np.array(plain)).max() > 0.05


# -- soft prompts


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_engine_reads_a_soft_prompt_as_torch_does(bases, tmp_path, home, family):
    base = bases[family]
    model, plan, _, _ = taught(base, tmp_path, "prompt")
    info = import_adapter(tmp_path / "adapter.gguf", home, "soft")
    assert info.vectors == len(plan.teaching.soft) == 20
    prompt, _ = plan.teaching.prompt(plan.examples[0].turns)
    end, use = plan.teaching.tokens.end, (AdapterUse("soft"),)
    written = write(model, (*plan.teaching.soft, *prompt), 0, Prefixes(model, 2**26), end, 12)
    ours = plan.teaching.tokens.text(written)
    logprobs = torch_logprobs(model, [*plan.teaching.soft, *prompt])[20:]
    asked = Plain(tokens=prompt)

    async def told():
        async with tiny_engine.engine(base, home) as engine:
            plain = await tiny_engine.say(engine, asked, 12)
            soft = await tiny_engine.say(engine, asked, 12, use)
            again, after = await asyncio.gather(
                tiny_engine.say(engine, asked, 12, use), tiny_engine.say(engine, asked, 12)
            )
            with pytest.raises(BadRequest, match="has no scale"):
                await tiny_engine.say(engine, asked, 12, (AdapterUse("soft", 0.5),))
            scored = await engine.score(asked, adapters=use)
            likely = await engine.continuations(asked, [" the file"], use)
            return plain.text, soft.text, again.text, after.text, scored, likely

    plain, soft, again, after, scored, _ = asyncio.run(told())
    assert soft == again == ours and plain == after != soft
    assert [one.token for one in scored] == list(prompt)
    expected = [logprobs[n - 1, token] for n, token in enumerate(prompt) if n]
    assert np.abs(np.array([one.logprob for one in scored[1:]]) - np.array(expected)).max() < 0.1


def test_passages_under_a_soft_prompt_are_read_once_and_kept_apart(bases, tmp_path, home):
    base = bases["qwen2"]
    taught(base, tmp_path, "prompt")
    import_adapter(tmp_path / "adapter.gguf", home, "soft")
    asked = tiny_engine.prompt("Which valve?", tiny_engine.PASSAGES)
    turned = tiny_engine.prompt("Which valve?", tiny_engine.PASSAGES[::-1])
    use = (AdapterUse("soft"),)

    async def told():
        async with tiny_engine.engine(base, home) as engine:
            first = await tiny_engine.say(engine, asked, 8, use)
            other = await tiny_engine.say(engine, turned, 8, use)
            plain = await tiny_engine.say(engine, asked, 8)
        async with tiny_engine.engine(base, home, kv_reuse="off") as engine:
            fresh = await tiny_engine.say(engine, asked, 8, use)
            unsoftened = await tiny_engine.say(engine, asked, 8)
        return first, other, plain, fresh, unsoftened

    first, other, plain, fresh, unsoftened = asyncio.run(told())
    assert other.end.usage.cached_tokens > 0
    assert first.end.usage.prompt_tokens == plain.end.usage.prompt_tokens + 20
    assert plain.text != first.text
    assert fresh.end.usage.cached_tokens == 0 and unsoftened.text


@pytest.mark.parametrize("wrong", ["width", "nan", "empty"])
def test_a_soft_prompt_that_is_none_is_told(bases, tmp_path, wrong):
    values = {"width": np.ones((4, 63)), "nan": np.full((4, 64), np.nan), "empty": np.ones((2000, 64))}[wrong]
    job, _ = a_job(bases["qwen2"], tmp_path, "prompt")
    write_adapter(tmp_path / "soft.gguf", job, "qwen2", [(SOFT_VECTORS, values.astype(np.float32))], kind=SOFT)
    with pytest.raises(Unusable):
        check_fits(read_adapter(tmp_path / "soft.gguf"), bases["qwen2"])


# -- a model of its own


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_merged_model_says_what_the_adapter_says(bases, tmp_path, family):
    base = bases[family]
    taught(base, tmp_path, "lora")
    adapter = read_adapter(tmp_path / "adapter.gguf", "facts")
    merged(tmp_path / "merged.gguf", base, adapter)
    tokens = list(range(20, 60))
    apart = llama_logprobs(base, tokens, tmp_path / "adapter.gguf")
    assert np.abs(np.exp(apart) - np.exp(llama_logprobs(tmp_path / "merged.gguf", tokens))).max() < 5e-3
    assert list(tmp_path.glob(".*.part")) == []


def test_what_acts_in_answers_only_is_not_merged(bases, tmp_path):
    taught(bases["qwen2"], tmp_path, "alora")
    with pytest.raises(BadRequest, match="acts in answers only"):
        merged(tmp_path / "merged.gguf", bases["qwen2"], read_adapter(tmp_path / "adapter.gguf", "facts"))
    assert not (tmp_path / "merged.gguf").exists()


def test_a_family_without_biases_is_told_before(bases, tmp_path):
    job, examples = a_job(bases["llama"], tmp_path, "bitfit")
    with pytest.raises(BadRequest, match="has no biases"):
        lay_out(job, examples)
