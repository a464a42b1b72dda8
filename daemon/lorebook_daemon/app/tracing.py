"""Who learnt from a cell: that whose card names it, and what was taught upon a model that learnt from it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lorebook_api.errors import Unusable
from lorebook_api.teaching import ForgetRequest, Saw
from lorebook_daemon.app.teachroom import Carded, Teaching
from lorebook_daemon.models.ancestry import Made
from lorebook_daemon.models.json_file import read_object
from lorebook_daemon.teach.examples import Example, Origin, read_examples

_JOB = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class Seen:
    """What learnt from what is to be forgotten, and the examples that it may be made from again."""

    name: str
    kind: Literal["adapter", "earlier", "model", "file"]
    """`file`: a merged model that a person keeps."""
    job: str = ""
    places: tuple[str, ...] = ()
    rest: tuple[Example, ...] = ()
    upon: Made | None = None
    """The model that it was made from, where that learnt from it."""
    reason: str = ""
    """Why it is not made again, where there would be something to make it from."""

    @property
    def left(self) -> int:
        """How many examples can be learnt still."""
        return sum(not example.left_out and not example.held_out for example in self.rest)

    @property
    def comes_again(self) -> bool:
        """Whether it is made again. An earlier version is not: the present one has its name."""
        return bool(self.left) and not self.reason and self.kind in ("adapter", "model")

    def told(self, job: str = "") -> Saw:
        """Return it as a client is told of it, with the job that makes it again."""
        upon = self.upon.name if self.upon else ""
        file = self.name if self.kind == "file" else ""
        return Saw(self.name, self.places, self.left, job, self.kind == "earlier", upon, self.reason, file)


class Trace:
    """What a cell left in all that was taught here; reads the cards and the models once."""

    def __init__(self, teaching: Teaching, request: ForgetRequest) -> None:
        self._teaching, self._request = teaching, request
        made = teaching.made()
        tainted = _tainted(made, request)
        self._models = {one.sha256: one for one in made if one.sha256 in tainted}

    def seen(self) -> tuple[Seen, ...]:
        """Return who learnt from it, models before what was taught upon them.

        An adapter that goes takes its earlier version along.
        """
        all_seen = [one for card in self._teaching.cards() if (one := self._seen(card))]
        gone = {one.name for one in all_seen if one.kind == "adapter"}
        files = [
            Seen(str(one.path), "file", places=self._places(one.cells), upon=self._models.get(one.base))
            for one in self._models.values()
            if not one.own and self._teaching.is_there(one)
        ]
        return (*_in_turn([one for one in all_seen if one.kind != "earlier" or one.name not in gone]), *files)

    def folders(self) -> tuple[Path, ...]:
        """Return the folders of all jobs that learn from it or from a model that did, whatever became of those jobs."""
        folders = (file.parent for file in self._teaching.folder("").glob("*/examples.jsonl"))
        return tuple(folder for folder in folders if self._holds(folder) or self.rests(folder))

    def rests(self, folder: Path) -> bool:
        """Return whether a job teaches upon a model that learnt from it."""
        told = read_object(folder / "job.json")
        paths = {str(one.path) for one in self._models.values() if one.own}
        return told.get("sha256") in self._models or (not told.get("sha256") and told.get("path") in paths)

    def rest(self, folder: Path) -> tuple[Example, ...]:
        """Return a job's examples without what is to be forgotten; none where they are not kept any more."""
        try:
            examples = read_examples(folder / "examples.jsonl")
        except Unusable:
            return ()
        return tuple(one for one in examples if not any(_meant(origin, self._request) for origin in one.origins))

    def _seen(self, one: Carded) -> Seen | None:
        places = self._places(one.card.get("cells", ()))
        upon = self._models.get(str(one.card.get("base", {}).get("sha256", "")))
        if not places and upon is None:
            return None
        job = str(one.card.get("job", ""))
        job = job if _JOB.fullmatch(job) else ""  # a folder's name, and that folder is deleted
        return Seen(one.name, one.kind, job, places, self.rest(self._teaching.folder(job)) if job else (), upon)

    def _places(self, cells: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
        origins = (Origin(**cell) for cell in cells)
        return tuple(origin.place for origin in origins if _meant(origin, self._request))

    def _holds(self, folder: Path) -> bool:
        examples = read_examples(folder / "examples.jsonl")
        return any(_meant(origin, self._request) for example in examples for origin in example.origins)


def _meant(origin: Origin, request: ForgetRequest) -> bool:
    cells = ("", origin.cell, origin.cell.removeprefix("row "))
    return request.cell in cells and request.path in ("", origin.path)


def _tainted(made: Sequence[Made], request: ForgetRequest) -> Collection[str]:
    """Return the sha256 of every model that learnt from it, or that was made from one that did."""
    tainted = {one.sha256 for one in made if any(_meant(Origin(**cell), request) for cell in one.cells)}
    while more := {one.sha256 for one in made if one.base in tainted} - tainted:
        tainted |= more
    return tainted


def _in_turn(seen: Sequence[Seen]) -> list[Seen]:
    """Return them with each behind the model that it was taught upon, and why it goes where that is not made again."""
    ordered: list[Seen] = []
    left = list(seen)
    while left:
        ready = [one for one in left if _base_of(one, left) is None] or left
        left = [one for one in left if one not in ready]
        ordered += [_judged(one, ordered) for one in ready]
    return ordered


def _base_of(one: Seen, among: Sequence[Seen]) -> Seen | None:
    if one.upon is None or not one.upon.own:
        return None
    return next((other for other in among if other.kind == "model" and other.name == one.upon.name), None)


def _judged(one: Seen, before: Sequence[Seen]) -> Seen:
    base = _base_of(one, before)
    if one.upon is None or (base is not None and base.comes_again):
        return one
    return replace(one, reason=f"the model that it was taught upon, {one.upon.name}, is not made again")
