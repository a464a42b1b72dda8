"""An adapter's card: what it was made from and how, so that it can be judged, made again, and taken back."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import psutil

from lorebook_api.version import VERSION
from lorebook_daemon.teach.examples import Example, left_out
from lorebook_daemon.teach.gate import Verdict
from lorebook_daemon.teach.job import TrainJob
from lorebook_daemon.teach.loop import Progressed, Schedule


@dataclass(frozen=True)
class Figures:
    """Before and after: of what was kept back, and of the general check."""

    held_out_before: float | None
    held_out_after: float | None
    general_before: int
    general_after: int
    general_of: int


def card(
    job: TrainJob,
    examples: Sequence[Example],
    schedule: Schedule,
    at: Progressed,
    figures: Figures,
    verdict: Verdict,
    invocation: tuple[int, ...],
    trained: int,
) -> dict[str, Any]:
    """Return the card as plain JSON data."""
    used = [example for example in examples if not example.left_out and not example.held_out]
    return {
        "name": job.name,
        "job": job.id,
        "status": "active" if verdict.active else "candidate",
        "reason": verdict.reason,
        "base": {"name": job.base, "path": job.path, "sha256": job.sha256},
        "method": job.method,
        "recipe": job.recipe,
        "template": job.template,
        "invocation": list(invocation),
        "settings": asdict(job.settings),
        "schedule": asdict(schedule),
        "threads": job.threads,
        "cells": [asdict(origin) for origin in dict.fromkeys(one for example in used for one in example.origins)],
        "examples": len(used),
        "left_out": left_out(examples),
        "curves": {"loss": at.loss, "held_out_loss": at.held_out, "accuracy": at.accuracy},
        "figures": asdict(figures),
        "seconds": at.seconds,
        "trained": trained,
        "memory_mb": round(peak_mb(), 1),
        "versions": {"lorebook": VERSION, "python": platform.python_version(), **_versions()},
    }


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "peft", "gguf")}


def peak_mb() -> float:
    """Return the most memory (MiB) that this process has taken."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10
