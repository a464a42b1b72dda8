"""`lorebook models`: the GGUF models on this machine, and those that can be brought."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from lorebook_api.errors import Conflict, NotFound
from lorebook_api.home import find_home
from lorebook_api.indexing import Progress
from lorebook_api.state import ModelInfo
from lorebook_daemon.cli.options import daemon_option, debug_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen, printable
from lorebook_daemon.models.ancestry import note_made
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.shelf import resolve
from lorebook_daemon.teach.needs import check_installed


@click.group(
    short_help="List, bring, add and remove models.",
    epilog=examples(
        "lorebook models list",
        "lorebook models pull qwen2.5-coder-1.5b-instruct-q4_k_m",
        "lorebook models add ~/Downloads/my-model.gguf",
    ),
)
@debug_option
def models() -> None:
    """Manage GGUF models. Those that Ollama, LM Studio or the Hugging Face cache hold are used in place."""


@models.command("list", short_help="List the models.", epilog=examples("lorebook models list"))
@json_option
@daemon_option
def list_models(as_json: bool, start: bool) -> None:
    """List the models that are here and those that can be brought."""
    screen = Screen()
    known = reach(screen, start).models()
    if as_json:
        click.echo(json.dumps({"models": [asdict(model) for model in known]}, indent=2))
        return
    rows = [(_state(model), model.name, _size(model), model.origin, model.path) for model in known]
    screen.table(("state", "name", "size", "from", "path"), rows)
    for model in known:
        if _verdict(model):
            screen.write(printable(f"{model.name} is a candidate: {model.reason}"))


def _size(model: ModelInfo) -> str:
    return f"{model.size / 1e6:.0f} MB" if model.size else ""


def _state(model: ModelInfo) -> str:
    state = "loaded" if model.loaded else "here" if model.installed else "-"
    return ", ".join(filter(None, (state, "default" if model.default else "", _verdict(model))))


def _verdict(model: ModelInfo) -> str:
    return "candidate" if model.status == "candidate" else ""


@models.command(
    short_help="Bring a model to this machine.",
    epilog=examples("lorebook models pull qwen2.5-coder-1.5b-instruct-q4_k_m"),
)
@click.argument("name")
@json_option
@daemon_option
def pull(name: str, as_json: bool, start: bool) -> None:
    """Bring the model NAME. Broken off, the same command goes on where it was."""
    screen = Screen()
    with Bars(screen) as bars, closing(reach(screen, start).pull_model(name)) as events:
        for event in events:
            if isinstance(event, Progress):
                bars.show(event)
                continue
            bars.hide()
            if as_json:
                click.echo(json.dumps(asdict(event), indent=2))
            else:
                screen.write(printable(f"{event.name} is here: {event.path} ({event.size / 1e6:.0f} MB)"))


@models.command(
    short_help="Use a GGUF file where it lies.", epilog=examples("lorebook models add ~/Downloads/my-model.gguf")
)
@click.argument("path", type=click.Path(path_type=Path))
@json_option
@daemon_option
def add(path: Path, as_json: bool, start: bool) -> None:
    """Register the GGUF file PATH under its own name; it is neither copied nor moved."""
    file = path.expanduser().absolute()
    if not file.is_file():
        raise NotFound(f"{file} is not a file.", "Check the path.")
    screen = Screen()
    model = reach(screen, start).add_model(str(file))
    if as_json:
        click.echo(json.dumps(asdict(model), indent=2))
    else:
        screen.write(printable(f'Added {model.name}. Try it: lorebook ask "…" --model {model.name}'))


@models.command(short_help="Delete a model.", epilog=examples("lorebook models rm smollm2-135m-instruct-q4_1"))
@click.argument("name")
@daemon_option
def rm(name: str, start: bool) -> None:
    """Delete the model NAME from lorebook's folder. Files of other programs are left alone."""
    screen = Screen()
    reach(screen, start).remove_model(name)
    screen.write(printable(f"Removed {name}."))


@models.command(
    short_help="Write a model out in 16 bits, to measure with.",
    epilog=examples(
        "lorebook models unpack qwen2.5-coder-0.5b-instruct-q4_k_m",
        "lorebook eval mc arc.jsonl --format arc --model qwen2.5-coder-0.5b-instruct-q4_k_m-f16",
    ),
)
@click.argument("name", metavar="NAME|PATH")
@json_option
@debug_option
def unpack(name: str, as_json: bool) -> None:
    """Write the packed weights of the model NAME out in 16 bits, as the model NAME-f16, two to four times as large.

    With packed weights an engine rounds what it computes. With these, scores are those of any other engine.
    """
    check_installed(("gguf",))
    from lorebook_daemon.teach.merge import unpacked  # wants the package gguf, which only training does otherwise

    home = find_home().make()
    model = resolve(name, home)
    target = home.models / f"{model.name}-f16.gguf"
    if target.exists():
        raise Conflict(f"{target.stem} is there already.", f"Use it, or: lorebook models rm {target.stem}")
    screen = Screen()
    with Bars(screen) as bars:
        unpacked(target, model.path, bars.show)
    note_made(home, target, identity(target, home), identity(model.path, home), ())
    if as_json:
        click.echo(json.dumps({"unpacked": target.stem, "path": str(target), "size": target.stat().st_size}, indent=2))
    else:
        size = target.stat().st_size / 1e6
        screen.write(
            printable(f"{target.stem} is here: {target} ({size:.0f} MB). Measure with it: --model {target.stem}")
        )
