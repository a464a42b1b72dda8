"""A trainer that learns nothing: it tells of two steps, and leaves an adapter that was made before."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lorebook_api.errors import LorebookError
from lorebook_api.indexing import Progress
from lorebook_api.teaching import Metrics, Preview, Said
from lorebook_daemon.models.taught import MODEL
from lorebook_daemon.teach.examples import Example, left_out, read_examples
from lorebook_daemon.teach.job import TrainJob, read_job
from lorebook_daemon.teach.trainer import Busy, TrainerEvent, What


@dataclass
class FakeTrainer:
    """What `run_trainer` does, without a process. `runs` are the jobs that it was given, with their examples."""

    adapter: Path
    """The file that every training comes to, but for one of the method `full`: that comes to its base, longer."""
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    """A training stands after its second step until this is set."""
    status: str = "active"
    error: LorebookError | None = None
    runs: list[tuple[TrainJob, list[Example]]] = field(default_factory=list)
    ended: int = 0
    """Trainings that came to their end, or were taken back."""

    async def __call__(self, what: What, folder: Path, busy: Busy) -> AsyncGenerator[TrainerEvent, None]:
        job, examples = read_job(folder), read_examples(folder / "examples.jsonl")
        if what == "preview":
            yield TrainerEvent("done", asdict(Preview((), job.base, job.name, 2, 4, 64, 1.0, 100.0)))
            return
        self.runs.append((job, examples))
        try:
            async for event in self._train(folder, job, examples):
                yield event
        finally:
            self.ended += 1

    async def _train(self, folder: Path, job: TrainJob, examples: list[Example]) -> AsyncGenerator[TrainerEvent, None]:
        yield TrainerEvent("progress", asdict(Progress("loading the model to teach")))
        yield TrainerEvent("metrics", asdict(Metrics(1, 2, 3.5, 3.0)))
        yield TrainerEvent("said", asdict(Said("Who?", "Anna.", "Anna.", 1)))
        yield TrainerEvent("metrics", asdict(Metrics(2, 2, 0.1, 0.2)))
        await self.may_end.wait()
        if self.error:
            raise self.error
        if job.method == "full":
            told = ",".join(example.answer for example in examples)
            (folder / MODEL).write_bytes(Path(job.path).read_bytes() + f"{job.name}: {told}".encode())
        else:
            shutil.copyfile(self.adapter, folder / "adapter.gguf")
            (folder / "peft").mkdir(exist_ok=True)
            (folder / "peft" / "adapter_config.json").write_text("{}")
        told = self._card(job, examples)
        (folder / "card.json").write_text(json.dumps(told))
        yield TrainerEvent("done", told)

    def _card(self, job: TrainJob, examples: list[Example]) -> dict[str, Any]:
        used = [example for example in examples if not example.left_out and not example.held_out]
        return {
            "name": job.name,
            "job": job.id,
            "status": self.status,
            "reason": "" if self.status == "active" else "The held-out loss did not fall.",
            "base": {"name": job.base, "path": job.path, "sha256": job.sha256},
            "cells": [asdict(origin) for origin in dict.fromkeys(one for example in used for one in example.origins)],
            "examples": len(used),
            "left_out": left_out(examples),
            "curves": {"loss": [[1, 3.5], [2, 0.1]], "held_out_loss": [[0, 3.0], [2, 0.2]]},
            "seconds": 1.0,
        }
