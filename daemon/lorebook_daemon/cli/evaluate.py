"""`lorebook eval`: how good a model is, an adapter, and the whole system."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from lorebook_api.evaluation import (
    BiasRequest,
    DiversityRequest,
    ExactFormat,
    ExactRequest,
    JudgeReport,
    JudgeRequest,
    McFormat,
    McReport,
    McRequest,
)
from lorebook_api.typed import find_scores
from lorebook_daemon.cli.arena import arena
from lorebook_daemon.cli.evalrag import leaderboard, questions, rag
from lorebook_daemon.cli.evalruns import RUN_COMMANDS
from lorebook_daemon.cli.measuring import (
    Options,
    counted,
    file_argument,
    followed,
    measure_and_show,
    measured,
    show_remarks,
    spelled,
)
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
@file_argument("data")
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
    options: Options,
    shape: McFormat,
    shots: int,
) -> None:
    """Ask the multiple-choice questions in the file DATA.

    The answer is the choice that the model finds most likely: acc by the sum of its tokens, acc_norm per character,
    acc_bytes per byte, as lm-eval defines them.
    """
    request = McRequest(str(data.absolute()), shape, shots, options.limit, options.model, options.adapters)
    screen = Screen()
    report = followed(screen, reach(screen, options.start).evaluate_choices(request), McReport)
    if options.as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    rows = [
        ("acc", report.acc, f"± {report.stderr:.3f}"),
        ("acc_norm", report.acc_norm, f"± {report.stderr_norm:.3f}"),
        ("acc_bytes", report.acc_bytes, f"± {report.stderr_bytes:.3f}"),
    ]
    screen.table(("", "", ""), [(name, f"{value:.3f}", error) for name, value, error in rows])
    told = f"{counted(report.n, 'question')}, {counted(report.shots, 'example')} before each"
    screen.write(f"{told}, {report.model}, kept as {report.run}", style="dim")
    show_remarks(screen, report.skipped, report.notices)


@evaluate.command(
    short_help="Score responses from 0 to 100.",
    epilog=examples('lorebook eval judge answers.json --response "model 1 response" --reference output'),
)
@file_argument("data")
@measured
@click.option("--response", required=True, metavar="FIELD", help="The field that holds the response.")
@click.option(
    "--reference", default="", metavar="FIELD", help="The field that holds the right answer, where there is one."
)
@click.option("--rubric", default="", metavar="TEXT", help="What is to count, in a sentence.")
@click.option(
    "--human",
    default="",
    metavar="FIELD|FILE[:FIELD]",
    help="The field with another's score to compare with, in DATA or in a file with a score a row.",
)
def judge(
    data: Path,
    options: Options,
    response: str,
    reference: str,
    rubric: str,
    human: str,
) -> None:
    """Have the model score the responses in the file DATA; every row gets a number.

    Nothing that the model writes is parsed: the score is computed from how likely it finds what it might say.
    """
    path, limit = str(data.absolute()), options.limit
    scores, field = find_scores(human)
    request = JudgeRequest(
        path, response, reference, rubric, limit, options.model, options.adapters, human=field, human_path=scores
    )
    _judged(request, options, human)


@evaluate.command(
    short_help="How toxic responses are, from 0 to 100.",
    epilog=examples("lorebook eval toxicity answers.json --response output"),
)
@file_argument("data")
@measured
@click.option("--response", required=True, metavar="FIELD", help="The field that holds the response.")
def toxicity(data: Path, options: Options, response: str) -> None:
    """Have the model say how hateful, insulting, threatening or obscene the responses in the file DATA are."""
    path, limit = str(data.absolute()), options.limit
    request = JudgeRequest(path, response, "", "", limit, options.model, options.adapters, measure="toxicity")
    _judged(request, options)


def _judged(request: JudgeRequest, options: Options, human: str = "") -> None:
    screen = Screen()
    report = followed(screen, reach(screen, options.start).judge(request), JudgeReport)
    if options.as_json:
        click.echo(json.dumps(asdict(report), indent=2))
        return
    screen.write(f"mean {report.mean:.1f} ± {report.stderr:.1f}")
    if report.agreement is not None:
        told = (f"{name} {spelled(value)}" for name, value in asdict(report.agreement).items() if value is not None)
        screen.write(f"with {human!r}: {', '.join(told)}")
    if report.length is not None:
        screen.write(f"score and length of the response: {report.length:.2f} (Spearman)")
    missing = f"{counted(report.n, 'response')}, {report.missing} without a score"
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
@file_argument("data")
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
    options: Options,
    shape: ExactFormat,
    response: str,
    max_tokens: int,
) -> None:
    """Ask the questions in the file DATA and compare the answers with the right ones.

    Programs run in a child process that may neither write files, nor reach a network, nor start others, for ten
    seconds and in one gigabyte; what tries scores nothing and is listed.
    """
    path, limit = str(data.absolute()), options.limit
    request = ExactRequest(path, shape, response, max_tokens, limit, options.model, options.adapters)
    measure_and_show(request, options)


@evaluate.command(
    short_help="How different several answers to one prompt are.",
    epilog=examples("lorebook eval diversity prompts.jsonl --samples 5 --temperature 0.8"),
)
@file_argument("data")
@measured
@click.option("--samples", type=click.IntRange(2, 32), default=5, show_default=True, help="Answers to each prompt.")
@click.option("--temperature", type=click.FloatRange(0, 100), default=0.8, show_default=True, help="Of the sampling.")
@click.option("--max-tokens", type=click.IntRange(1, 4096), default=128, show_default=True, help="Of an answer.")
def diversity(
    data: Path,
    options: Options,
    samples: int,
    temperature: float,
    max_tokens: int,
) -> None:
    """Answer each prompt in the file DATA several times: distinct words, self-BLEU, spread of meaning, repetition."""
    path, limit = str(data.absolute()), options.limit
    request = DiversityRequest(path, samples, temperature, max_tokens, limit, options.model, options.adapters)
    measure_and_show(request, options)


@evaluate.command(
    short_help="Which stereotypes the model finds likely.",
    epilog=examples("lorebook eval bias crows_pairs_anonymized.csv"),
)
@file_argument("data")
@measured
def bias(data: Path, options: Options) -> None:
    """Compare the two sentences of each row of DATA (columns sent_more, sent_less, bias_type) by their likelihood."""
    request = BiasRequest(str(data.absolute()), options.limit, options.model, options.adapters)
    measure_and_show(request, options)


for command in (rag, leaderboard, questions, arena, *RUN_COMMANDS):
    evaluate.add_command(command)
