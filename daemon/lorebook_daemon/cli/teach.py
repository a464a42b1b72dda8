"""`lorebook teach`: fine-tune on selected cells or on data files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from lorebook_api.client import Client
from lorebook_api.errors import BadRequest, LorebookError, NotFound
from lorebook_api.sweep import is_axis
from lorebook_api.teaching import Prepared, Preview, PreviewExample, TeachRequest, TrainSettings
from lorebook_api.typed import find_model
from lorebook_daemon.cli.options import daemon_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen, printable
from lorebook_daemon.cli.sweep import sweep as sweep_over
from lorebook_daemon.cli.watching import show_result, watch

_DEFAULT = TrainSettings()
_SHOWN_CHARACTERS = 400


@click.command(
    short_help="Fine-tune on cells or data files.",
    epilog=examples(
        "lorebook teach lab.ipynb --cells 2,5-7 --name lab-notes",
        "lorebook teach lab.ipynb --tag teach --preview",
        "lorebook teach --data answers.jsonl --method lora --name answers",
        "lorebook teach --data answers.jsonl --sweep rank=1,4,16 'targets=q|v|qv' --plot sweep.vl.json",
    ),
)
@click.argument("notebooks", nargs=-1, metavar="[NOTEBOOK]...")
@click.option("--cells", default="", metavar="2,5-7", help="Cells by position, from 0 on.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Cells with this tag; may be repeated.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="The cell with this id; may be repeated.")
@click.option("--all", "whole", is_flag=True, help="All cells. Default: those that begin with %%teach.")
@click.option(
    "--data", multiple=True, metavar="FILE", help="JSON or JSON Lines: Alpaca, ShareGPT, LIMA, messages, pairs."
)
@click.option("--approved", is_flag=True, help="Answers that you gave a thumb up, or put right (see docs/index.md).")
@click.option("--recipe", default="auto", show_default=True, help="auto, explain, write, result, qa, text or synth.")
@click.option("--template", default="chat", show_default=True, help="chat (the model's own), alpaca or phi3.")
@click.option("--method", default="alora", show_default=True, help="alora (acts in answers), lora, dpo, classifier, ….")
@click.option("--name", default="", metavar="NAME", help="What to call the adapter. Default: as the file is called.")
@click.option(
    "--replace", is_flag=True, help="Take the place of the adapter of that name, if this one passes the gate."
)
@click.option("--base", default="auto", metavar="NAME|PATH", help="The model to teach. Default: the one that answers.")
@click.option("--keep", multiple=True, metavar="FLAG", help="Use examples of a flag too, such as near-duplicate.")
@click.option("--rank", default=_DEFAULT.rank, show_default=True, help="Rank of the adapter.")
@click.option("--alpha", default=_DEFAULT.alpha, show_default=True, help="It acts with alpha / rank.")
@click.option("--targets", default=",".join(_DEFAULT.targets), show_default=True, help="Of q,k,v,o,gate,up,down.")
@click.option("--vectors", default=_DEFAULT.vectors, show_default=True, help="Of a soft prompt (--method prompt).")
@click.option("--layers", default=0, metavar="N", help="Change the last N layers only.")
@click.option("--epochs", default=0, metavar="N", help="Passes over the examples. Default: 2, more for few examples.")
@click.option("--learning-rate", default=0.0, metavar="X", help="The highest rate. Default: the method's.")
@click.option("--batch", default=_DEFAULT.batch, show_default=True, help="Examples a step.")
@click.option("--max-tokens", default=_DEFAULT.max_tokens, show_default=True, help="Longest example.")
@click.option("--held-out", default=_DEFAULT.held_out, show_default=True, help="Share of cells to measure with.")
@click.option("--seed", default=0, show_default=True, help="Of orders and first weights.")
@click.option(
    "--sweep",
    multiple=True,
    metavar="AXIS",
    help="Train at each point of a grid: rank=1,2,4 targets=q|v|qv method=lora|alora.",
)
@click.option("--plot", default="", metavar="FILE", help="Where a sweep's plot goes (.vl.json: JupyterLab shows it).")
@click.option("--preview", is_flag=True, help="Show the examples and what training would take; train nothing.")
@click.option("--prepare", is_flag=True, help="Lay it out for several processes, and train nothing: docs/methods.md.")
@json_option
@daemon_option
def teach(
    notebooks: tuple[str, ...],
    cells: str,
    tags: tuple[str, ...],
    ids: tuple[str, ...],
    whole: bool,
    data: tuple[str, ...],
    approved: bool,
    recipe: str,
    template: str,
    method: str,
    name: str,
    replace: bool,
    base: str,
    keep: tuple[str, ...],
    targets: str,
    sweep: tuple[str, ...],
    plot: str,
    preview: bool,
    prepare: bool,
    as_json: bool,
    start: bool,
    **numbers: float,
) -> None:
    """Make examples of the cells of each NOTEBOOK, train an adapter on them here, and load it under its name.

    Nothing leaves this machine. Training gives way to questions; Ctrl-C stops watching it, and it goes on
    (lorebook jobs). Ask with the result: lorebook ask "…" --adapter NAME
    """
    if sum((preview, prepare, bool(sweep))) > 1:
        raise BadRequest("--preview, --prepare and --sweep are three things.", "Take one of them.")
    axes = (*sweep, *(word for word in notebooks if sweep and is_axis(word)))
    request = TeachRequest(
        notebooks=tuple(_file(path) for path in notebooks if path not in axes),
        cells=cells,
        tags=tags,
        ids=ids,
        whole=whole,
        data=tuple(map(_file, data)),
        approved=approved,
        recipe=recipe,
        template=template,
        method=method,
        name=name,
        replace=replace,
        base=find_model(base),
        keep=keep,
        settings=TrainSettings(targets=tuple(targets.split(",")), **numbers),  # type: ignore[arg-type]
    )
    screen = Screen()
    client = reach(screen, start)
    if preview:
        _show_preview(screen, client.preview_teaching(request), as_json)
    elif prepare:
        _show_prepared(screen, client.prepare_teaching(request), as_json)
    elif sweep:
        sweep_over(screen, client, request, axes, plot, as_json)
    else:
        _teach(screen, client, request, as_json)


def _file(path: str) -> str:
    """Return a file's absolute path; the daemon has another working folder."""
    found = Path(path).expanduser().absolute()
    if not found.is_file():
        raise NotFound(f"{found} is not a file.", "Check the path.")
    return str(found)


def _teach(screen: Screen, client: Client, request: TeachRequest, as_json: bool) -> None:
    job = client.teach(request)
    screen.say(f"job {job.id}: teaching {job.name}")
    try:
        result = watch(screen, client, job)
    except KeyboardInterrupt:
        screen.say(f"It goes on. Watch it: lorebook jobs show {job.id}; end it: lorebook jobs cancel {job.id}")
        raise
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2))
    else:
        show_result(screen, result)
    if result.status in ("failed", "cancelled"):
        raise LorebookError(f"The job {result.job} {result.status}. {result.reason}".strip())


def _show_prepared(screen: Screen, prepared: Prepared, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(prepared), indent=2))
        return
    screen.write(printable(f"{prepared.job.name} is laid out in {prepared.folder}"))
    for what, command in zip(("train it:", "or:"), prepared.commands, strict=False):
        screen.write(printable(f"{what:<14}{command}"))
    screen.write(printable(f"then keep it: lorebook jobs resume {prepared.job.id}"))


def _show_preview(screen: Screen, preview: Preview, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(preview), indent=2))
        return
    for n, example in enumerate(preview.examples, start=1):
        _show_example(screen, n, example)
    total = preview.taught + preview.held_out + preview.left_out
    if total > len(preview.examples):
        screen.write(f"… and {total - len(preview.examples):,} more examples, which are not shown", style="dim")
    screen.write(
        f"{preview.taught:,} are learnt, {preview.held_out:,} kept back to measure with, {preview.left_out:,} left out"
    )
    screen.write(
        f"{preview.base}: {preview.steps} steps in {preview.epochs} passes, {preview.trained:,} numbers are learnt, "
        f"about {preview.seconds / 60:.1f} minutes and {preview.memory_mb / 1024:.1f} GB",
        style="bold",
    )


def _show_example(screen: Screen, n: int, example: PreviewExample) -> None:
    fate = f"left out, {example.left_out}" if example.left_out else "held out" if example.held_out else "learnt"
    screen.write(printable(f"{n}. {example.origin}: {example.tokens} tokens, {fate}"), style="bold")
    for segment in example.segments:
        text = segment.text.strip()
        cut = f"{text[:_SHOWN_CHARACTERS]} …" if len(text) > _SHOWN_CHARACTERS else text
        mark = "learn" if segment.learnt else "read"
        screen.write(printable(f"{mark:>7} {segment.tokens:>4}  {cut}"), style="" if segment.learnt else "dim")
