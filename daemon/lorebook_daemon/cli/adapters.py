"""`lorebook adapters`: the LoRA adapters on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from lorebook_api.errors import BadRequest, Conflict, NotFound
from lorebook_api.home import find_home
from lorebook_api.indexing import Progress
from lorebook_api.state import AdapterInfo
from lorebook_api.teaching import ForgetRequest, Saw
from lorebook_api.typed import find_model
from lorebook_daemon.cli.options import daemon_option, debug_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen, printable
from lorebook_daemon.models.adapters import adapter_names, export_adapter, find_adapter
from lorebook_daemon.models.ancestry import note_made
from lorebook_daemon.models.identity import identity
from lorebook_daemon.models.json_file import read_object
from lorebook_daemon.models.shelf import resolve
from lorebook_daemon.teach.needs import check_installed

F = TypeVar("F", bound=Callable[..., Any])


def _complete(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Return the names that begin so, for the shell."""
    return [name for name in adapter_names(find_home()) if name.startswith(begun)]


def _name_argument(command: F) -> F:
    return click.argument("name", shell_complete=_complete)(command)


@click.group(
    short_help="List, load, bring and remove LoRA adapters.",
    epilog=examples(
        "lorebook adapters list",
        "lorebook adapters import ~/Downloads/lab-notes.gguf",
        'lorebook ask "what did run 12 show?" --adapter lab-notes:0.8',
    ),
)
@debug_option
def adapters() -> None:
    """Manage LoRA adapters. A question takes one, or several, with --adapter NAME or --adapter NAME:SCALE."""


@adapters.command("list", short_help="List the adapters.", epilog=examples("lorebook adapters list"))
@json_option
@daemon_option
def list_adapters(as_json: bool, start: bool) -> None:
    """List the adapters that are here."""
    screen = Screen()
    known = reach(screen, start).adapters()
    if as_json:
        click.echo(json.dumps({"adapters": [asdict(adapter) for adapter in known]}, indent=2))
        return
    if not known:
        screen.write("There is no adapter yet. Bring one: lorebook adapters import FILE", style="dim")
        return
    head = ("state", "name", "kind", "rank", "size", "for", "path")
    screen.table(
        head, [(_state(one), one.name, _kind(one), _ranks(one), _size(one), _for(one), one.path) for one in known]
    )
    for adapter in known:
        if adapter.damaged:
            screen.say(f"{adapter.name}: {adapter.damaged}")


def _state(adapter: AdapterInfo) -> str:
    state = "damaged" if adapter.damaged else "loaded" if adapter.loaded else "here"
    state = f"{state}, candidate" if adapter.status == "candidate" else state
    return f"{state}, acts at {adapter.scale:g}" if adapter.scale else state


def _kind(adapter: AdapterInfo) -> str:
    if adapter.vectors:
        return f"soft prompt of {adapter.vectors} vectors"
    return "" if adapter.damaged else "aLoRA" if adapter.invocation else "LoRA"


def _ranks(adapter: AdapterInfo) -> str:
    return ", ".join(map(str, adapter.ranks))


def _size(adapter: AdapterInfo) -> str:
    return f"{adapter.size / 1e6:.1f} MB" if adapter.size >= 1e6 else f"{adapter.size / 1e3:.1f} kB"


def _for(adapter: AdapterInfo) -> str:
    return adapter.base or adapter.architecture


@adapters.command(short_help="Show an adapter.", epilog=examples("lorebook adapters show lab-notes"))
@_name_argument
@json_option
@daemon_option
def show(name: str, as_json: bool, start: bool) -> None:
    """Show what the file of the adapter NAME says of itself; with --json also its card, where it was taught here."""
    screen = Screen()
    adapter = reach(screen, start).adapter(find_model(name))
    if as_json:
        card = read_object(Path(adapter.path).with_suffix(".json"))
        click.echo(json.dumps({**asdict(adapter), "card": card}, indent=2))
        return
    for what, value in _facts(adapter):
        if value:
            screen.write(printable(f"{what:<8}{value}"))


def _facts(adapter: AdapterInfo) -> tuple[tuple[str, str], ...]:
    layers = f"{len(adapter.layers)}, {adapter.layers[0]} to {adapter.layers[-1]}" if adapter.layers else ""
    return (
        ("name", adapter.name),
        ("state", _state(adapter)),
        ("why", adapter.damaged or adapter.reason),
        ("path", adapter.path),
        ("size", _size(adapter)),
        ("kind", _kind(adapter)),
        ("for", " ".join(filter(None, (adapter.architecture, adapter.base and f"({adapter.base})")))),
        ("rank", _ranks(adapter)),
        ("alpha", f"{adapter.alpha:g}" if adapter.alpha else ""),
        ("changes", ", ".join(adapter.targets)),
        ("layers", layers),
        ("ignored", ", ".join(adapter.ignored)),
        ("acts at", " ".join(map(str, adapter.invocation)) and f"tokens {' '.join(map(str, adapter.invocation))}"),
        ("task", adapter.task),
    )


@adapters.command(
    short_help="Have an adapter in the engine's memory.", epilog=examples("lorebook adapters load lab-notes")
)
@_name_argument
@json_option
@daemon_option
def load(name: str, as_json: bool, start: bool) -> None:
    """Load the adapter NAME, so that the first question with it is as fast as the others. It need not be."""
    screen = Screen()
    with Bars(screen) as bars, closing(reach(screen, start).load_adapter(find_model(name))) as events:
        for event in events:
            if isinstance(event, Progress):
                bars.show(event)
                continue
            bars.hide()
            if as_json:
                click.echo(json.dumps(asdict(event), indent=2))
            else:
                screen.write(printable(f'Loaded {event.name}. Ask with it: lorebook ask "…" --adapter {event.name}'))


@adapters.command(
    short_help="Drop an adapter from the engine's memory.", epilog=examples("lorebook adapters unload lab-notes")
)
@_name_argument
@json_option
@daemon_option
def unload(name: str, as_json: bool, start: bool) -> None:
    """Drop the adapter NAME from memory; its file stays. One that is answering is dropped after that."""
    screen = Screen()
    reach(screen, start).unload_adapter(find_model(name))
    _tell(screen, as_json, {"unloaded": name}, f"Unloaded {name}.")


@adapters.command(short_help="Delete an adapter.", epilog=examples("lorebook adapters rm lab-notes"))
@_name_argument
@json_option
@daemon_option
def rm(name: str, as_json: bool, start: bool) -> None:
    """Delete the file of the adapter NAME in lorebook's folder."""
    screen = Screen()
    reach(screen, start).remove_adapter(name)
    _tell(screen, as_json, {"removed": name}, f"Removed {name}.")


@adapters.command(
    short_help="Take an adapter back to its version before.", epilog=examples("lorebook adapters rollback lab-notes")
)
@_name_argument
@json_option
@daemon_option
def rollback(name: str, as_json: bool, start: bool) -> None:
    """Put the version before in the place of the adapter NAME; typed again, it undoes that.

    Without a version before, the adapter becomes a candidate.
    """
    screen = Screen()
    adapter = reach(screen, start).roll_back_adapter(find_model(name))
    text = " ".join(filter(None, (f"{adapter.name} is {adapter.status or 'here'}.", adapter.reason)))
    _tell(screen, as_json, asdict(adapter), text)


@adapters.command(
    short_help="Forget what was learnt from a cell.",
    epilog=examples(
        "lorebook adapters forget --cell lab.ipynb#3f2a91c0 --list",
        "lorebook adapters forget --cell lab.ipynb#3f2a91c0",
        "lorebook adapters forget --cell answers.jsonl#12",
        "lorebook adapters forget --cell answers.jsonl",
    ),
)
@click.option(
    "--cell",
    required=True,
    metavar="[FILE][#ID]",
    help="The cell's id, or the file's row, from 1 on; none: all of FILE.",
)
@click.option("--list", "only_list", is_flag=True, help="Say which adapters learnt from it; change nothing.")
@json_option
@daemon_option
def forget(cell: str, only_list: bool, as_json: bool, start: bool) -> None:
    """Delete every adapter and model that learnt from a cell, at once, and train it anew without it, under its name."""
    screen = Screen()
    seen = reach(screen, start).forget_cell(_forget_request(cell, only_list))
    if as_json:
        click.echo(json.dumps({"adapters": [asdict(one) for one in seen]}, indent=2))
        return
    for one in seen:
        who = f"the version of {one.adapter} before the present one" if one.earlier else one.adapter
        screen.write(printable(f"{who} {_how(one)}; {_fate(one, only_list)}"))


def _forget_request(cell: str, only_list: bool) -> ForgetRequest:
    file, _, cell_id = cell.rpartition("#") if "#" in cell else (cell, "", "")
    path = str(Path(file).expanduser().absolute()) if file else ""
    return ForgetRequest(cell_id, path, only_list)


def _how(seen: Saw) -> str:
    return (
        f"learnt from {', '.join(seen.places)}" if seen.places else f"was made from {seen.upon}, which learnt from it"
    )


def _fate(seen: Saw, only_list: bool) -> str:
    if seen.file:
        return "it is a file of yours: delete it yourself"
    if seen.reason:
        return f"it {'would be' if only_list else 'is'} deleted: {seen.reason}"
    if seen.earlier:
        return "it would be deleted" if only_list else "it is deleted, and nothing rolls back to it"
    if only_list:
        return f"{seen.left} other examples would be left"
    if not seen.job:
        return "it is deleted, and nothing is left to make it from"
    return f"it is deleted, and made again from {seen.left} examples: lorebook jobs show {seen.job}"


@adapters.command(
    short_help="Copy an adapter to a file.", epilog=examples("lorebook adapters export lab-notes ~/lab-notes.gguf")
)
@_name_argument
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--merged", is_flag=True, help="Write a model of its own: the base with the adapter in its weights.")
@click.option("--base", default="", metavar="NAME|PATH", help="For --merged: the model that it was taught to.")
@json_option
@debug_option
def export(name: str, file: Path, merged: bool, base: str, as_json: bool) -> None:
    """Copy the adapter NAME to FILE, or into the folder FILE. llama.cpp and what is built on it can use it."""
    adapter, target = find_adapter(name, find_home()), file.expanduser().absolute()
    written = _merge(adapter, base, target) if merged else export_adapter(adapter, target)
    _tell(Screen(), as_json, {"exported": name, "path": str(written)}, f"{name} is in {written}")


def _merge(adapter: AdapterInfo, base: str, target: Path) -> Path:
    """Write the model that the adapter makes of its base; return where it is."""
    check_installed(("gguf",))
    from lorebook_daemon.teach.merge import merged  # wants the package gguf, which only training does otherwise

    target = target / f"{adapter.name}-merged.gguf" if target.is_dir() else target
    if target.exists():
        raise Conflict(f"{target} is there already.", "Name another file, or delete that one.")
    card = read_object(Path(adapter.path).with_suffix(".json"))
    wanted = base or str(card.get("base", {}).get("name", ""))
    if not wanted:
        raise BadRequest(f"{adapter.name} does not say which model it was taught to.", "Name it: --base NAME")
    home = find_home()
    model = resolve(wanted, home).path
    merged(target, model, adapter)
    note_made(home, target, identity(target, home), identity(model, home), card.get("cells", ()))
    return target


@adapters.command(
    "import",
    short_help="Bring an adapter from a file.",
    epilog=examples(
        "lorebook adapters import ~/Downloads/lab-notes.gguf",
        "lorebook adapters import ./checkpoint-40.gguf --name lab-notes",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", metavar="NAME", help="What to call it. Default: as the file is called.")
@json_option
@daemon_option
def import_file(file: Path, name: str, as_json: bool, start: bool) -> None:
    """Check the adapter in FILE, a GGUF, and copy it into lorebook's folder."""
    path = file.expanduser().absolute()
    if not path.is_file():
        raise NotFound(f"{path} is not a file.", "Check the path.")
    screen = Screen()
    adapter = reach(screen, start).import_adapter(str(path), name)
    text = f'Imported {adapter.name}. Ask with it: lorebook ask "…" --adapter {adapter.name}'
    _tell(screen, as_json, asdict(adapter), text)


def _tell(screen: Screen, as_json: bool, document: dict[str, Any], text: str) -> None:
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        screen.write(printable(text))
