"""What is kept never changes what is said: random schedules over an exact fake, against a reading from the definition.

Whatever runs at once, is taken back, given up, cancelled, or forgotten, each request gives to the bit what it would give
by itself: so no KV of one prompt, passage or adapter set is ever used for another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_llama import FakeLlama, FakeRecurrent, Seen, logits_after, value
from lorebook_api.errors import LorebookError
from lorebook_api.schema import Sampling
from lorebook_daemon.engine.adapters import Adapter, AdapterSet
from lorebook_daemon.engine.blocks import Blocks
from lorebook_daemon.engine.chat import PromptTokens
from lorebook_daemon.engine.diskblocks import passage_digest
from lorebook_daemon.engine.protocol import Finished, Priority, Turn
from lorebook_daemon.engine.reader import Reader
from lorebook_daemon.engine.scheduler import Scheduler, Task
from lorebook_daemon.engine.tasks import Tasks

CALL = (7, 8, 9)
"""What an activated adapter waits for."""
LORA, ACTIVATED = Adapter("a.gguf", 1, 1.0), Adapter("c.gguf", 1, 1.0, CALL)
SETS: tuple[AdapterSet, ...] = (
    (),
    (LORA,),
    (ACTIVATED,),
    (Adapter("d.gguf", 1, 1.0, CALL),),
    (Adapter("a.gguf", 1, 0.5),),
    (Adapter("a.gguf", 2, 1.0),),
    (Adapter("b.gguf", 1, 1.0), LORA),
    (LORA, ACTIVATED),
    (Adapter("never.gguf", 1, 1.0, (1, 1, 1, 1)),),
)
HEADS = ((1, 2, 3), (1, 2, 3, *CALL), (1, 2, 3, 4, *range(1, 20)), (1, 2, 3, *CALL, 5), ())
PASSAGES = ((11, 12, 13), (11, 12, 14), tuple(range(3, 23)), (10, *CALL, 10, 5), (7,), (), (3, 9) * 30)
TAILS = ((20, 21), (20, 21, *CALL), (22,), (*CALL, 20, 7, 8), ())


# -- what each request gives by itself, from the definition


def acting(adapters: AdapterSet, flat: tuple[int, ...], place: int) -> AdapterSet:
    """Return which adapters act at a place: an activated one from the last place on where its call stands."""

    def start(one: Adapter) -> float:
        n = len(one.invocation)
        return max((i for i in range(len(flat) - n + 1) if flat[i : i + n] == one.invocation), default=math.inf)

    return tuple(one for one in adapters if not one.invocation or start(one) <= place)


def read_on(cells: Seen, tokens: tuple[int, ...], sets: list[AdapterSet]) -> None:
    for token, adapters in zip(tokens, sets, strict=True):
        cells.append((len(cells), value(token, len(cells), adapters, cells)))


def read_alone(prompt: PromptTokens, adapters: AdapterSet, *, apart: bool) -> Seen:
    """Return the cells of a prompt that is read once from its start; passages `apart` see the head alone."""
    sets = [acting(adapters, prompt.flat, place) for place in range(len(prompt.flat))]
    head = len(prompt.head)
    cells: Seen = []
    for i, tokens in enumerate((prompt.head, *prompt.passages, prompt.tail)):
        start = len(cells)
        these = sets[start : start + len(tokens)]
        is_block = 0 < i <= len(prompt.passages) and apart and len(set(these)) == 1
        if is_block and prompt.head and prompt.tail:
            block = cells[:head]
            read_on(block, tokens, these)
            cells += [(start + n, what) for n, (_, what) in enumerate(block[head:])]
        else:
            read_on(cells, tokens, these)
    return cells


def say_alone(prompt: PromptTokens, adapters: AdapterSet, most: int, *, apart: bool) -> str:
    cells = read_alone(prompt, adapters, apart=apart)
    said: list[int] = []
    while len(said) < most and (token := int(logits_after(cells[-1][1]).argmax())):
        said.append(token)
        read_on(cells, (token,), [acting(adapters, prompt.flat, len(prompt.flat))])
    return "".join(chr(65 + token) for token in said)


def judge_alone(prompt: PromptTokens, adapters: AdapterSet, *, apart: bool) -> float:
    logits = logits_after(read_alone(prompt, adapters, apart=apart)[-1][1]).astype(float)
    yes, no = ({ord(word[0]) % 26 for word in words} for words in (("Y", "y", " "), ("N", "n", " ")))
    return math.log(sum(math.exp(logits[i]) for i in yes)) - math.log(sum(math.exp(logits[i]) for i in no))


def score_alone(prompt: PromptTokens, adapters: AdapterSet) -> list[float]:
    cells = read_alone(prompt, adapters, apart=False)
    all_logits = [logits_after(what).astype(float) for _, what in cells]
    following = zip(all_logits, prompt.flat[1:], strict=False)
    return [0.0, *(logits[token] - math.log(sum(map(math.exp, logits))) for logits, token in following)]


# -- a schedule


@dataclass(frozen=True)
class Request:
    kind: str
    prompt: PromptTokens
    adapters: AdapterSet
    most: int
    turn: Turn


@dataclass(eq=False)
class Sent:
    """A request that was sent, and all that came of it."""

    request: Request
    task: Task
    shown: list[str] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)
    cancelled: bool = False


class Stage:
    """A scheduler over a fake, with what goes wrong on purpose."""

    def __init__(self, llama: FakeLlama, mode: Any, memory: int = 1 << 20) -> None:
        self.llama, self.apart = llama, mode == "blocks" and llama.can_shift
        self.reader = Reader(llama, mode, Blocks(memory))  # type: ignore[arg-type]
        self.tasks = Tasks(llama, self.reader, speculation=True)  # type: ignore[arg-type]
        self.scheduler = Scheduler(llama, self.reader)  # type: ignore[arg-type]
        self.sent: list[Sent] = []
        self.failures = 0

    def send(self, request: Request) -> Sent:
        shown: list[str] = []
        prompt, adapters = request.prompt, request.adapters
        work: Any = {
            "generate": lambda: self.tasks.generate(
                prompt, adapters, Sampling(), request.most, lambda token: shown.append(token.text)
            ),
            "judge": lambda: self.tasks.judge(prompt, adapters),
            "score": lambda: self.tasks.score(prompt, adapters, 2),
            "warm": lambda: self.tasks.warm(prompt, adapters),
        }[request.kind]()
        ends: list[Any] = []
        room = len(prompt.flat) + (min(request.most, 8) if request.kind == "generate" else 0)
        task = Task(work, request.turn, room, ends.append, ends.append)
        task.adapters = adapters
        sent = Sent(request, task, shown, ends)
        self.sent.append(sent)
        self.scheduler.add(task)
        return sent

    def cancel(self, sent: Sent) -> None:
        sent.cancelled = not sent.ends
        self.scheduler.cancel(sent.task)

    def step(self, during: Callable[[], None] = lambda: None, *, fails: bool = False) -> None:
        self.llama.during, self.llama.fails = during, fails
        before = len(self.llama.batches)
        self.llama.resume()
        self.scheduler.step()
        self.failures += fails and len(self.llama.batches) > before and not self.llama.fails
        self.llama.fails = False

    def run(self) -> None:
        steps = 0
        while self.scheduler.busy:
            self.step()
            steps += 1
            assert steps < 5000, "the schedule never ends"

    def check(self) -> None:
        """Assert that all got what they would have got alone, and that nothing is left behind."""
        failed = 0
        for sent in self.sent:
            assert len(sent.ends) == (0 if sent.cancelled else 1), "a request ends once"
            if sent.ends and isinstance(sent.ends[0], LorebookError):
                assert "told to fail" in sent.ends[0].message
                failed += 1
            elif sent.ends:
                self._check_result(sent)
        assert bool(failed) <= bool(self.failures)
        while self.reader.evict():
            pass
        assert self.llama.held() == {}, "something was left in the context"

    def _check_result(self, sent: Sent) -> None:
        request, (result,) = sent.request, sent.ends
        prompt, adapters = request.prompt, request.adapters
        if request.kind == "generate":
            room = self.llama.n_ctx - len(prompt.flat)
            expected = say_alone(prompt, adapters, min(request.most, room), apart=self.apart)
            assert "".join(sent.shown) == expected
            assert isinstance(result, Finished)
            assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (len(prompt.flat), len(expected))
            assert 0 <= result.usage.cached_tokens < len(prompt.flat)
        elif request.kind == "judge":
            assert result == pytest.approx(judge_alone(prompt, adapters, apart=self.apart), abs=1e-4)
        elif request.kind == "score":
            assert [one.token for one in result] == list(prompt.flat)
            assert [one.logprob for one in result] == pytest.approx(score_alone(prompt, adapters), abs=1e-4)
        else:
            assert 0 <= result <= sum(map(len, prompt.passages))


def made(head: int, passages: tuple[int, ...], tail: int) -> PromptTokens:
    texts = tuple(f"passage {n}" for n in passages)
    return PromptTokens(HEADS[head], tuple(PASSAGES[n] for n in passages), TAILS[tail], texts)


prompts = st.builds(
    made,
    st.integers(0, len(HEADS) - 1),
    st.lists(st.integers(0, len(PASSAGES) - 1), max_size=4).map(tuple),
    st.integers(0, len(TAILS) - 1),
).filter(lambda prompt: 0 < len(prompt.flat) < 100)
turns = st.builds(Turn, st.sampled_from(Priority), st.sampled_from(["", "ann", "ben"]))
requests = st.builds(
    Request,
    st.sampled_from(["generate", "generate", "judge", "score", "warm"]),
    prompts,
    st.sampled_from(SETS),
    st.integers(0, 25),
    turns,
)
actions = st.one_of(
    st.tuples(st.just("send"), requests),
    st.tuples(st.just("send"), requests),
    st.tuples(st.just("step"), st.integers(1, 4)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("give up"), st.sampled_from(Priority)),
    st.tuples(st.just("cancel while decoding"), st.integers(0, 20)),
    st.tuples(st.just("fail"), st.none()),
    st.tuples(st.just("forget"), st.integers(0, len(PASSAGES) - 1)),
)


def act(stage: Stage, action: str, argument: Any) -> None:
    known = stage.sent[argument % len(stage.sent)] if action.startswith("cancel") and stage.sent else None
    match action:
        case "send":
            stage.send(argument)
        case "step":
            for _ in range(argument):
                stage.step()
        case "give up":
            stage.step(lambda: stage.scheduler.urge(argument))
        case "fail":
            stage.step(fails=True)
        case "forget":
            stage.reader.forget([passage_digest(f"passage {argument}")])
        case "cancel" if known:
            stage.cancel(known)
        case "cancel while decoding" if known:
            stage.step(lambda: stage.scheduler.urge(None, [known.task]))
            stage.cancel(known)


@pytest.mark.parametrize("mode", ["blocks", "prefix", "off"])
@given(
    schedule=st.lists(actions, max_size=40), sequences=st.integers(2, 16), memory=st.sampled_from([0, 20_000, 1 << 20])
)
@settings(max_examples=1500, deadline=None)
def test_each_gives_what_it_gives_alone(
    mode: str, schedule: list[tuple[str, Any]], sequences: int, memory: int
) -> None:
    stage = Stage(FakeLlama(n_ctx=120, sequences=sequences), mode, memory)
    for action, argument in schedule:
        act(stage, action, argument)
    stage.run()
    stage.check()


@pytest.mark.parametrize("mode", ["blocks", "off"])
@given(schedule=st.lists(actions, max_size=40), sequences=st.integers(2, 8))
@settings(max_examples=1500, deadline=None)
def test_so_it_is_with_states(mode: str, schedule: list[tuple[str, Any]], sequences: int) -> None:
    stage = Stage(FakeRecurrent(n_ctx=120, sequences=sequences), mode)
    for action, argument in schedule:
        act(stage, action, argument)
    stage.run()
    stage.check()
