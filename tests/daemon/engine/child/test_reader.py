"""What is kept never changes what is said: random schedules over an exact fake, against a reading by the definition.

Whatever runs at once, is taken back, given up, cancelled, or forgotten, each request gives to the bit what it would
give by itself: so no KV of one prompt, passage or adapter set is ever used for another.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fake_llama import FakeLlama, FakeRecurrent, Seen, logits_after, read_on
from lorebook_api.asking import Sampling
from lorebook_api.errors import LorebookError
from lorebook_daemon.engine.child import reader, scheduler
from lorebook_daemon.engine.child.adapters import Adapter, AdapterSet
from lorebook_daemon.engine.child.blocks import Blocks
from lorebook_daemon.engine.child.chat import PromptTokens
from lorebook_daemon.engine.child.reader import Reader
from lorebook_daemon.engine.child.scheduler import Scheduler, Task
from lorebook_daemon.engine.child.tasks import Tasks
from lorebook_daemon.engine.diskblocks import passage_digest
from lorebook_daemon.engine.protocol import Finished, Priority, Turn

Tokens = tuple[int, ...]

CALL = (7, 8, 9)
"""What an activated adapter waits for."""
LORA, ACTIVATED = Adapter("a.gguf", "a", 1.0), Adapter("c.gguf", "c", 1.0, CALL)
SETS: tuple[AdapterSet, ...] = (
    (),
    (LORA,),
    (ACTIVATED,),
    (Adapter("d.gguf", "d", 1.0, CALL),),
    (Adapter("a.gguf", "a", 0.5),),
    (Adapter("a.gguf", "a as it is now", 1.0),),
    (Adapter("b.gguf", "b", 1.0), LORA),
    (LORA, ACTIVATED),
    (Adapter("never.gguf", "never", 1.0, (1, 1, 1, 1)),),
)
HEADS = ((1, 2, 3), (1, 2, 3, *CALL), (1, 2, 3, 4, *range(1, 20)), (1, 2, 3, *CALL, 5), ())
PASSAGES = (
    (11, 12, 13),
    (11, 12),
    (13,),
    (11, 12, 14),
    tuple(range(3, 23)),
    (10, *CALL, 10, 5),
    (),
    (3, 9) * 35,
    (3, 9) * 33 + (4,),
)
TAILS = ((20, 21), (20, 21, *CALL), (13, 20, 21), (11, 12, 13, 20, 21), (*CALL, 20, 7, 8), ())
SAID = (5, 11, 3, 19, 0, 8, 2, 24, 13, 13, 7, 1, 16, 22, 4, 9, 20, 6, 10, 25, 12, 18, 15, 21, 17)
"""A text whose likelihood is asked for."""
N_CTX = 120


# -- what each request gives by itself, from the definition


def acting(adapters: AdapterSet, flat: tuple[int, ...], place: int) -> AdapterSet:
    """Return which adapters act at a place: an activated one from the last place on where its call stands."""

    def start(one: Adapter) -> float:
        n = len(one.invocation)
        return max((i for i in range(len(flat) - n + 1) if flat[i : i + n] == one.invocation), default=math.inf)

    return tuple(one for one in adapters if not one.invocation or start(one) <= place)


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


def likelihood_alone(prompt: PromptTokens, adapters: AdapterSet, said: Tokens, *, apart: bool) -> float:
    cells, total = read_alone(prompt, adapters, apart=apart), 0.0
    for token in said:
        logits = logits_after(cells[-1][1]).astype(float)
        total += logits[token] - math.log(sum(map(math.exp, logits)))
        read_on(cells, (token,), [acting(adapters, prompt.flat, len(prompt.flat))])
    return total / max(1, len(said))


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
            "likelihood": lambda: self.tasks.likelihood(prompt, adapters, SAID[: request.most]),
            "score": lambda: self.tasks.score(prompt, adapters, 2),
            "warm": lambda: self.tasks.warm(prompt, adapters),
        }[request.kind]()
        ends: list[Any] = []
        room = len(prompt.flat) + {"generate": min(request.most, 8), "likelihood": request.most}.get(request.kind, 0)
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
        elif request.kind == "likelihood":
            expected_mean = likelihood_alone(prompt, adapters, SAID[: request.most], apart=self.apart)
            assert result == pytest.approx(expected_mean, abs=1e-4)
        elif request.kind == "score":
            assert [one.token for one in result] == list(prompt.flat)
            assert [one.logprob for one in result] == pytest.approx(score_alone(prompt, adapters), abs=1e-4)
        else:
            assert 0 <= result <= sum(map(len, prompt.passages))


@pytest.fixture(autouse=True, scope="module")
def _short_batches() -> Iterator[None]:
    """Have prompts of some dozens of tokens read in several batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "BATCH", 40)
        patch.setattr(scheduler, "_CHUNK_OF_STATES", 24)
        patch.setattr(reader, "_SCORED", 24)
        yield


def prompt_of(head: Tokens, passages: list[Tokens], tail: Tokens) -> PromptTokens:
    return PromptTokens(head, tuple(passages), tail, tuple(map(str, passages)))


class Chance:
    """Decides what happens next: few prompts and adapters, so that much of what is kept is met again."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._heads = self.random.sample(HEADS, 2)
        self._passages = self.random.sample(PASSAGES, 4)
        self._tails = self.random.sample(TAILS, 2)
        self._sets = self.random.sample(SETS, 3)

    def request(self) -> Request:
        pick = self.random.choice
        while True:
            passages = self.random.sample(self._passages, self.random.randint(0, 4))
            prompt = prompt_of(pick(self._heads), passages, pick(self._tails))
            if 0 < len(prompt.flat) < N_CTX:
                kind = pick(["generate", "generate", "generate", "judge", "likelihood", "score", "warm"])
                turn = Turn(pick(list(Priority)), pick(["", "ann", "ben"]))
                most = self.random.randint(0, 25)
                if kind == "likelihood":
                    most = min(most, N_CTX - 1 - len(prompt.flat))
                return Request(kind, prompt, pick(self._sets), most, turn)

    def act(self, stage: Stage) -> None:
        """Let one thing happen."""
        known = self.random.choice(stage.sent)
        match self.random.choices(
            ["send", "step", "cancel", "urge", "cancel now", "fail", "forget", "refuse"], [9, 9, 1, 1, 1, 1, 1, 1]
        ):
            case ["send"]:
                stage.send(self.request())
            case ["step"]:
                for _ in range(self.random.randint(1, 4)):
                    stage.step()
            case ["cancel"]:
                stage.cancel(known)
            case ["urge"]:
                stage.step(lambda: stage.scheduler.urge(known.request.turn.priority))
            case ["cancel now"]:
                stage.step(lambda: stage.scheduler.urge(None, [known.task]))
                stage.cancel(known)
            case ["fail"]:
                stage.step(fails=True)
            case ["forget"]:
                stage.reader.forget([passage_digest(str(self.random.choice(self._passages)))])
            case ["refuse"]:
                stage.llama.refuses = not stage.llama.refuses


def live(stage: Stage, chance: Chance) -> None:
    """Let much happen, wait for the end, and check what came of it."""
    stage.send(chance.request())
    for _ in range(150):
        chance.act(stage)
    stage.run()
    stage.check()


seeds = st.integers(0, 2**32)
"""Schedules are long and dense, which hypothesis does not draw: it draws their seeds, and has nothing to shrink."""
PHASES = (Phase.explicit, Phase.generate)


@pytest.mark.parametrize("mode", ["blocks", "prefix", "off"])
@given(seed=seeds)
@settings(max_examples=10, deadline=None, phases=PHASES)
def test_each_gives_what_it_gives_alone(mode: str, seed: int) -> None:
    chance = Chance(seed)
    memory = chance.random.choice([0, 20_000, 1 << 20])
    live(
        Stage(
            FakeLlama(chance.random.choice([N_CTX, 3 * N_CTX]), sequences=chance.random.randint(2, 16)), mode, memory
        ),
        chance,
    )


@pytest.mark.parametrize("mode", ["blocks", "off"])
@given(seed=seeds)
@settings(max_examples=10, deadline=None, phases=PHASES)
def test_so_it_is_with_states(mode: str, seed: int) -> None:
    chance = Chance(seed)
    live(Stage(FakeRecurrent(N_CTX, sequences=chance.random.randint(2, 8)), mode), chance)


LONG = tuple(range(3, 23)) * 2
"""A head from which on a state is kept."""


@pytest.mark.parametrize("llama", [FakeLlama(N_CTX), FakeRecurrent(N_CTX)], ids=["attention", "recurrent"])
def test_what_is_kept_but_refused_is_dropped_and_read_anew(llama: FakeLlama) -> None:
    stage = Stage(llama, "blocks")
    prompt = prompt_of(LONG, [(11, 12, 13), (9, 8, 7)], (20, 21))
    cached: list[int] = []
    for refuses in (False, False, True, True, False):
        while stage.reader.evict():  # so that nothing is at hand but what is kept
            pass
        llama.refuses = refuses
        sent = stage.send(Request("generate", prompt, (), 5, Turn()))
        stage.run()
        assert isinstance(sent.ends[0], Finished), sent.ends
        cached.append(sent.ends[0].usage.cached_tokens)
    stage.check()
    none, kept, *refused, again = cached
    assert none == 0 < kept == again
    assert refused == [0, 0]


def test_of_prompts_whose_texts_are_measured_what_they_begin_with_is_read_once() -> None:
    stage = Stage(FakeLlama(N_CTX), "blocks")
    for n in range(4):
        stage.send(Request("likelihood", prompt_of((), [], (*LONG, n)), (), 1, Turn()))
        stage.run()
    stage.check()
    assert sum(len(piece.tokens) for batch in stage.llama.batches for piece in batch) == len(LONG) + 4
