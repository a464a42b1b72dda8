"""`lorebook ask`: a grounded answer, streamed, then its citations."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

import click

from lorebook_api.asking import Answer, AskRequest
from lorebook_api.client import Client, TokenText, new_request_id
from lorebook_api.errors import DaemonUnavailable, LorebookError
from lorebook_api.indexing import Progress
from lorebook_api.retrieval import Filters, Rerank, Rewrite
from lorebook_api.typed import MAX_TOKENS_MOST, find_model, find_roots, parse_adapter
from lorebook_daemon.cli.answer import StreamedText, show_answer
from lorebook_daemon.cli.options import (
    daemon_option,
    examples,
    filter_options,
    json_option,
    k_option,
    rerank_option,
    rewrite_option,
    roots_option,
)
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Bars, Screen


@click.command(
    short_help="Ask about notebooks and code.",
    epilog=examples(
        'lorebook ask "which cell drops the null rows?"',
        'lorebook ask "how is the fare computed?" --root ~/taxi --root ~/notes -k 8',
        'lorebook ask "why are rows dropped?" --kind notebook --since 7d',
        'lorebook ask "what is a p-value?" --no-grounding',
        'lorebook ask "which columns are dropped?" --json | jq .citations',
    ),
)
@click.argument("question", nargs=-1, required=True)
@roots_option
@click.option(
    "--model", default="auto", show_default=True, metavar="NAME|PATH", help="A name of `models list`, or a GGUF."
)
@click.option("--adapter", "adapters", multiple=True, metavar="NAME[:SCALE]", help="LoRA adapter; may be repeated.")
@k_option(6)
@filter_options
@click.option(
    "--max-tokens",
    type=click.IntRange(1, MAX_TOKENS_MOST),
    default=320,
    show_default=True,
    help="The answer's length at the most.",
)
@rerank_option("none")
@rewrite_option("follow-up")
@click.option("--no-grounding", is_flag=True, help="Ask the model alone: nothing is looked up or checked.")
@json_option
@daemon_option
def ask(
    question: tuple[str, ...],
    roots: tuple[str, ...],
    model: str,
    adapters: tuple[str, ...],
    k: int,
    filters: Filters,
    max_tokens: int,
    rerank: Rerank,
    rewrite: Rewrite,
    no_grounding: bool,
    as_json: bool,
    start: bool,
) -> None:
    """Answer QUESTION from the files below the current folder, or below each --root.

    Each sentence is checked against the lines it rests on, and those lines are shown. Where no file holds
    the answer, it says so and lists the nearest passages. Cells of a notebook count from 0.
    """
    words = " ".join(question).strip()
    if not words:
        raise click.BadParameter("the question is empty.", param_hint="QUESTION")
    request = AskRequest(
        question=words,
        roots=() if no_grounding else find_roots(roots),
        model=find_model(model),
        adapters=tuple(parse_adapter(adapter) for adapter in adapters),
        k=k,
        max_tokens=max_tokens,
        grounding=not no_grounding,
        request_id=new_request_id(),
        rerank=rerank,
        rewrite=rewrite,
        filters=filters,
    )
    screen = Screen()
    client = reach(screen, start)
    try:
        answer = _follow(screen, client, request, quiet=as_json)
    except KeyboardInterrupt:
        _take_back(screen, client, request.request_id)
        raise
    if as_json:
        click.echo(json.dumps(asdict(answer), indent=2))
    else:
        show_answer(screen, answer, request)


def _follow(screen: Screen, client: Client, request: AskRequest, quiet: bool) -> Answer:
    """Show what happens to the question until its answer is there."""
    with Bars(screen) as bars, StreamedText(screen) as text, closing(client.ask(request)) as events:
        for event in events:
            match event:
                case Progress():
                    bars.show(event)
                case TokenText() if not quiet:
                    bars.hide()
                    text.add(event.text)
                case Answer():
                    return event
                case _:
                    pass  # the sources come again with the answer
    raise DaemonUnavailable("the daemon sent no answer.", "See `lorebook logs`.")


def _take_back(screen: Screen, client: Client, request_id: str) -> None:
    try:
        client.cancel(request_id)
    except LorebookError as error:
        screen.say(f"stopped here; the daemon was not told: {error}")
    else:
        screen.say("stopped")
