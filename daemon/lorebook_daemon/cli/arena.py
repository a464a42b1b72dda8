"""`lorebook eval arena`: two configurations answer one question, you vote without knowing who is who."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from lorebook_api.arena import (
    ArenaJudged,
    ArenaJudgeRequest,
    Battle,
    BattleRequest,
    Standings,
    VoteRequest,
    Winner,
)
from lorebook_api.client import Client
from lorebook_api.errors import BadRequest, StorageFailed
from lorebook_api.sides import AXES, parse_side
from lorebook_api.typed import find_model
from lorebook_daemon.cli.measuring import followed, show_remarks, spelled
from lorebook_daemon.cli.options import daemon_option, debug_option, examples, json_option
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen, printable

F = TypeVar("F", bound=Callable[..., Any])

_VOTES: dict[str, Winner] = {"a": "a", "b": "b", "t": "tie", "x": "both bad"}


def _sides(command: F) -> F:
    for option in (
        click.option("--a", "first", default="auto", metavar="SIDE", help="A model, or NAME=VALUE,... Default: auto."),
        click.option("--b", "second", required=True, metavar="SIDE", help=f"The other. Names: {', '.join(AXES)}."),
        click.option(
            "--max-tokens", type=click.IntRange(1, 4096), default=320, show_default=True, help="Of an answer."
        ),
    )[::-1]:
        command = option(command)
    return command


@click.group(
    short_help="Blind votes between two configurations.",
    epilog=examples(
        "lorebook eval arena play prompts.jsonl --b adapter=lab-notes",
        "lorebook eval arena play prompts.jsonl --a root=. --b root=.,k=12,rerank=judge",
        "lorebook eval arena judge prompts.jsonl --a qwen2.5-coder-0.5b-instruct-q4_k_m --b auto",
        "lorebook eval arena standings",
    ),
)
@debug_option
def arena() -> None:
    """Two configurations answer one question, and you say which answer is better without knowing whose it is.

    Votes are kept: they become ratings, and pairs for `lorebook teach --method dpo`.
    """


@arena.command(short_help="Vote.", epilog=examples("lorebook eval arena play --b adapter=lab-notes"))
@click.argument("data", type=click.Path(path_type=Path), required=False)
@_sides
@daemon_option
def play(data: Path | None, first: str, second: str, max_tokens: int, start: bool) -> None:
    """Answer the prompts in the file DATA, or those that you type, by both sides, and vote: a, b, t(ie), x (both bad).

    An empty line ends it.
    """
    screen = Screen()
    client = reach(screen, start)
    sides = (parse_side(first), parse_side(second))
    for question in _prompts(data):
        found = followed(screen, client.fight(BattleRequest(question, sides, max_tokens)), Battle)
        for letter, answer in (("A", found.a), ("B", found.b)):
            screen.write(letter, style="bold")
            screen.write_prose(printable(answer) + "\n")
        if not _vote(screen, client, found.id):
            break
    _show(screen, client.standings())


def _prompts(data: Path | None) -> Iterator[str]:
    if data is not None:
        yield from _questions(data)
        return
    while question := click.prompt("question", default="", show_default=False, err=True).strip():
        yield question


def _questions(data: Path) -> Iterator[str]:
    """Yield the prompts of a JSON or JSON Lines file, or the lines of any other."""
    try:
        text = data.read_text(encoding="utf-8-sig")
        rows = json.loads(text) if data.suffix == ".json" else list(map(_row, text.split("\n")))
        for row in rows:
            name = next((name for name in ("instruction", "question", "prompt") if name in row), "")
            if name and str(row[name]).strip():
                yield "\n".join(filter(None, (str(row[name]), str(row.get("input") or ""))))
    except (OSError, ValueError, TypeError) as error:
        raise BadRequest(f"{data} holds no prompts ({error}).", "It takes .jsonl, .json, or a line each.") from None


def _row(line: str) -> dict[str, Any]:
    stripped = line.strip()
    return cast(dict[str, Any], json.loads(stripped)) if stripped.startswith("{") else {"question": stripped}


def _vote(screen: Screen, client: Client, battle: str) -> bool:
    """Take a vote; return whether there was one."""
    keys = click.Choice([*_VOTES, "q"])
    key = click.prompt("better", type=keys, default="q", show_default=False, err=True)
    if key == "q":
        return False
    told = client.vote(VoteRequest(battle, _VOTES[key]))
    screen.write(printable(f"A was {told.a}, B was {told.b}.\n"), style="dim")
    return True


@arena.command(
    "judge",
    short_help="Let a model vote.",
    epilog=examples("lorebook eval arena judge prompts.jsonl --b adapter=lab-notes"),
)
@click.argument("data", type=click.Path(path_type=Path))
@_sides
@click.option("--model", default="auto", metavar="NAME|PATH", help="The judge; default: the model that answers.")
@click.option("--limit", type=click.IntRange(0), default=0, help="No more than so many rows; 0 is all.")
@json_option
@daemon_option
def judge_arena(
    data: Path, first: str, second: str, max_tokens: int, model: str, limit: int, as_json: bool, start: bool
) -> None:
    """Have both sides answer the prompts in the file DATA, and a model vote in both orders; who turns has no vote.

    Interrupted, the same command goes on where it was: nothing is answered or voted on twice.
    """
    screen = Screen()
    client = reach(screen, start)
    sides = (parse_side(first), parse_side(second))
    request = ArenaJudgeRequest(str(data.absolute()), sides, find_model(model), max_tokens, limit)
    found = followed(screen, client.judge_arena(request), ArenaJudged)
    told = client.standings()
    if as_json:
        click.echo(json.dumps({**asdict(found), "standings": asdict(told)}, indent=2))
        return
    turned = f"{found.inconsistent} of {found.votes} votes turned with the order"
    screen.write(f"{turned}; {100 * found.first_shown:.0f}% went to the answer shown first")
    screen.write(f"{found.votes} votes, kept as {found.run}", style="dim")
    show_remarks(screen, found.skipped, found.notices)
    _show(screen, told)


@arena.command(short_help="Show the ratings.", epilog=examples("lorebook eval arena standings"))
@json_option
@daemon_option
def standings(as_json: bool, start: bool) -> None:
    """Show what all votes say: Elo, and Bradley–Terry with its interval, with and without what style explains."""
    screen = Screen()
    found = reach(screen, start).standings()
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        _show(screen, found)


def _show(screen: Screen, found: Standings) -> None:
    rows = [
        (
            one.name,
            f"{one.strength.value:.0f} ({one.strength.low:.0f} to {one.strength.high:.0f})",
            f"{one.styled.value:.0f}" if one.styled else "",
            f"{one.elo:.0f}",
            f"{one.wins}/{one.losses}/{one.ties}",
        )
        for one in found.sides
    ]
    if rows:
        screen.table(("", "Bradley–Terry", "without style", "Elo", "won/lost/tied"), rows)
    for trait, points in found.style.items():
        screen.write(f"{trait}: {spelled(points)} points a standard deviation", style="dim")
    show_remarks(screen, (), found.notices)


@arena.command(
    short_help="Write your votes as pairs to learn from.",
    epilog=examples("lorebook eval arena export votes.jsonl", "lorebook teach --data votes.jsonl --method dpo"),
)
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@daemon_option
def export(out: Path, start: bool) -> None:
    """Write your own votes with a winner to the file OUT: instruction, chosen, rejected, a line of JSON each."""
    screen = Screen()
    pairs = reach(screen, start).preferences()
    try:
        out.write_text("".join(json.dumps(asdict(pair)) + "\n" for pair in pairs), encoding="utf-8")
    except OSError as error:
        raise StorageFailed(f"{out} cannot be written ({error.strerror}).", "Name another file.") from error
    screen.write(f"{len(pairs)} pairs. Teach them: lorebook teach --data {out} --method dpo")


@arena.command(short_help="Forget all votes.", epilog=examples("lorebook eval arena clear"))
@daemon_option
def clear(start: bool) -> None:
    """Forget all battles and votes, and what a judge has begun of them."""
    screen = Screen()
    screen.write(f"forgot {reach(screen, start).forget_votes()} battles")
