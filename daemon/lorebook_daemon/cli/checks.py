"""What `lorebook doctor` looks at. To add a check: one function, one line in `CHECKS`."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from lorebook_api.discovery import find_daemon
from lorebook_api.errors import LorebookError, NotFound
from lorebook_api.home import Home
from lorebook_api.version import VERSION
from lorebook_daemon.settings import load_settings

LEAST_FREE = 2_000_000_000
"""Bytes of disk under which a model may not fit."""
INSTALL_DAEMON = "pip install 'lorebook[daemon]'"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Check:
    """What was found, and what to type next where something is missing."""

    state: Literal["ok", "warn", "fail"]
    detail: str
    next: str = ""


@dataclass(frozen=True)
class Patient:
    """What is looked at; with `offline`, what the network would have to bring counts as missing."""

    home: Home
    offline: bool


def examine(patient: Patient) -> dict[str, Check]:
    """Return the result of every check by its name, in order."""
    return {name: _run(check, patient) for name, check in CHECKS.items()}


def _run(check: Callable[[Patient], Check], patient: Patient) -> Check:
    try:
        return check(patient)
    except ModuleNotFoundError as error:
        return Check("fail", f"cannot be told: {error.name} is not installed", INSTALL_DAEMON)
    except LorebookError as error:
        return Check("fail", error.message, error.hint)


def _python(_: Patient) -> Check:
    return Check("ok", f"{platform.python_version()} ({sys.executable})")


def _base(_: Patient) -> Check:
    return _packages("", f"pip install --upgrade lorebook=={VERSION}")


def _daemon_packages(_: Patient) -> Check:
    return _packages("daemon", INSTALL_DAEMON)


def _packages(extra: str, hint: str) -> Check:
    """Compare what lorebook's own metadata asks for with what is installed."""
    try:
        wanted = importlib.metadata.requires("lorebook") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("warn", "lorebook runs from a folder, it is not installed", hint)
    found, missing = [], []
    for requirement in wanted:
        marker = requirement.partition(";")[2]
        named = _NAME.match(requirement)
        belongs = f"'{extra}'" in marker.replace('"', "'") if extra else "extra" not in marker
        if named is None or not belongs or named[0] == "lorebook":
            continue
        try:
            found.append(f"{named[0]} {importlib.metadata.version(named[0])}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(named[0])
    if missing:
        return Check("fail", f"missing: {', '.join(missing)}", hint)
    return Check("ok", ", ".join(found))


def _compiler(_: Patient) -> Check:
    """Look for a compiler only where llama-cpp-python is yet to be built."""
    try:
        return Check("ok", f"not needed: llama-cpp-python {importlib.metadata.version('llama-cpp-python')} is built")
    except importlib.metadata.PackageNotFoundError:
        compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++", "cl"))), None)
    if compiler is None:
        hints = {"Darwin": "xcode-select --install", "Windows": "Install the Visual Studio Build Tools."}
        return Check(
            "fail", "no C++ compiler to build llama-cpp-python", hints.get(platform.system(), "apt install g++")
        )
    return Check("ok", compiler)


def _folders(patient: Patient) -> Check:
    home = patient.home.make()
    free = shutil.disk_usage(home.models).free
    detail = f"{home.models.parent} can be written, {free / 1e9:.1f} GB free"
    if free < LEAST_FREE:
        return Check("warn", detail, "Make room, or set LOREBOOK_HOME to a folder on another disk.")
    return Check("ok", detail)


def _model(patient: Patient) -> Check:
    from lorebook_daemon.models.catalogue import CATALOGUE  # the daemon's packages are an extra
    from lorebook_daemon.models.choose import choose_here
    from lorebook_daemon.models.shelf import AUTO, local_models

    settings = load_settings(patient.home)
    if settings.engine == "openai":
        return Check("ok", "not needed: a server answers, see the line `server`")
    if settings.model != AUTO:
        return _named_model(patient, settings.model)
    chosen = choose_here(patient.home)
    hint = f"lorebook models pull {chosen}"
    known = {name for name, model in CATALOGUE.items() if model.purpose == "answer"}
    here = {model.name: model for model in local_models(patient.home) if model.name in known}
    if chosen in here:
        return Check("ok", f"{chosen} ({here[chosen].origin}: {here[chosen].path})")
    if here:
        return Check("warn", f"{', '.join(here)} is here, {chosen} would suit this machine", hint)
    size = CATALOGUE[chosen].size / 1e6
    return _to_bring(patient, f"{chosen} is not here; the first question brings {size:.0f} MB", hint)


def _named_model(patient: Patient, name: str) -> Check:
    """Look for the model that config.toml or LOREBOOK_MODEL names."""
    from lorebook_daemon.models.catalogue import find_known
    from lorebook_daemon.models.shelf import resolve

    try:
        model = resolve(name, patient.home)
    except NotFound:
        known = find_known(name)
        if known is None:
            raise
        detail = f"{known.name} is not here; the first question brings {known.size / 1e6:.0f} MB"
        return _to_bring(patient, detail, f"lorebook models pull {known.name}")
    return Check("ok", f"{model.name} ({model.origin}: {model.path})")


def _embedder(patient: Patient) -> Check:
    from lorebook_daemon.models.catalogue import CATALOGUE

    minilm = CATALOGUE["minilm"]
    if minilm.whole(patient.home.models):
        return Check("ok", f"minilm ({minilm.place(patient.home.models)})")
    detail = f"minilm is not here; the first index brings {minilm.size / 1e6:.0f} MB, until then search is by words"
    return _to_bring(patient, detail, "lorebook models pull minilm")


def _to_bring(patient: Patient, detail: str, hint: str) -> Check:
    if load_settings(patient.home).offline:
        return Check("fail", f"{detail}, but `offline` forbids that", f"unset LOREBOOK_OFFLINE, then: {hint}")
    return Check("fail" if patient.offline else "warn", detail, hint)


def _daemon(patient: Patient) -> Check:
    daemon = find_daemon(patient.home)
    if daemon is None:
        return Check("ok", "not running; it starts with the first question")
    detail = f"running: version {daemon.version}, pid {daemon.pid}, {daemon.url}"
    if daemon.version != VERSION:
        return Check("warn", f"{detail}; this is version {VERSION}", "lorebook stop")
    return Check("ok", detail)


def _engine(patient: Patient) -> Check:
    from lorebook_daemon.engine.probe import Probe
    from lorebook_daemon.models.choose import recall_speeds

    try:
        crashed = Probe(patient.home).fast_settings_crash
    except importlib.metadata.PackageNotFoundError:
        return Check("fail", "llama-cpp-python is not installed", INSTALL_DAEMON)
    speeds = [f"{name} {speed:.0f} tokens/s" for name, speed in recall_speeds(patient.home).items()]
    measured = ", ".join(speeds) or "no model was loaded yet"
    if crashed:
        hint = "It works. Built for this CPU it would read faster: make install, see docs/platforms.md"
        return Check("warn", f"the fast settings crash on this CPU, the safe ones are used; {measured}", hint)
    return Check("ok", measured)


def _server(patient: Patient) -> Check:
    """Ask the server that `engine = "openai"` names for its models; offline only one on this machine is asked."""
    settings = load_settings(patient.home)
    if settings.engine == "llama":
        return Check("ok", "not needed: this machine answers")
    from lorebook_daemon.engine.remote.address import address_of
    from lorebook_daemon.engine.remote.engine import model_named  # pydantic and httpx take their time

    settings = replace(settings, offline=settings.offline or patient.offline)
    address = address_of(settings)
    detail = f"{asyncio.run(model_named(settings.model, settings))} at {address.host}"
    if not address.loopback and address.url.startswith("http:"):
        return Check("warn", f"{detail}, over a line that others can read", "LOREBOOK_ENGINE_URL=https://…")
    return Check("ok", detail)


def _memory(patient: Patient) -> Check:
    import psutil  # the daemon's packages are an extra

    from lorebook_daemon.models.catalogue import answering
    from lorebook_daemon.models.choose import BESIDE_WEIGHTS

    memory = psutil.virtual_memory()
    detail = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    smallest = answering()[-1]
    if memory.available < smallest.size + BESIDE_WEIGHTS:
        return Check("warn", f"{detail}, little even for {smallest.name}", "Close other programs.")
    return Check("ok", detail)


def _threads(_: Patient) -> Check:
    from lorebook_daemon.engine.threads import physical_cores

    return Check("ok", f"{physical_cores()} physical cores may be used")


CHECKS: dict[str, Callable[[Patient], Check]] = {
    "python": _python,
    "packages": _base,
    "daemon packages": _daemon_packages,
    "compiler": _compiler,
    "folders": _folders,
    "model": _model,
    "embedder": _embedder,
    "daemon": _daemon,
    "engine": _engine,
    "server": _server,
    "memory": _memory,
    "threads": _threads,
}
