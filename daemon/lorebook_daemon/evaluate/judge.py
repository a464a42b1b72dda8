"""The judge: a score from 0 to 100 for a response, always a number.

Nothing is drawn and nothing parsed. The score is the expected value over the numbers 0 to 100, each as likely as the
model finds its digits after the prompt. So it is never missing, and tells apart what one drawn number would round
together (cf. G-Eval, Liu et al., EMNLP 2023, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lorebook_api.errors import BadRequest, TooLong
from lorebook_api.evaluation import JudgeRequest, Skipped
from lorebook_api.schema import AdapterUse
from lorebook_daemon.engine.protocol import Continued, Engine, Message, Priority, Prompt, Turn
from lorebook_daemon.evaluate.pool import Report, pooled
from lorebook_daemon.evaluate.rows import Row, Unusable

TURN = Turn(Priority.eval)

_NUMBERS = tuple(str(number) for number in range(101))

_TASK = "Given the input `{question}`"
_REFERENCE = " and the correct output `{reference}`"
_SCORE = (
    ", score the response `{response}` on a scale from 0 to 100, where 100 is the best score.{rubric} "
    "Respond with the number only."
)
_QUESTIONS = ("instruction", "question", "prompt")


@dataclass(frozen=True)
class Judged:
    """What is to be judged: where it stands, the question, the response, and the right answer where it is known."""

    row: int
    question: str
    response: str
    reference: str | None
    rubric: str

    def prompt(self) -> Prompt:
        """Return what the judge is asked."""
        rubric = f" {self.rubric.strip()}" if self.rubric.strip() else ""
        asked = _TASK.format(question=self.question)
        if self.reference is not None:
            asked += _REFERENCE.format(reference=self.reference)
        asked += _SCORE.format(response=self.response, rubric=rubric)
        return Prompt((Message("user", asked),))


def read_judged(rows: Sequence[Row], request: JudgeRequest) -> tuple[list[Judged], list[Skipped]]:
    """Return what the rows hold, and which cannot be used; raises BadRequest where none can."""
    judged, skipped = list[Judged](), list[Skipped]()
    for row in rows[: request.limit or None]:
        try:
            reference = row.text(request.reference) if request.reference else None
            judged.append(Judged(row.number, _question(row), row.text(request.response), reference, request.rubric))
        except Unusable as why:
            skipped.append(Skipped(row.number, str(why)))
    if not judged:
        names = ", ".join(map(str, rows[0].fields))
        raise BadRequest(f"no row can be judged: {skipped[0].why}.", f"The first row has the fields {names}.")
    return judged, skipped


def _question(row: Row) -> str:
    name = next((name for name in _QUESTIONS if name in row.fields), _QUESTIONS[0])
    given = row.fields.get("input")
    return row.text(name) + (f"\n{given}" if isinstance(given, str) and given else "")


async def judge(
    judged: Sequence[Judged], engine: Engine, adapters: tuple[AdapterUse, ...], report: Report
) -> tuple[list[float], list[Skipped]]:
    """Return a score for each response that fits the model's context, in order, and which do not."""

    async def one(item: Judged) -> float:
        return expected(await engine.continuations(item.prompt(), _NUMBERS, adapters, TURN))

    found = await pooled(one, judged, "judging", report)
    skipped = [
        Skipped(item.row, str(why))
        for item, why in zip(judged, found, strict=True)
        if isinstance(why, BadRequest | TooLong)
    ]
    return [score for score in found if isinstance(score, float)], skipped


def expected(numbers: Sequence[Continued]) -> float:
    """Return the expected value over 0 to 100, from how likely each number's digits are.

    Where a number's digits are tokens of their own, "8" is also how "85" begins: what goes on is taken off.
    """
    logprobs = [number.logprob for number in numbers]
    most = max(logprobs)
    begun = [math.exp(logprob - most) for logprob in logprobs]
    ended = list(begun)
    for value, number in enumerate(numbers):
        if value >= 10 and number.tokens > numbers[value // 10].tokens:
            ended[value // 10] -= begun[value]
    weights = [max(0.0, weight) for weight in ended]
    return sum(value * weight for value, weight in enumerate(weights)) / sum(weights)
