"""One engine for many: whatever comes and goes, no two live, none is ended under a user, and everybody's turn comes."""

import asyncio
import contextlib
import dataclasses
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_app import eventually
from fakes import FakeEngine
from lorebook_api.errors import DaemonUnavailable, EngineDied, Unusable
from lorebook_api.indexing import Progress
from lorebook_daemon.app.engines import Engines
from lorebook_daemon.models.shelf import LocalModel


def model(name):
    return LocalModel(name, Path("/models") / name, None, "lorebook")


def nobody(progress):
    """Hear nothing."""


@dataclasses.dataclass
class Garage:
    """Makes engines, and knows of each whether it lives and who uses it."""

    fails: set = dataclasses.field(default_factory=set)
    slow: int = 1

    def __post_init__(self):
        self.engines = Engines(self.load)
        self.made = []
        self.loads = []
        self.loading = 0
        self.given_up = 0
        self.users = []
        self.may_load = asyncio.Event()
        self.may_load.set()

    async def load(self, model, report):
        assert not self.loading
        assert all(engine.closed for engine in self.made)
        self.loading += 1
        self.loads.append(model.name)
        try:
            report(Progress(f"loading {model.name}", 0, 100))
            for _ in range(self.slow):
                await asyncio.sleep(0)
            await self.may_load.wait()
            if model.name in self.fails:
                raise Unusable(f"{model.name} is no model.")
        except asyncio.CancelledError:
            for _ in range(5):
                await asyncio.sleep(0)  # cleaning up takes a while
            self.given_up += 1
            raise
        finally:
            self.loading -= 1
        engine = Watched(self, model.name)
        self.made.append(engine)
        return engine

    @contextlib.asynccontextmanager
    async def use(self, name, report=nobody):
        async with self.engines.using(model(name), report) as engine:
            assert engine.model == name
            assert not engine.closed
            self.users.append(engine)
            try:
                yield engine
            finally:
                self.users.remove(engine)


class Watched(FakeEngine):
    """An engine that takes its time to end, and must not be ended under a user."""

    def __init__(self, garage, name):
        super().__init__(name)
        self._garage = garage
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def close(self):
        assert self not in self._garage.users
        await asyncio.sleep(0)
        await self.may_end.wait()
        self.closed = True


class Visitor:
    """Uses a model's engine until it is let go."""

    def __init__(self, garage, name):
        self.name, self.heard, self.inside, self.go = name, [], False, asyncio.Event()
        self.task = asyncio.create_task(self._visit(garage))

    async def _visit(self, garage):
        async with garage.use(self.name, self.heard.append):
            self.inside = True
            try:
                await self.go.wait()
            finally:
                self.inside = False

    async def ended(self):
        self.go.set()
        async with asyncio.timeout(1):
            await self.task


async def settle():
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def scene(play):
    asyncio.run(play())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "arrive", "leave", "cancel", "remove"]),
        st.integers(0, 9),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(STEPS, st.sets(st.sampled_from("abc"), max_size=1), st.integers(0, 4))
def test_never_two_engines_never_one_ended_in_use_and_nobody_starves(steps, fails, slow):
    asyncio.run(_storm(steps, fails, slow))


async def _storm(steps, fails, slow):
    """Models a, b and c; those in `fails` never load. The garage checks at every load and every end."""
    garage, visitors, removals, cancelled = Garage(set(fails), slow), [], [], set()
    for step, which, ticks in steps:
        some = visitors[which % len(visitors)] if visitors else None
        if step == "arrive":
            visitors.append(Visitor(garage, "abc"[which % 3]))
        elif step == "remove":
            removals.append(asyncio.create_task(_remove(garage, "abc"[which % 3])))
        elif some and step == "leave":
            some.go.set()
        elif some and step == "cancel":
            cancelled.add(some)
            some.task.cancel()
        for _ in range(ticks):
            await asyncio.sleep(0)
        assert len({visitor.name for visitor in visitors if visitor.inside}) <= 1
    await _all_get_their_turn(visitors, cancelled, fails)
    await asyncio.wait_for(asyncio.gather(*removals), 1)
    await settle()
    assert (garage.engines.depth, garage.loading) == (0, 0)
    await garage.engines.close()
    assert all(engine.closed for engine in garage.made)


async def _remove(garage, name):
    async with garage.engines.without(model(name).path):
        for _ in range(3):
            assert all(engine.closed for engine in garage.made if engine.model == name)
            assert not garage.loading
            await asyncio.sleep(0)


async def _all_get_their_turn(visitors, cancelled, fails):
    for visitor in visitors:
        visitor.go.set()
    async with asyncio.timeout(2):
        results = await asyncio.gather(*(visitor.task for visitor in visitors), return_exceptions=True)
    for visitor, result in zip(visitors, results, strict=True):
        if isinstance(result, asyncio.CancelledError):
            assert visitor in cancelled
        else:
            assert isinstance(result, Unusable) if visitor.name in fails else result is None


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=10))
def test_first_come_first_served(names):
    """Everybody arrives while the first is inside; each stays until all at the head that want its model are there."""

    async def play():
        garage, order = Garage(), []

        async def visit(n, name):
            async with garage.use(name):
                order.append((n, name))
                await asyncio.sleep(0)

        async with garage.use("c"):
            tasks = [asyncio.create_task(visit(n, name)) for n, name in enumerate(names)]
            await settle()
            assert order == []
            assert garage.engines.depth == len(names) + 1
        await asyncio.gather(*tasks)
        assert order == list(enumerate(names))
        assert len(garage.made) == 2 + sum(a != b for a, b in itertools.pairwise(names))

    scene(play)


def test_several_use_the_engine_of_one_model_at_once_and_it_is_loaded_once():
    async def play():
        garage = Garage()
        garage.may_load.clear()
        visitors = [Visitor(garage, "a") for _ in range(3)]
        await settle()
        assert (garage.engines.state, garage.engines.model, garage.engines.depth) == ("loading", "a", 3)
        assert [visitor.heard for visitor in visitors] == [[Progress("loading a", 0, 100)]] * 3
        garage.may_load.set()
        await settle()
        assert all(visitor.inside for visitor in visitors)
        assert (len(garage.made), garage.engines.state, garage.engines.current) == (1, "ready", model("a"))
        for visitor in visitors:
            await visitor.ended()
        assert (garage.engines.state, garage.engines.depth) == ("ready", 0)

    scene(play)


def test_who_comes_after_one_that_wants_another_model_waits_behind_it():
    async def play():
        garage = Garage()
        first, other, later = Visitor(garage, "a"), Visitor(garage, "b"), Visitor(garage, "a")
        await settle()
        assert (first.inside, other.inside, later.inside) == (True, False, False)
        assert other.heard == [Progress("waiting for 1 before this")]
        assert later.heard == [Progress("waiting for 2 before this")]
        await first.ended()
        await settle()
        assert (other.inside, later.inside) == (True, False)
        assert other.heard[-1] == Progress("loading b", 0, 100)
        assert later.heard == [Progress("waiting for 2 before this")]
        await other.ended()
        await settle()
        assert later.inside
        await later.ended()
        assert [engine.model for engine in garage.made] == ["a", "b", "a"]

    scene(play)


def test_one_that_gives_up_lets_those_behind_it_through():
    async def play():
        garage = Garage()
        first, other, later = Visitor(garage, "a"), Visitor(garage, "b"), Visitor(garage, "a")
        await settle()
        other.task.cancel()
        await settle()
        assert first.inside
        assert later.inside
        assert garage.engines.depth == 2
        await asyncio.gather(first.ended(), later.ended())
        assert [engine.model for engine in garage.made] == ["a"]

    scene(play)


def test_loading_is_given_up_only_with_the_last_who_waits_for_it():
    async def play():
        garage = Garage()
        garage.may_load.clear()
        one, two = Visitor(garage, "a"), Visitor(garage, "a")
        await settle()
        one.task.cancel()
        await settle()
        assert (garage.loading, garage.given_up) == (1, 0)
        two.task.cancel()
        await settle()
        assert (garage.loading, garage.given_up, garage.engines.state) == (0, 1, "none")
        garage.may_load.set()
        three = Visitor(garage, "a")
        await settle()
        assert three.inside
        await three.ended()

    scene(play)


def test_a_load_that_fails_is_told_to_all_who_waited_and_the_next_tries_again():
    async def play():
        garage = Garage({"a"})
        garage.may_load.clear()
        waiting, behind = [Visitor(garage, "a") for _ in range(3)], Visitor(garage, "b")
        await settle()
        garage.may_load.set()
        for visitor in waiting:
            with pytest.raises(Unusable, match="a is no model"):
                await visitor.ended()
        await behind.ended()
        garage.fails.clear()
        again = Visitor(garage, "a")
        await settle()
        assert again.inside
        await again.ended()
        assert garage.loads == ["a", "b", "a"]

    scene(play)


@pytest.mark.parametrize("ticks", range(12))
def test_one_that_gives_up_in_any_step_of_a_change_harms_nobody(ticks):
    async def play():
        garage = Garage()
        first, second, third = Visitor(garage, "a"), Visitor(garage, "b"), Visitor(garage, "b")
        await settle()
        first.go.set()
        for _ in range(ticks):
            await asyncio.sleep(0)
        second.task.cancel()
        await settle()
        assert third.inside
        await third.ended()
        assert garage.engines.depth == 0

    scene(play)


def test_one_that_gives_up_in_the_very_step_in_which_its_engine_comes_harms_nobody(caplog):
    async def play():
        garage = Garage()
        garage.may_load.clear()
        first, second = Visitor(garage, "a"), Visitor(garage, "a")
        await settle()
        garage.may_load.set()
        asyncio.get_running_loop().call_soon(first.task.cancel)  # after the load's end, before anybody is called
        await settle()
        assert second.inside
        await second.ended()

    scene(play)
    assert not caplog.records


def test_nothing_is_loaded_for_one_that_gives_up_while_the_engine_before_it_ends():
    async def play():
        garage = Garage()
        first, second = Visitor(garage, "a"), Visitor(garage, "b")
        await settle()
        garage.made[0].may_end.clear()
        await first.ended()
        await settle()
        assert (garage.engines.state, garage.engines.model) == ("loading", "b")
        second.task.cancel()
        await settle()
        garage.made[0].may_end.set()
        await settle()
        assert (garage.loads, garage.engines.state) == (["a"], "none")

    scene(play)


def test_a_load_that_is_given_up_cleans_up_in_peace():
    async def play():
        garage = Garage()
        garage.may_load.clear()
        first, second = Visitor(garage, "a"), Visitor(garage, "b")
        await settle()
        first.task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.task.cancel()
        await settle()
        assert garage.given_up == 1

    scene(play)


def test_the_engine_is_free_after_an_error_of_its_user():
    async def play():
        garage = Garage()
        with pytest.raises(EngineDied):
            async with garage.use("a"):
                raise EngineDied("it died")
        async with asyncio.timeout(1), garage.use("b"):
            assert garage.engines.depth == 1

    scene(play)


def test_a_file_is_free_once_its_users_have_left_and_others_go_on():
    async def play():
        garage, gone = Garage(), asyncio.Event()
        user = Visitor(garage, "a")
        await settle()
        async with asyncio.timeout(1), garage.engines.without(model("b").path):
            assert user.inside  # another model's file: its user goes on

        async def remove():
            async with garage.engines.without(model("a").path):
                gone.set()

        removal = asyncio.create_task(remove())
        await settle()
        assert not gone.is_set()
        await user.ended()
        await asyncio.wait_for(removal, 1)
        assert garage.made[0].closed
        assert garage.engines.state == "none"

    scene(play)


def test_nothing_is_loaded_while_a_file_goes():
    async def play():
        garage = Garage()
        async with garage.engines.without(model("a").path), garage.engines.without(model("b").path):
            visitor = Visitor(garage, "a")
            await settle()
            assert not garage.loads
        await settle()
        assert visitor.inside
        await visitor.ended()

    scene(play)


def test_the_end_tells_those_who_wait_and_turns_away_those_who_come():
    async def play():
        garage = Garage()
        inside, waiting = Visitor(garage, "a"), Visitor(garage, "b")
        await settle()
        garage.users = [*garage.users[1:], None]  # it is ended under its user
        await garage.engines.close()
        assert garage.made[0].closed
        with pytest.raises(DaemonUnavailable):
            await waiting.ended()
        inside.task.cancel()
        await asyncio.gather(inside.task, return_exceptions=True)
        with pytest.raises(DaemonUnavailable):
            await Visitor(garage, "a").ended()
        assert garage.engines.depth == 0

    scene(play)


def test_the_end_gives_up_a_load():
    async def play():
        garage = Garage()
        garage.may_load.clear()
        visitor = Visitor(garage, "a")
        await settle()
        await garage.engines.close()
        with pytest.raises(DaemonUnavailable):
            await visitor.ended()
        await eventually(lambda: garage.given_up == 1)
        assert garage.engines.state == "none"

    scene(play)
