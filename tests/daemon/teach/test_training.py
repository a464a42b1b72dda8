# ruff: noqa: E402 - what needs torch is imported where there is one
"""Training with torch and PEFT on tiny models: bit for bit, and the same in llama.cpp as in torch."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import os
import signal
import sys
import time
from itertools import pairwise

import pytest

for wanted in ("torch", "peft"):
    pytest.importorskip(wanted, reason="training is tested where pip install 'lorebook[train]' was typed")

import gguf
import numpy as np
import torch

import tiny_engine
import tiny_models
from lorebook_api.asking import AdapterUse
from lorebook_api.errors import LorebookError, StorageFailed, Unusable
from lorebook_daemon.engine.child.llama import Llama
from lorebook_daemon.engine.child.work import Piece
from lorebook_daemon.engine.protocol import Message, Plain, Prompt
from lorebook_daemon.models.adapter_file import check_fits, read_adapter
from lorebook_daemon.models.adapters import import_adapter
from lorebook_daemon.models.identity import identity
from lorebook_daemon.teach.batches import NextToken, Prefixes, adapters_off, collate, losses
from lorebook_daemon.teach.examples import read_examples
from lorebook_daemon.teach.export import write_gguf, write_peft
from lorebook_daemon.teach.job import read_job
from lorebook_daemon.teach.loop import Schedule, Training, rate
from lorebook_daemon.teach.lowrank import inject, lora_config
from lorebook_daemon.teach.model import causal, trained
from lorebook_daemon.teach.plan import lay_out
from lorebook_daemon.teach.samples import Sample
from lorebook_daemon.teach.teacher import Tell, load, teach, write
from lorebook_daemon.teach.trainer import run_trainer
from lorebook_daemon.teach.weights import read_shape, turned, unturned

pytestmark = [pytest.mark.train, pytest.mark.usefixtures("one_thread")]


def prepared(base, folder, make_job, method="alora", **settings):
    """Return a model with an adapter in it, and its plan."""
    make_job(folder, base, method, **settings)
    plan = lay_out(read_job(folder), read_examples(folder / "examples.jsonl"))
    model = load(base, plan.shape)
    config = lora_config(plan.shape, read_job(folder).settings, plan.invocation)
    inject(model, config, seed=0)
    return model, plan, config


def training(model, plan, folder, epochs=3, learning_rate=0.02, **more):
    schedule = Schedule(epochs, 2, learning_rate, 0, checkpoint_steps=2)
    objective = NextToken(model, Prefixes(model, 2**26))
    return Training(model, objective, plan.variants, plan.held_out, schedule, folder / "checkpoint.pt", **more)


def factors(model):
    return {name: parameter.detach().clone() for name, parameter in trained(model).items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def torch_logprobs(model, tokens):
    with torch.no_grad():
        hidden, _ = model(torch.tensor([tokens]), torch.arange(len(tokens))[None], causal(len(tokens)))
        return torch.log_softmax(model.logits(hidden[0]), -1).numpy()


def llama_logprobs(path, tokens, adapter=None):
    llama = Llama(path, 512, 1)
    adapters = (llama.adapters.find(str(adapter), 1.0),) if adapter else ()
    (rows,) = llama.decode([Piece(0, 0, tuple(tokens), adapters, len(tokens))])
    logits = np.stack([llama.logits(row).copy() for row in rows])
    return (
        logits
        - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - logits.max(-1, keepdims=True)
    )


# -- the same model


def test_logits_in_torch_and_in_llama_cpp_agree(base):
    tokens = list(range(20, 60))
    ours = torch_logprobs(load(base, read_shape(base)), tokens)
    theirs = llama_logprobs(base, tokens)
    assert np.abs(np.exp(ours) - np.exp(theirs)).max() < 1e-3
    assert np.abs(ours - theirs).max() < 0.05  # llama.cpp keeps keys and values in 16 bits
    assert (ours.argmax(-1) == theirs.argmax(-1)).all()


def test_weights_in_16_bits_say_nearly_the_same(base):
    shape, tokens = read_shape(base), list(range(20, 40))
    wide, narrow = (torch_logprobs(load(base, shape, dtype), tokens) for dtype in (torch.float32, torch.bfloat16))
    assert 0 < np.abs(np.exp(wide) - np.exp(narrow)).max() < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_how_weights_are_kept_changes_no_bit_of_what_is_learnt(tmp_path, make_job, family, dtype):
    base = tiny_models.tiny(tmp_path / "tiny.gguf", family, weights=gguf.GGMLQuantizationType.Q4_1)
    make_job(tmp_path, base, "lora")
    plan = lay_out(read_job(tmp_path), read_examples(tmp_path / "examples.jsonl"))
    learnt = []
    for packed in (False, True):
        model = load(base, plan.shape, dtype, packed=packed)
        inject(model, lora_config(plan.shape, read_job(tmp_path).settings, plan.invocation), seed=0)
        folder = tmp_path / str(packed)
        folder.mkdir()
        at = training(model, plan, folder).run()
        learnt.append((at.loss, factors(model)))
    assert learnt[0][0] == learnt[1][0]
    assert same(learnt[0][1], learnt[1][1])


def test_rows_are_turned_and_turned_back():
    values = torch.arange(48.0).reshape(16, 3)
    assert not torch.equal(turned(values, 2), values)
    assert torch.equal(turned(unturned(values, 2), 2), values)


# -- what is frozen is read once


def test_what_is_read_once_gives_the_losses_of_the_whole(base, tmp_path, make_job):
    model, plan, _ = prepared(base, tmp_path, make_job)
    prefixes = Prefixes(model, 2**26)
    samples = [variants[0] for variants in plan.variants]
    with torch.no_grad(), adapters_off(model):
        apart = losses(model, collate(samples, prefixes))
        whole = losses(model, collate([dataclasses.replace(one, acts=0) for one in samples], prefixes))
    assert torch.allclose(apart, whole, atol=5e-3)  # what is read once is kept in 16 bits


def test_what_a_batch_begins_with_is_computed_once_and_gives_the_same_gradients(base, tmp_path, make_job):
    model, plan, _ = prepared(base, tmp_path, make_job, "lora")
    samples = [variants[0] for variants in plan.variants]
    together = collate(samples, Prefixes(model, 0))
    assert together.look.spans[0].end > 4  # the system prompt
    assert together.inputs.numel() < sum(len(sample.tokens) - 1 for sample in samples)
    gradients = []
    for parts in ([samples], [[one] for one in samples]):
        model.zero_grad()
        sum(losses(model, collate(part, Prefixes(model, 0))).sum() for part in parts).backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in trained(model).items()})
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-3, rtol=1e-3) for name in gradients[0])


def test_no_sample_of_a_batch_looks_at_another(base, tmp_path, make_job):
    model, _, _ = prepared(base, tmp_path, make_job, "lora")
    one, other, third = (Sample((*range(20, 30), *range(n, n + 6)), 12) for n in (40, 60, 80))
    with torch.no_grad():
        beside_other = losses(model, collate([one, other], Prefixes(model, 0)))[:4]
        beside_third = losses(model, collate([one, third], Prefixes(model, 0)))[:4]
    assert torch.equal(beside_other, beside_third)


def test_products_of_16_bits_learn_as_well(base, tmp_path, make_job):
    ends = []
    for dtype in (torch.float32, torch.bfloat16):
        model, plan, _ = prepared(base, tmp_path / str(dtype), make_job)
        if dtype is torch.bfloat16:
            for parameter in model.parameters():
                if not parameter.requires_grad and parameter.dim() > 1:
                    parameter.data = parameter.data.to(dtype)
        model.dtype = dtype
        ends.append(training(model, plan, tmp_path / str(dtype), epochs=6).run().held_out[-1][1])
    assert abs(ends[0] - ends[1]) < 0.05 * ends[0]


def test_neither_padding_nor_company_changes_a_loss(base, tmp_path, make_job):
    model, _, _ = prepared(base, tmp_path, make_job)
    samples = [Sample(tuple(range(20, 20 + n)), n - 3, n - 6) for n in (9, 14, 30)]
    prefixes = Prefixes(model, 2**26)
    with torch.no_grad():
        together = losses(model, collate(samples, prefixes)).split(3)
        alone = [losses(model, collate([one], prefixes)) for one in samples]
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_prefixes_beyond_the_bound_are_read_again_and_the_same(base, tmp_path, make_job):
    model, _, _ = prepared(base, tmp_path, make_job)
    kept, unkept = Prefixes(model, 2**26), Prefixes(model, 0)
    first, again, fresh = kept.of((20, 21, 22)), kept.of((20, 21, 22)), unkept.of((20, 21, 22))
    assert first is again and unkept.of((20, 21, 22)) is not fresh
    assert all(torch.equal(k, other) for (k, _), (other, _) in zip(first, fresh, strict=True))


def test_a_layer_computed_twice_gives_the_same_gradients(base, tmp_path, make_job):
    model, plan, _ = prepared(base, tmp_path, make_job, "lora")
    batch = collate([variants[0] for variants in plan.variants], Prefixes(model, 0))
    gradients = []
    for model.thrifty in (False, True):
        model.zero_grad()
        losses(model, batch).mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in trained(model).items()})
    assert all(torch.allclose(gradients[0][name], gradients[1][name], atol=1e-6) for name in gradients[0])


# -- the loop


@pytest.mark.parametrize("method", ["lora", "alora"])
def test_training_learns_and_changes_nothing_but_the_adapter(base, tmp_path, make_job, method):
    model, plan, _ = prepared(base, tmp_path, make_job, method)
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    before = factors(model)
    at = training(model, plan, tmp_path, epochs=10).run()
    assert at.held_out[-1][1] < at.held_out[0][1] - 0.5
    assert not same(before, factors(model))
    assert all(torch.equal(p, frozen[name]) for name, p in model.named_parameters() if name in frozen)


def test_a_killed_training_goes_on_bit_by_bit(base, tmp_path, make_job):
    whole, plan, _ = prepared(base, tmp_path / "whole", make_job)
    training(whole, plan, tmp_path / "whole").run()

    class Killed(Exception):
        pass

    def kill(metrics):
        if metrics.step == 5:
            raise Killed

    broken, plan, _ = prepared(base, tmp_path / "broken", make_job)
    with pytest.raises(Killed):
        training(broken, plan, tmp_path / "broken", report=kill).run()
    resumed, plan, _ = prepared(base, tmp_path / "broken", make_job)
    steps = []
    again = training(resumed, plan, tmp_path / "broken", report=lambda metrics: steps.append(metrics.step))
    at = again.run()
    assert steps[0] == 5 and steps[-1] == again.steps
    assert same(factors(whole), factors(resumed))
    assert [step for step, _ in at.loss] == list(range(1, again.steps + 1))


def test_a_checkpoint_of_another_training_is_refused(base, tmp_path, make_job):
    model, plan, _ = prepared(base, tmp_path, make_job)
    training(model, plan, tmp_path).run()
    with pytest.raises(LorebookError, match="another training"):
        training(model, plan, tmp_path, learning_rate=0.01).run()


@pytest.mark.parametrize("when", [3, 4])
def test_a_loss_that_is_no_number_stops_and_the_last_checkpoint_stays(base, tmp_path, make_job, when):
    model, plan, _ = prepared(base, tmp_path, make_job)
    run = training(model, plan, tmp_path)

    def spoil(metrics):
        if metrics.step == when:
            next(iter(trained(model).values())).data.fill_(math.nan)

    run._report = spoil
    with pytest.raises(LorebookError, match=r"nan at step .* of step 2 is kept") as stopped:
        run.run()
    assert "--learning-rate" in stopped.value.hint
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["at"]["step"] == 2
    assert all(torch.isfinite(values).all() for values in state["trained"].values())


def test_a_full_disk_is_told_and_the_checkpoint_before_stays(base, tmp_path, make_job, monkeypatch):
    model, plan, _ = prepared(base, tmp_path, make_job)
    save = torch.save

    def full(state, path):
        if state["at"]["step"] > 2:
            raise OSError(28, "No space left on device")
        save(state, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(StorageFailed, match="No space left"):
        training(model, plan, tmp_path).run()
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["at"]["step"] == 2


def test_what_is_rehearsed_is_kept_and_the_loss_told_is_of_what_is_taught(base, tmp_path, make_job):
    model, plan, _ = prepared(base, tmp_path / "alone", make_job, "lora")
    prompt = tuple(range(40, 60))
    kept = Sample((*prompt, *write(model, prompt, 0, Prefixes(model, 2**26), -1, 6)), len(prompt))
    alone = training(model, plan, tmp_path / "alone", learning_rate=0.03)
    alone.run()
    model, plan, _ = prepared(base, tmp_path / "beside", make_job, "lora")
    beside = training(model, plan, tmp_path / "beside", learning_rate=0.03, rehearsal=(kept,))
    at = beside.run()
    assert beside.mean_loss([kept]) < alone.mean_loss([kept])
    assert at.loss[0] == pytest.approx(alone.at.loss[0]), "before the first step they are the same model"


@pytest.mark.parametrize(("epochs", "pairs", "beside"), [(2, 1, 2), (2, 2, 4), (20, 3, 60), (1, 50, 3)])
def test_nothing_is_rehearsed_oftener_than_an_example_is_seen(base, tmp_path, make_job, epochs, pairs, beside):
    model, plan, _ = prepared(base, tmp_path, make_job, "lora")
    again = tuple(Sample((n, n, n), 1) for n in range(pairs))
    taught = training(model, plan, tmp_path, epochs, rehearsal=again)
    steps = [taught._rehearsed(step) for step in range(taught.steps)]
    seen = [one for step in steps for one in step]
    assert len(seen) == min(beside, taught.steps)
    assert max(map(len, steps)) == 1
    assert all(seen.count(one) <= epochs for one in again)


@pytest.mark.parametrize("method", ["alora", "lora"])
def test_a_guess_of_what_is_written_changes_the_time_alone(base, tmp_path, make_job, method):
    model, plan, _ = prepared(base, tmp_path, make_job, method)
    training(model, plan, tmp_path, learning_rate=0.03).run()
    prompt, acts = plan.teaching.prompt(plan.examples[0].turns)
    prefixes, calls = Prefixes(model, 2**26), []
    model.register_forward_hook(lambda *_: calls.append(1))

    def written(guess, end=-1):
        calls.clear()
        return write(model, prompt, acts, prefixes, end, 8, guess), len(calls)

    plain, reads = written(())
    first, *_, last = plain
    assert len(plain) == 8 and reads in (8, 9)  # the prompt is kept, or read now
    assert written(plain) == (plain, 1) and written((*plain, 1, 2)) == (plain, 1)
    assert written((*plain[:3], plain[3] + 1, *plain[4:])) == (plain, 5)
    assert written((first + 1,)) == (plain, 8)
    ending = plain.index(last)
    assert written((*plain[:ending], last, 3), last) == (plain[:ending], 1)


@pytest.mark.parametrize(("epochs", "held_out", "most"), [(10, 1, 5), (10, 5, 3), (3, 64, 2)])
def test_measuring_on_the_way_takes_a_tenth_of_the_work_or_is_done_twice(
    base, tmp_path, make_job, epochs, held_out, most
):
    model, plan, _ = prepared(base, tmp_path, make_job, "lora")
    one = min((variants[0] for variants in plan.variants), key=lambda sample: sample.acting)
    taught = training(model, dataclasses.replace(plan, held_out=(one,) * held_out), tmp_path, epochs)
    at = taught.run()
    start, *on_the_way = [step for step, _ in at.held_out]
    assert start == 0 and on_the_way[-1] == taught.steps
    assert len(on_the_way) == most


def test_the_rate_goes_up_and_then_down():
    rates = [rate(step, 50) for step in range(50)]
    top = rates.index(max(rates))
    assert rates[top] == 1.0 and 3 <= top <= 6 and 0 < rates[-1] < 0.05
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(rates[top:], reverse=True)


# -- the adapter's file


def test_the_adapter_says_the_same_in_llama_cpp(base, tmp_path, make_job):
    model, plan, _ = prepared(base, tmp_path, make_job, "lora", targets=("q", "k", "v", "o", "gate", "up", "down"))
    training(model, plan, tmp_path, learning_rate=0.03).run()  # at 0.1 it diverges, and rounding shows
    adapter = tmp_path / "adapter.gguf"
    write_gguf(adapter, model, read_job(tmp_path), ())
    check_fits(read_adapter(adapter), base)
    tokens = list(range(20, 60))
    ours, theirs = torch_logprobs(model, tokens), llama_logprobs(base, tokens, adapter)
    assert np.abs(np.exp(ours) - np.exp(theirs)).max() < 5e-3
    assert np.abs(np.exp(ours) - np.exp(llama_logprobs(base, tokens))).max() > 0.05  # it does change something


def test_an_activated_adapter_writes_in_the_engine_what_it_writes_in_torch(base, tmp_path, home, make_job):
    model, plan, _ = prepared(base, tmp_path, make_job)
    training(model, plan, tmp_path, epochs=8, learning_rate=0.05).run()
    write_gguf(tmp_path / "facts.gguf", model, read_job(tmp_path), plan.invocation)
    info = import_adapter(tmp_path / "facts.gguf", home)
    assert info.invocation == plan.invocation
    question = plan.examples[0].question
    prompt, acts = plan.teaching.prompt(plan.examples[0].turns)
    end = plan.teaching.tokens.end
    ours = plan.teaching.tokens.text(write(model, prompt, acts, Prefixes(model, 2**26), end, 12))
    asked = Prompt((Message("system", "Be brief."), Message("user", question)))

    async def answer():
        async with tiny_engine.engine(base, home) as engine:
            plain = await tiny_engine.say(engine, asked, 12)
            taught = await tiny_engine.say(engine, asked, 12, (AdapterUse("facts"),))
            whole = await engine.score(Plain(tokens=prompt))
            return plain.text, taught.text, len(whole)

    plain, theirs, count = asyncio.run(answer())
    assert count == len(prompt)
    assert theirs == ours and theirs != plain


def test_the_folder_is_one_that_peft_loads(base, tmp_path, make_job):
    from peft import PeftConfig
    from safetensors.torch import load_file

    model, plan, config = prepared(base, tmp_path, make_job)
    write_peft(tmp_path / "peft", model, config, "base")
    read = PeftConfig.from_pretrained(str(tmp_path / "peft"))
    assert read.r == 2 and tuple(read.alora_invocation_tokens) == plan.invocation
    names = load_file(tmp_path / "peft" / "adapter_model.safetensors").keys()
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in names


# -- the child process


class Answers:
    """Somebody who wants an answer, or nobody."""

    def __init__(self) -> None:
        self.depth = 0
        self.comes = asyncio.Event()

    async def wanted(self) -> None:
        await self.comes.wait()


@pytest.fixture
def job(tmp_path, tiny_base, home, make_job):
    folder = tmp_path / "job"
    make_job(folder, tiny_base, sha256=identity(tiny_base, home), learning_rate=0.02, epochs=12)
    return folder


async def told(folder, answers=None):
    return [event async for event in run_trainer("train", folder, answers or Answers())]


def test_the_child_waits_for_answers_and_trains_to_an_adapter_with_a_card(job, tiny_base):
    """Starting torch takes a child most of its time, so that one child shows both."""

    async def watched():
        answers, events, seen = Answers(), [], []
        async for event in run_trainer("train", job, answers):
            events.append(event)
            if event.name == "metrics":
                seen.append(time.monotonic())
                if len(seen) == 1:
                    answers.depth = 1
                    answers.comes.set()
                    answers.comes = asyncio.Event()
                    asyncio.get_running_loop().call_later(2.0, lambda: setattr(answers, "depth", 0))
        return events, max(later - one for one, later in pairwise(seen))

    (*events, done), longest = asyncio.run(watched())
    assert longest > 1.5
    assert {"progress", "metrics", "said"} <= {event.name for event in events}
    card = json.loads((job / "card.json").read_text())
    assert card == done.data and card["status"] in ("active", "candidate")
    assert card["figures"]["held_out_after"] < card["figures"]["held_out_before"]
    assert len(card["cells"]) == card["examples"] == 5
    assert card["left_out"] == {}
    check_fits(read_adapter(job / "adapter.gguf"), tiny_base, card["base"]["sha256"])


def test_a_base_that_changed_or_went_is_refused(tmp_path, tiny_base, home, make_job):
    make_job(tmp_path / "changed", tiny_base, sha256="0" * 64)
    with pytest.raises(Unusable, match="not the file"):
        asyncio.run(told(tmp_path / "changed"))
    make_job(tmp_path / "gone", tmp_path / "gone.gguf")
    with pytest.raises(Unusable, match="any more"):
        asyncio.run(told(tmp_path / "gone"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_child_is_told_and_resumed_to_the_same_bytes(job, tmp_path, tiny_base, home, make_job):
    make_job(tmp_path / "whole", tiny_base, sha256=identity(tiny_base, home), learning_rate=0.02, epochs=12)
    train_here(tmp_path / "whole")

    async def killed():
        async for event in run_trainer("train", job, Answers()):
            if event.name == "metrics" and event.data["step"] >= 12:
                os.kill(child_of_this_process(), signal.SIGKILL)

    with pytest.raises(LorebookError, match="signal 9"):
        asyncio.run(killed())
    assert not (job / "adapter.gguf").exists()
    asyncio.run(told(job))
    assert (job / "adapter.gguf").read_bytes() == (tmp_path / "whole" / "adapter.gguf").read_bytes()


def train_here(folder):
    """Do in this process, which has torch, what a child does that nobody kills."""
    planned = read_job(folder)
    plan = lay_out(planned, read_examples(folder / "examples.jsonl"))
    teach(folder, planned, plan, Tell(*[lambda told: None] * 3), lambda: None)


def child_of_this_process():
    import psutil

    return next(one.pid for one in psutil.Process().children() if "lorebook_daemon.teach.child" in one.cmdline())
