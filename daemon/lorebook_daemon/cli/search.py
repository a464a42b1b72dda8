"""`lorebook search`: ranked passages."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from lorebook_api.retrieval import Filters, Rerank, Rewrite, SearchRequest
from lorebook_api.typed import find_roots
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
from lorebook_daemon.cli.passages import list_passages
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen


@click.command(
    short_help="Find passages.",
    epilog=examples(
        'lorebook search "read_csv with a date column"',
        "lorebook search drop null rows --kind notebook -k 3",
        "lorebook search fare --path src/ --path '!src/old/' --since 7d",
        "lorebook search parse_config --root ~/taxi --json | jq -r '.results[].path'",
    ),
)
@click.argument("query", nargs=-1, required=True)
@roots_option
@k_option(10)
@filter_options
@rerank_option("none")
@rewrite_option("none")
@json_option
@daemon_option
def search(
    query: tuple[str, ...],
    roots: tuple[str, ...],
    k: int,
    filters: Filters,
    rerank: Rerank,
    rewrite: Rewrite,
    as_json: bool,
    start: bool,
) -> None:
    """List the passages that fit QUERY best, by words and by meaning, best first."""
    words = " ".join(query).strip()
    if not words:
        raise click.BadParameter("the query is empty.", param_hint="QUERY")
    request = SearchRequest(words, find_roots(roots), k, None, rerank, rewrite, filters)
    screen = Screen()
    client = reach(screen, start)
    with screen.err.status("searching; a folder that is new is indexed first"):
        response = client.search(request)
    if as_json:
        click.echo(json.dumps(asdict(response), indent=2))
        return
    list_passages(screen, response, request.roots, "Nothing found.")
    count = "1 passage" if len(response.results) == 1 else f"{len(response.results)} passages"
    screen.write(f"{count}, {response.took_ms:.0f} ms, {response.retrieval} search", style="dim")
