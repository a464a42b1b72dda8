"""`lorebook eval rag`, `leaderboard`, `questions`: the whole system on a person's own questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import click

from lorebook_api.errors import BadRequest, StorageFailed
from lorebook_api.evaluation import EvalReport, Proposal, QuestionsRequest, RagRequest
from lorebook_api.retrieval import Rerank, Rewrite
from lorebook_api.splitting import parse_splitting
from lorebook_api.typed import find_model, find_roots, parse_adapter
from lorebook_daemon.cli.measuring import (
    Options,
    counted,
    file_argument,
    flat,
    followed,
    left_out,
    measure_and_show,
    measured,
    show_lines,
    spelled,
)
from lorebook_daemon.cli.options import (
    daemon_option,
    examples,
    json_option,
    k_option,
    rerank_option,
    rewrite_option,
    roots_option,
)
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen, printable

_SHOWN = ("right", "groundedness", "answer_relevance", "context_relevance", "ndcg10", "abstained_right", "latency_ms")
"""Figures of a leaderboard, in this order."""

_AXES: dict[str, Callable[[RagRequest, str], RagRequest]] = {
    "k": lambda request, value: replace(request, k=_whole("k", value)),
    "rerank": lambda request, value: replace(request, rerank=_one_of("rerank", value, get_args(Rerank))),  # type: ignore[arg-type]
    "rewrite": lambda request, value: replace(request, rewrite=_one_of("rewrite", value, get_args(Rewrite))),  # type: ignore[arg-type]
    "steps": lambda request, value: replace(request, context_steps=value.replace("+", ",")),
    "splitter": lambda request, value: replace(request, splitter=_splitter(value)),
    "model": lambda request, value: replace(request, model=find_model(value)),
    "adapter": lambda request, value: replace(request, adapters=tuple(map(parse_adapter, value.split("+")))),
    "max-tokens": lambda request, value: replace(request, max_tokens=_whole("max-tokens", value)),
}
"""What a configuration of the leaderboard may set."""


@click.command(
    short_help="Questions about your files, from search to answer.",
    epilog=examples("lorebook eval rag questions.jsonl --root . --limit 20"),
)
@file_argument("questions")
@roots_option
@k_option(6)
@rerank_option("none")
@rewrite_option("none")
@click.option(
    "--steps", default="default", show_default=True, metavar="NAMES", help="Steps from passages to context: a,b,c."
)
@measured
def rag(
    questions: Path,
    roots: tuple[str, ...],
    k: int,
    rerank: Rerank,
    rewrite: Rewrite,
    steps: str,
    options: Options,
) -> None:
    """Ask the questions in the file QUESTIONS about the folders: what is found, what is answered, what that costs.

    Each row holds a `question`; where known also `answerable`, `answer` (a list of spellings of the fact), and the
    place of the right passage: `path`, `start_line`, `end_line`, `cell_index`. `lorebook eval questions` proposes such
    a file.
    """
    default = _default(questions, roots, options)
    measure_and_show(replace(default, k=k, rerank=rerank, rewrite=rewrite, context_steps=steps), options)


@click.command(
    short_help="Configurations side by side on your own questions.",
    epilog=examples(
        "lorebook eval leaderboard questions.jsonl --root . --with k=3 --with k=6,rerank=judge",
        "lorebook eval leaderboard questions.jsonl --with splitter=structure:500 --with splitter=lines",
        "lorebook eval leaderboard questions.jsonl --with steps=copies+merging+window --with adapter=lab-notes",
    ),
)
@file_argument("questions")
@roots_option
@click.option(
    "--with",
    "configurations",
    multiple=True,
    metavar="NAME=VALUE,...",
    help="A configuration to try beside the default; may be repeated. "
    f"Names: {', '.join(_AXES)}; several steps or adapters with + between them.",
)
@click.option(
    "--by", metavar="FIGURE", help=f"What the best is best in; default: the first known of {', '.join(_SHOWN)}."
)
@click.option("--anew", is_flag=True, help="Measure again what was measured before in the very same way.")
@measured
def leaderboard(
    questions: Path,
    roots: tuple[str, ...],
    configurations: tuple[str, ...],
    by: str | None,
    anew: bool,
    options: Options,
) -> None:
    """Measure the default configuration and each one named on the questions in the file QUESTIONS, the best first.

    Each is kept as a run of its own: `lorebook eval compare` tells which differences are beyond chance. One that was
    finished before over the same files and questions, with the same versions, is not measured again.
    """
    default = replace(_default(questions, roots, options), reuse=not anew)
    tried = {"default": default, **{typed: configured(default, typed) for typed in configurations}}
    screen = Screen()
    client = reach(screen, options.start)
    reports: dict[str, EvalReport] = {}
    for name, request in tried.items():
        screen.say(f"measuring {name}")
        reports[name] = followed(screen, client.measure(request), EvalReport)
    by = by or next(figure for figure in _SHOWN if any(figure in report.figures for report in reports.values()))
    order = ranked(reports, by)
    if options.as_json:
        rows = [{"configuration": name, **flat(reports[name])} for name in order]
        click.echo(json.dumps({"by": by, "leaderboard": rows}, indent=2))
    else:
        _show_leaderboard(screen, order, reports, by)


def _default(questions: Path, roots: tuple[str, ...], options: Options) -> RagRequest:
    """Return the request for the product as it is."""
    path, limit = str(questions.absolute()), options.limit
    return RagRequest(path, find_roots(roots), limit=limit, model=options.model, adapters=options.adapters)


def configured(default: RagRequest, typed: str) -> RagRequest:
    """Return the request with what was typed as `NAME=VALUE,...`; raises BadRequest."""
    request = default
    for part in typed.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or not value or name not in _AXES:
            raise BadRequest(f"{part!r} sets nothing.", f"Type NAME=VALUE, with a name of: {', '.join(_AXES)}.")
        request = _AXES[name](request, value)
    return request


def _whole(name: str, value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 32_768:
        raise BadRequest(f"{name} is {value!r}; it takes a whole number from 1 on.")
    return int(value)


def _splitter(value: str) -> str:
    parse_splitting(value)
    return value


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise BadRequest(f"{name} is {value!r}; it takes {', '.join(choices)}.")
    return value


def ranked(reports: Mapping[str, EvalReport], by: str) -> list[str]:
    """Return the configurations, the best in a figure first and those without it last; of a cost less is better.

    Raises BadRequest where none has the figure.
    """
    from lorebook_daemon.evaluate.metrics import better  # brings numpy, which no other command waits for

    known = {name: report.figures[by].value for name, report in reports.items() if by in report.figures}
    if not known:
        there_are = ", ".join(dict.fromkeys(figure for report in reports.values() for figure in report.figures))
        hint = f"There are: {there_are}. The runs are kept: lorebook eval list"
        raise BadRequest(f"There is no figure {by!r}.", hint)
    sign = -1 if better(by) == "higher" else 1
    return [*sorted(known, key=lambda name: sign * known[name]), *(name for name in reports if name not in known)]


def _show_leaderboard(screen: Screen, order: list[str], reports: Mapping[str, EvalReport], by: str) -> None:
    known = dict.fromkeys((*_SHOWN, by))
    shown = [name for name in known if any(name in report.figures for report in reports.values())]
    rows = [(reports[name].run, name, *(_cell(reports[name], figure) for figure in shown)) for name in order]
    screen.table(("run", "configuration", *shown), rows)
    show_lines(screen, _each_once({name: left_out(reports[name].skipped) for name in order}))
    show_lines(screen, _each_once({name: reports[name].notices for name in order}))


def _each_once(told: Mapping[str, Sequence[str]]) -> list[str]:
    """Return each line once, behind the configurations that it is about where it is not about all of them."""
    about: dict[str, list[str]] = {}
    for name, lines in told.items():
        for line in dict.fromkeys(lines):
            about.setdefault(line, []).append(name)
    return [line if len(names) == len(told) else f"{'; '.join(names)}: {line}" for line, names in about.items()]


def _cell(report: EvalReport, name: str) -> str:
    figure = report.figures.get(name)
    return f"{spelled(figure.value)} ({spelled(figure.low)} to {spelled(figure.high)})" if figure else ""


@click.command(
    short_help="Propose questions about your files.",
    epilog=examples("lorebook eval questions --root . -n 20 --out questions.jsonl"),
)
@roots_option
@click.option("-n", "count", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another number, other passages.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write them to this file; default: stdout."
)
@click.option("--model", default="auto", metavar="NAME|PATH", help="The model; default: the one that answers.")
@json_option
@daemon_option
def questions(
    roots: tuple[str, ...], count: int, seed: int, out: Path | None, model: str, as_json: bool, start: bool
) -> None:
    """Have the model write questions that passages of your files answer, a line of JSON each, for `lorebook eval rag`.

    Each is checked against its passage. Read them before you trust what they measure, and add some that nothing
    answers, with "answerable": false.
    """
    screen = Screen()
    request = QuestionsRequest(find_roots(roots), count, seed, find_model(model))
    found = followed(screen, reach(screen, start).propose_questions(request), Proposal)
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in found.questions)
    if out is not None:
        try:
            out.write_text(lines, encoding="utf-8")
        except OSError as error:
            raise StorageFailed(f"{out} cannot be written ({error.strerror}).", "Name another file.") from error
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    elif out is None:
        click.echo(lines, nl=False)
    written, read = counted(len(found.questions), "question"), counted(found.passages, "passage")
    screen.say(f"{written} from {read}, {printable(found.model)}")
    if len(found.questions) < count:
        screen.say("What it wrote beside was not answered by its passage. More: another --seed, or a larger --model.")
