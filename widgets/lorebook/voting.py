"""`lorebook.arena()`: two answers by nobody knows whom, a vote, and what all votes say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any, cast, get_args

from lorebook.asking import adapter_uses
from lorebook.channel import Message
from lorebook.errands import run_errand, run_work, told
from lorebook.reaching import reach
from lorebook.state import WidgetState
from lorebook.widget import deed_of
from lorebook.working import WorkingWidget
from lorebook_api.arena import Battle, BattleRequest, Revealed, Side, Standings, VoteRequest, Winner
from lorebook_api.errors import BadRequest, Cancelled, LorebookError
from lorebook_api.markdown import plain, prose
from lorebook_api.sides import parse_side
from lorebook_api.typed import find_model, find_roots


def arena(first: str | Side, second: str | Side, *, max_tokens: int = 320) -> Arena:
    """Return an arena of two sides: each is a model's name, `MODEL+ADAPTER`, or a Side. Raises LorebookError.

    A side may also be typed as `lorebook eval arena` takes it, `root=.,k=12,rerank=judge`: with folders it answers
    from what they hold.
    """
    sides = (side_of(first), side_of(second))
    if sides[0] == sides[1]:
        raise BadRequest("Both sides are the same.", "Name two: lorebook.arena('auto', 'auto+my-adapter')")
    return Arena(sides, max_tokens)


class Arena(WorkingWidget):
    """Asks two sides the same, shows their answers blind and in shuffled order, and keeps a person's votes."""

    _busy = ("Both are answering.", "Wait for their end: .wait()")

    def __init__(self, sides: tuple[Side, Side], max_tokens: int = 320) -> None:
        self._sides = sides
        self._max_tokens = max_tokens
        self._stopped = False
        self._battle: Battle | None = None
        self._standings: Standings | None = None
        self._state = WidgetState(
            **{
                "phase": "resting",
                "question": "",
                "a": "",
                "b": "",
                "names": None,
                "winner": "",
                "progress": None,
                "failure": None,
            },
            **{"standings": [], "votes": 0, "remarks": []},
        )
        super().__init__("arena", self._state)

    @property
    def battle(self) -> Battle | None:
        """The two answers that wait for a vote, or had one; None before the first."""
        return self._battle

    def ask(self, question: str) -> Arena:
        """Have both sides answer, in a thread; return itself. Raises Conflict while they answer another question."""
        if not question.strip():
            raise BadRequest("There is no question.", "Type one.")
        self._begin(lambda: run_work(lambda: self._ask(question.strip()), self.channel.post, "arena"))
        return self

    def vote(self, winner: str) -> Revealed:
        """Keep a vote ('a', 'b', 'tie' or 'both bad') on the answers that are shown; return who they were."""
        if winner not in get_args(Winner):
            raise BadRequest(f"{winner!r} is no vote.", f"There are: {', '.join(get_args(Winner))}")
        if self._battle is None or self._state.values["phase"] not in ("voting", "keeping"):
            raise BadRequest("There is nothing to vote on.", "Ask first: .ask('…').wait()")
        revealed = reach().vote(VoteRequest(self._battle.id, cast(Winner, winner)))
        self._show(phase="told", names={"a": revealed.a, "b": revealed.b}, winner=revealed.winner)
        self.refresh()
        return revealed

    def refresh(self) -> Standings:
        """Return what all votes say, and show it."""
        self._standings = found = reach().standings()
        sides = [asdict(one) for one in found.sides]
        self._show(standings=sides, votes=found.votes, remarks=list(found.notices))
        return found

    def stop(self) -> None:
        """Take the question in hand back: the answers end with the next that is heard of them."""
        self._stopped = True

    def act(self, message: Message) -> None:
        """Do what a page asks for."""
        deed_of(_DEEDS, message)(self, message)

    def static_text(self) -> str:
        """Return the two answers, blind until there is a vote, and how to vote where no widget is shown."""
        values = self._state.values
        if self._battle is None:
            return "\n\n".join(filter(None, (told(values["failure"]), f"An arena of two sides. {_NO_FRONT_END}")))
        names = values["names"] or {"a": "?", "b": "?"}
        answers = [f"{letter.upper()} ({names[letter]}): {values[letter]}" for letter in ("a", "b")]
        failed = [told(values["failure"])] if values["failure"] else []
        return "\n\n".join([*failed, values["question"], *answers, *_lines(self._standings), _NO_FRONT_END])

    def static_markdown(self) -> str:
        """Return the same as Markdown."""
        values = self._state.values
        if self._battle is None:
            return plain(self.static_text())
        names = values["names"] or {"a": "?", "b": "?"}
        answers = [f"**{letter.upper()}** ({plain(names[letter])})\n\n{prose(values[letter])}" for letter in ("a", "b")]
        return "\n\n".join([f"**{plain(values['question'])}**", *answers, *map(plain, _lines(self._standings))])

    def _ask(self, question: str) -> None:
        self._stopped = False
        self._show(phase="asking", question=question, a="", b="", names=None, winner="", progress=None)
        try:
            battle = self._fight(question)
        except LorebookError:
            self._show(phase="resting")
            raise
        self._battle = battle
        self._show(phase="voting", a=battle.a, b=battle.b)

    def _fight(self, question: str) -> Battle:
        """Return both answers; a page's stop closes the stream, which ends them."""
        request = BattleRequest(question, self._sides, self._max_tokens)
        with closing(reach().fight(request)) as events:
            for event in events:
                if self._stopped:
                    break
                if isinstance(event, Battle):
                    return event
                self._show(progress=asdict(event))
        raise Cancelled("The question was taken back.")

    def _vote(self, winner: str) -> None:
        self._show(phase="keeping")
        try:
            self.vote(winner)
        except LorebookError:
            self._show(phase="voting")
            raise


def side_of(named: str | Side) -> Side:
    """Return the side that `MODEL`, `MODEL+ADAPTER:SCALE` or `NAME=VALUE,...` means; raises LorebookError."""
    if isinstance(named, Side):
        return replace(named, roots=find_roots(named.roots)) if named.roots else named
    if "=" in named:
        return parse_side(named)
    model, *adapters = named.split("+")
    return Side(named, find_model(model or "auto"), adapter_uses(adapters))


_DEEDS: dict[str, Callable[[Arena, Message], Any]] = {
    "ask": lambda view, message: view.ask(str(message["question"])),
    "stop": lambda view, message: view.stop(),
    "vote": lambda view, message: run_errand(lambda: view._vote(str(message["winner"])), view.channel.post, "vote"),
}
"""What a page may ask for."""

_NO_FRONT_END = "Ask by .ask('your question').wait(), then .vote('a'), 'b', 'tie' or 'both bad'."


def _lines(found: Standings | None) -> Sequence[str]:
    if found is None:
        return []
    sides = [
        f"{one.name}: {one.strength.value:.0f} [{one.strength.low:.0f}, {one.strength.high:.0f}], "
        f"won {one.wins}, tied {one.ties}, lost {one.losses}"
        for one in found.sides
    ]
    return [*sides, *found.notices]
