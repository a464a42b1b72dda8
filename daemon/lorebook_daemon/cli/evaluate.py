"""`lorebook eval`: how good a model is, an adapter, and the whole system."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from lorebook_api.asking import AdapterUse
from lorebook_api.evaluation import (
    BiasRequest,
    DiversityRequest,
    EvalReport,
    ExactFormat,
    ExactRequest,
    JudgeReport,
    JudgeRequest,
    McFormat,
    McReport,
    McRequest,
)
from lorebook_api.evaluations import Measuring
from lorebook_api.typed import find_model, parse_adapter
from lorebook_daemon.cli.arena import arena
from lorebook_daemon.cli.evalrag import leaderboard, questions, rag
from lorebook_daemon.cli.evalruns import RUN_COMMANDS
from lorebook_daemon.cli.measuring import data_argument, flat, followed, measured, show_remarks, show_report
from lorebook_daemon.cli.options import debug_option, examples
from lorebook_daemon.cli.reach import reach
from lorebook_daemon.cli.screen import Screen


@click.group(
    "eval",
    short_help="Measure a model, an adapter, or the answers about your files.",
    epilog=examples(
        "lorebook eval mc questions.csv --format csv",
        "lorebook eval rag questions.jsonl --root .",
        "lorebook eval compare 3f2a91c0 last --gate",
    ),
)
@debug_option
def evaluate() -> None:
    """Figures to be trusted: exact likelihoods, no prose parsed, an interval beside each mean, every run kept.

    A measurement that was interrupted goes on where it was when the same command is typed again.
    """


@evaluate.command(
    short_help="Multiple choice, by exact likelihood.",
    epilog=examples("lorebook eval mc data/test/anatomy_test.csv --format mmlu --shots 5"),
)
@data_argument
@measured
@click.option(
    "--format",
    "shape",
    type=click.Choice(get_args(McFormat)),
    default="csv",
    show_default=True,
    help="The set's shape.",
)
@click.option(
    "--shots", type=click.IntRange(0, 64), default=0, show_default=True, help="Answered questions before each."
)
def mc(
    data: Path,
    model: str,
    adapters: tuple[str, ...],
    limit: int,
    as_json: bool,
    start: bool,
    shape: McFormat,
    shots: int,
) -> None:
    """Ask the multiple-choice questions in the file DATA.

    The answer is the choice that the model finds most likely: acc by the sum of its tokens, acc_norm per character,
    acc_bytes per byte, as lm-eval defines them.
    """
    request = McRequest(str(data.absolute()), shape, shots, limit, find_model(model), _used(adapters))
    screen = Screen()
    report = followed(screen, reach(screen, start).evaluate_choices(request), McReport)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    rows = [
        ("acc", report.acc, f"± {report.stderr:.3f}"),
        ("acc_norm", report.acc_norm, ""),
        ("acc_bytes", report.acc_bytes, ""),
    ]
    screen.table(("", "", ""), [(name, f"{value:.3f}", error) for name, value, error in rows])
    told = f"{report.n} questions, {report.shots} examples before each, {report.model}, kept as {report.run}"
    screen.write(told, style="dim")
    show_remarks(screen, report.skipped, report.notices)


@evaluate.command(
    short_help="Score responses from 0 to 100.",
    epilog=examples('lorebook eval judge answers.json --response "model 1 response" --reference output'),
)
@data_argument
@measured
@click.option("--response", required=True, metavar="FIELD", help="The field that holds the response.")
@click.option(
    "--reference", default="", metavar="FIELD", help="The field that holds the right answer, where there is one."
)
@click.option("--rubric", default="", metavar="TEXT", help="What is to count, in a sentence.")
@click.option("--human", default="", metavar="FIELD", help="The field with another's score, to compare with.")
def judge(
    data: Path,
    model: str,
    adapters: tuple[str, ...],
    limit: int,
    as_json: bool,
    start: bool,
    response: str,
    reference: str,
    rubric: str,
    human: str,
) -> None:
    """Have the model score the responses in the file DATA; every row gets a number.

    Nothing that the model writes is parsed: the score is computed from how likely it finds what it might say.
    """
    request = JudgeRequest(
        str(data.absolute()), response, reference, rubric, limit, find_model(model), _used(adapters), human=human
    )
    _judged(request, as_json, start)


@evaluate.command(
    short_help="How toxic responses are, from 0 to 100.",
    epilog=examples("lorebook eval toxicity answers.json --response output"),
)
@data_argument
@measured
@click.option("--response", required=True, metavar="FIELD", help="The field that holds the response.")
def toxicity(
    data: Path, model: str, adapters: tuple[str, ...], limit: int, as_json: bool, start: bool, response: str
) -> None:
    """Have the model say how hateful, insulting, threatening or obscene the responses in the file DATA are."""
    path, named = str(data.absolute()), find_model(model)
    request = JudgeRequest(path, response, "", "", limit, named, _used(adapters), measure="toxicity")
    _judged(request, as_json, start)


def _judged(request: JudgeRequest, as_json: bool, start: bool) -> None:
    screen = Screen()
    report = followed(screen, reach(screen, start).judge(request), JudgeReport)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    screen.write(f"mean {report.mean:.1f} ± {report.stderr:.1f}")
    if report.agreement is not None:
        told = (f"{name} {value:.2f}" for name, value in asdict(report.agreement).items() if value is not None)
        screen.write(f"with {request.human!r}: {', '.join(told)}")
    missing = f"{report.n} responses, {report.missing} without a score"
    screen.write(f"{missing}, {report.model}, kept as {report.run}", style="dim")
    show_remarks(screen, report.skipped, report.notices)


@evaluate.command(
    short_help="Right or wrong: numbers, texts, programs with tests.",
    epilog=examples(
        "lorebook eval exact gsm8k.jsonl --format gsm8k --limit 50",
        "lorebook eval exact answers.csv --format text --response said",
        "lorebook eval exact humaneval.jsonl --format code",
    ),
)
@data_argument
@measured
@click.option(
    "--format",
    "shape",
    type=click.Choice(get_args(ExactFormat)),
    default="text",
    show_default=True,
    help="What counts as right.",
)
@click.option(
    "--response", default="", metavar="FIELD", help="The field with the answers; without it the model answers."
)
@click.option("--max-tokens", type=click.IntRange(1, 4096), default=512, show_default=True, help="Of an answer.")
def exact(
    data: Path,
    model: str,
    adapters: tuple[str, ...],
    limit: int,
    as_json: bool,
    start: bool,
    shape: ExactFormat,
    response: str,
    max_tokens: int,
) -> None:
    """Ask the questions in the file DATA and compare the answers with the right ones.

    Programs run in a child process that may neither write files, nor reach a network, nor start others, for ten
    seconds and in one gigabyte; what tries scores nothing and is listed.
    """
    path, named = str(data.absolute()), find_model(model)
    _shown(ExactRequest(path, shape, response, max_tokens, limit, named, _used(adapters)), as_json, start)


@evaluate.command(
    short_help="How different several answers to one prompt are.",
    epilog=examples("lorebook eval diversity prompts.jsonl --samples 5 --temperature 0.8"),
)
@data_argument
@measured
@click.option("--samples", type=click.IntRange(2, 32), default=5, show_default=True, help="Answers to each prompt.")
@click.option("--temperature", type=click.FloatRange(0, 100), default=0.8, show_default=True, help="Of the sampling.")
@click.option("--max-tokens", type=click.IntRange(1, 4096), default=128, show_default=True, help="Of an answer.")
def diversity(
    data: Path,
    model: str,
    adapters: tuple[str, ...],
    limit: int,
    as_json: bool,
    start: bool,
    samples: int,
    temperature: float,
    max_tokens: int,
) -> None:
    """Answer each prompt in the file DATA several times: distinct words, self-BLEU, spread of meaning, repetition."""
    path, named = str(data.absolute()), find_model(model)
    request = DiversityRequest(path, samples, temperature, max_tokens, limit, named, _used(adapters))
    _shown(request, as_json, start)


@evaluate.command(
    short_help="Which stereotypes the model finds likely.",
    epilog=examples("lorebook eval bias crows_pairs_anonymized.csv"),
)
@data_argument
@measured
def bias(data: Path, model: str, adapters: tuple[str, ...], limit: int, as_json: bool, start: bool) -> None:
    """Compare the two sentences of each row of DATA (columns sent_more, sent_less, bias_type) by their likelihood."""
    _shown(BiasRequest(str(data.absolute()), limit, find_model(model), _used(adapters)), as_json, start)


def _used(adapters: tuple[str, ...]) -> tuple[AdapterUse, ...]:
    return tuple(parse_adapter(adapter) for adapter in adapters)


def _shown(request: Measuring, as_json: bool, start: bool) -> None:
    screen = Screen()
    report = followed(screen, reach(screen, start).measure(request), EvalReport)
    if as_json:
        click.echo(json.dumps(flat(report), indent=2))
    else:
        show_report(screen, report)


for command in (rag, leaderboard, questions, arena, *RUN_COMMANDS):
    evaluate.add_command(command)
