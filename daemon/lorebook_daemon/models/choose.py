"""Which model `auto` means on this machine: by its memory, and by the speed that was measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from lorebook_api.home import Home
from lorebook_daemon.models.catalogue import answering
from lorebook_daemon.models.json_file import change_object, read_object
from lorebook_daemon.models.machine import machine_key

BESIDE_WEIGHTS = 1_200_000_000
"""Bytes that a model needs beside its file: the context, the kept passages, the engine's own buffers."""
TOO_SLOW = 4.0
"""Tokens a second under which a person reads faster than the model writes; then the smaller model answers."""


def choose(available_memory_bytes: int, measured: Mapping[str, float]) -> str:
    """Return the largest answering model that fits the memory and was not measured below `TOO_SLOW` tokens a second.

    The smallest of them where none does. A model that was never measured counts as quick enough.
    """
    models = answering()
    for model in models:
        fits = model.size + BESIDE_WEIGHTS <= available_memory_bytes
        if fits and measured.get(model.name, TOO_SLOW) >= TOO_SLOW:
            return model.name
    return models[-1].name


def choose_here(home: Home) -> str:
    """Return what `auto` means now on this machine."""
    return choose(psutil.virtual_memory().available, recall_speeds(home))


def remember_speed(home: Home, model: str, tokens_per_second: float) -> None:
    """Keep how fast `model` wrote on this CPU with this engine; raises StorageFailed.

    The best that was seen counts: a busy minute says nothing about the machine.
    """

    def put(speeds: dict[str, Any]) -> None:
        best = max(tokens_per_second, recall_speeds(home).get(model, 0.0))
        speeds[machine_key()] = {**recall_speeds(home), model: round(best, 2)}

    change_object(_speed_file(home), put)


def recall_speeds(home: Home) -> dict[str, float]:
    """Return tokens a second by model, as measured on this CPU with this engine; empty before the first time."""
    here = read_object(_speed_file(home)).get(machine_key())
    if not isinstance(here, dict):
        return {}
    return {name: float(speed) for name, speed in here.items() if isinstance(speed, int | float)}


def _speed_file(home: Home) -> Path:
    return home.cache / "speed.json"
