"""The teaching room, as it is handed to the routes and to the jobs: from a request to an adapter that has a name."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lorebook_api.client import decode
from lorebook_api.errors import BadRequest, Conflict, LorebookError, StorageFailed, Unusable
from lorebook_api.feedback import KeptFeedback
from lorebook_api.home import Home
from lorebook_api.indexing import Progress
from lorebook_api.preference import approved
from lorebook_api.teaching import JobInfo, Preview, TeachRequest, TeachResult
from lorebook_daemon.answer.prompts import ungrounded_prompt
from lorebook_daemon.app.adapterroom import Adapters
from lorebook_daemon.app.engines import Engines, Report
from lorebook_daemon.app.jobs import Tell
from lorebook_daemon.engine.threads import FreeCores
from lorebook_daemon.models.adapters import (
    adapter_names,
    card_file,
    check_adapter_name,
    earlier_names,
    peft_folder,
)
from lorebook_daemon.models.ancestry import Made, is_there, made_models, note_made
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.json_file import read_object
from lorebook_daemon.models.shelf import LocalModel
from lorebook_daemon.models.taught import MODEL, keep_model, model_names, taught_models
from lorebook_daemon.models.versions import ACTIVE, earlier_card, put_back, set_aside
from lorebook_daemon.settings import Settings
from lorebook_daemon.teach.compose import compose, selection_of
from lorebook_daemon.teach.examples import Example, write_examples
from lorebook_daemon.teach.job import TrainJob, check_settings, read_job, write_job
from lorebook_daemon.teach.outcome import ADAPTER, launch_commands, outcome
from lorebook_daemon.teach.recipes import SYNTH
from lorebook_daemon.teach.select import SelectedCell, read_cells
from lorebook_daemon.teach.synth import synthesize
from lorebook_daemon.teach.trainer import Busy, TrainerEvent, What, run_trainer

Trainer = Callable[[What, Path, Busy], AsyncGenerator[TrainerEvent, None]]

_LOG_BYTES = 64 * 1024
_NOT_IN_NAMES = re.compile(r"[^\w+.-]+")


@dataclass(frozen=True)
class Room:
    """What teaching needs of the daemon; `trainer` does the work, `ready` raises where it could not."""

    home: Home
    settings: Settings
    find_model: Callable[[str, Report], Awaitable[LocalModel]]
    engines: Engines
    adapters: Adapters
    trainer: Trainer = run_trainer
    ready: Callable[[], None] = lambda: None
    feedback: Callable[[], Sequence[KeptFeedback]] = tuple
    """Returns what people thought of answers, as far as that is kept."""


@dataclass(frozen=True)
class Carded:
    """Something that was taught here, and its card."""

    name: str
    kind: Literal["adapter", "earlier", "model"]
    """`earlier`: the version before the adapter of that name."""
    card: dict[str, Any]


class Teaching:
    """Checks requests, prepares their jobs, and does them."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def preview(self, request: TeachRequest) -> Preview:
        """Return what a request would teach; nothing is kept. Raises what `prepare` raises, but not for the name."""
        with tempfile.TemporaryDirectory() as place:
            await self._prepare(request, "preview", request.name or "preview", Path(place))
            async with aclosing(self._room.trainer("preview", Path(place), self._room.engines)) as events:
                async for event in events:
                    if event.name == "done":
                        return decode(Preview, event.data)
        raise LorebookError("The trainer ended without a preview.", "See: lorebook logs")

    async def prepare(
        self, request: TeachRequest, job_id: str, others: Sequence[JobInfo], *, elsewhere: bool = False
    ) -> str:
        """Write down everything that a job needs to be done, here or `elsewhere`; return the adapter's name.

        Raises BadRequest, NotFound, Unusable for what cannot be taught, Conflict for a name in use, StorageFailed.
        """
        self._room.ready()
        made = {*(job.name for job in others), *model_names(self._room.home)}
        name = _free_name(request, made if request.replace else {*adapter_names(self._room.home), *made})
        name = self._before(name) or name
        await self._prepare(request, job_id, name, self.folder(job_id), elsewhere=elsewhere)
        return name

    async def work(self, job: JobInfo, tell: Tell) -> dict[str, Any]:
        """Train, and give the adapter its place and its name; return a TeachResult. Nothing half-written has a name.

        What was trained already, here or by another launcher, is not trained again. Raises LorebookError, and Conflict
        where the name is another's by now.
        """
        folder = self.folder(job.id)
        if made := await asyncio.to_thread(self._made, job):
            return asdict(_result(job, made))
        planned = await asyncio.to_thread(self._planned, folder)
        await asyncio.to_thread(self._rival, job, planned)
        card = await asyncio.to_thread(outcome, folder, planned) or await self._trained(folder, planned, tell)
        tell("progress", asdict(Progress("loading the adapter")))
        await asyncio.to_thread(write_job, folder, replace(planned, elsewhere=False))  # made again, it is made here
        if (folder / MODEL).is_file():
            await asyncio.to_thread(self._keep_model, job.name, folder, card)
            return asdict(_result(job, card))
        rival = await asyncio.to_thread(self._rival, job, planned)
        if rival and card["status"] != ACTIVE:
            why = f"{card['reason']} The {rival} that was there stays; this one is {folder / ADAPTER}."
            return asdict(_result(job, {**card, "reason": why}))
        name = await asyncio.to_thread(self._own, job)
        if not name:
            name = rival or job.name
            await asyncio.to_thread(self._keep, name, folder, bool(rival))
        await self._load(name, card["base"]["path"])
        return asdict(_result(replace(job, name=name), card))

    def _planned(self, folder: Path) -> TrainJob:
        """Return what a job is to do; a base that was to be made again before is the file that is there now.

        Raises Unusable where that was not made.
        """
        planned = read_job(folder)
        if planned.sha256:
            return planned
        path = Path(planned.path)
        if not path.is_file():
            told = f"The model to teach, {planned.base}, was to be made again first, and is not there."
            raise Unusable(told, "Go on with the job that makes it: lorebook jobs list")
        fixed = replace(planned, sha256=identity(path, self._room.home))
        write_job(folder, fixed)
        return fixed

    async def _trained(self, folder: Path, planned: TrainJob, tell: Tell) -> dict[str, Any]:
        """Return the card of the training in a folder, once it is done."""
        if planned.elsewhere:
            told = f"What is to be trained elsewhere has not come to its end in {folder}."
            raise Conflict(told, f"Train it: {launch_commands(folder)[0]}")
        async with aclosing(self._room.trainer("train", folder, self._room.engines)) as events:
            async for event in events:
                if event.name == "done":
                    return event.data
                tell(event.name, event.data)
        raise LorebookError("The trainer ended without a card.", "See: lorebook jobs logs")

    def _rival(self, job: JobInfo, planned: TrainJob) -> str:
        """Return the adapter whose place this one is to take, empty where there is none; raises Conflict if it may not.

        While a job was not at work its name was free for others.
        """
        there = self._before(job.name)
        if not there or self._own(job):
            return ""
        if not planned.replace:
            told = f"There is an adapter {there} by now, and this one was not to replace any."
            raise Conflict(told, f"Delete it: lorebook adapters rm {there}; then: lorebook jobs resume {job.id}")
        return there

    def _own(self, job: JobInfo) -> str:
        """Return the adapter that this job came to before a kill kept it from its end; empty where there is none."""
        there = self._before(job.name)
        return there if there and read_object(card_file(self._room.home, there)).get("job") == job.id else ""

    def _made(self, job: JobInfo) -> dict[str, Any]:
        """Return the card of the model that this job came to before a kill; empty where there is none."""
        card = dict(taught_models(self._room.home)).get(job.name, {})
        return card if card.get("job") == job.id else {}

    def cards(self) -> tuple[Carded, ...]:
        """Return all that was taught here with its card: adapters, the versions before them, models of their own.

        A version before stands there too where nothing has taken its place yet.
        """
        home = self._room.home
        cards = (
            *(Carded(name, "adapter", read_object(card_file(home, name))) for name in adapter_names(home)),
            *(Carded(name, "earlier", earlier_card(name, home)) for name in earlier_names(home)),
            *(Carded(name, "model", card) for name, card in taught_models(home)),
        )
        return tuple(one for one in cards if one.card)

    def made(self) -> tuple[Made, ...]:
        """Return the models that were made here, gone or not; raises Unusable."""
        return made_models(self._room.home)

    def is_there(self, made: Made) -> bool:
        """Return whether a model still lies where it was made."""
        return is_there(made, self._room.home)

    def folder(self, job_id: str) -> Path:
        """Return the folder of a job's files."""
        return self._room.home.state / "jobs" / job_id

    def log(self, job: JobInfo) -> str:
        """Return the end of what a job's trainer wrote to its log."""
        path = self.folder(job.id) / "log.txt"
        return path.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace") if path.is_file() else ""

    async def _prepare(
        self, request: TeachRequest, job_id: str, name: str, folder: Path, *, elsewhere: bool = False
    ) -> None:
        if self._room.settings.engine != "llama":
            raise BadRequest("The engine is a server elsewhere; only a model on this machine can be taught.")
        cores = FreeCores()  # counts those that others leave free meanwhile
        check_settings(request.method, request.template, request.settings)
        base = self._room.settings.model if request.base == "auto" else request.base
        model = await self._room.find_model(base, lambda progress: None)
        proposed = await self._proposed(request, model) if request.recipe == SYNTH else []
        if request.approved:
            request = replace(request, pairs=(*request.pairs, *approved(await asyncio.to_thread(self._room.feedback))))
        examples = await asyncio.to_thread(compose, request, proposed)
        job = TrainJob(
            id=job_id,
            name=name,
            base=model.name,
            path=str(model.path),
            sha256=await asyncio.to_thread(identity, model.path, self._room.home),
            method=request.method,
            template=request.template,
            recipe=request.recipe,
            systems=(ungrounded_prompt("?").messages[0].content, ""),
            threads=cores.count(),
            settings=request.settings,
            replace=request.replace,
            elsewhere=elsewhere,
        )
        await asyncio.to_thread(write_job, folder, job)
        await asyncio.to_thread(write_examples, folder / "examples.jsonl", examples)

    async def _proposed(self, request: TeachRequest, model: LocalModel) -> list[Example]:
        """Return what the base, asked about the cells, makes of them."""

        def chosen() -> list[SelectedCell]:
            cells = (read_cells(Path(path), selection_of(request)) for path in request.notebooks)
            return [cell for one in cells for cell in one]

        cells = await asyncio.to_thread(chosen)
        async with self._room.engines.using(model, lambda progress: None) as engine:
            return await synthesize(cells, engine)

    def _before(self, name: str) -> str:
        """Return the name as the adapter has it that is there already; empty where none is."""
        folded = {known.casefold(): known for known in adapter_names(self._room.home)}
        return folded.get(name.casefold(), "")

    def _keep(self, name: str, folder: Path, replaces: bool) -> None:
        """Put card and PEFT folder beside the adapter, the adapter last: by its file it is known."""
        home = self._room.home
        if replaces:
            set_aside(name, home)
        try:
            card_file(home, name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(folder / "card.json", card_file(home, name))
            if (folder / "peft").is_dir():
                shutil.copytree(folder / "peft", peft_folder(home, name), dirs_exist_ok=True)
            self._room.adapters.add(folder / ADAPTER, name)
        except (OSError, LorebookError) as error:
            _take_away(home, name)
            if replaces:
                put_back(name, home)
            if isinstance(error, LorebookError):
                raise
            told = f"The adapter {name} cannot be kept ({error.strerror or error})."
            raise StorageFailed(told, "Free some space, then: lorebook jobs resume") from error

    def _keep_model(self, name: str, folder: Path, card: dict[str, Any]) -> None:
        """Give a model its place; by its weights it is known as long as anything may have been taught upon it."""
        home = self._room.home
        target = home.models / f"{name}.gguf"
        note_made(home, target, identity(folder / MODEL, home), card["base"]["sha256"], card["cells"])
        keep_model(folder, name, home)

    async def _load(self, name: str, base: str) -> None:
        """Have the adapter in memory where its model is there."""
        current = self._room.engines.current
        if current is not None and current.path == Path(base):
            async with self._room.engines.joined() as engine:
                if engine is not None:
                    await engine.load(name)


def _take_away(home: Home, name: str) -> None:
    """Delete what stands beside an adapter that did not come to be."""
    if name not in adapter_names(home):
        card_file(home, name).unlink(missing_ok=True)
        shutil.rmtree(peft_folder(home, name), ignore_errors=True)


def _free_name(request: TeachRequest, taken: Collection[str]) -> str:
    """Return the name that was asked for, or one after the first file; raises BadRequest, Conflict."""
    used = {name.casefold() for name in taken}
    if request.name:
        check_adapter_name(request.name)
        if request.name.casefold() in used:
            hint = "Give another name with --name, or let it take that one's place with --replace."
            raise Conflict(f"There is an adapter {request.name} already, or a job that makes it.", hint)
        return request.name
    first = next(iter((*request.notebooks, *request.data)), "approved" if request.approved else "notes")
    stem = _NOT_IN_NAMES.sub("-", Path(first).stem).strip("-.") or "notes"
    names = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(used) + 2))
    return next(name for name in names if name.casefold() not in used)


def _result(job: JobInfo, card: dict[str, Any]) -> TeachResult:
    losses = card["curves"]["loss"]
    held_out = card["curves"]["held_out_loss"]
    right = card["curves"].get("accuracy")
    return TeachResult(
        job=job.id,
        adapter=job.name,
        status=card["status"],
        examples=card["examples"],
        seconds=round(card["seconds"], 1),
        loss=losses[-1][1] if losses else None,
        held_out_loss=held_out[-1][1] if held_out else None,
        reason=card["reason"],
        accuracy=right[-1][1] if right else None,
        trained=card.get("trained", 0),
        memory_mb=card.get("memory_mb", 0.0),
        method=card.get("method", ""),
        left_out=card.get("left_out", {}),
    )
