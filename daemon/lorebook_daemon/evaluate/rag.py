"""The whole system on a person's own questions: what is found, what is answered, what that costs.

The triad is TruLens's: are the passages relevant to the question, do they support the answer, is the answer one to the
question. Each is a yes or no of the base model, as a probability: an adapter that is measured does not judge itself,
as it does not check what it wrote (answer/verify.py). Nothing is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorebook_api.asking import Answer, Source
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import Figure, Skipped
from lorebook_daemon.answer.prompts import SYSTEM, source_text
from lorebook_daemon.answer.reading import probability
from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.engine.protocol import MEASURING, Message, Prompt
from lorebook_daemon.evaluate.metric import Metric, values
from lorebook_daemon.evaluate.places import Place, first_right, ndcg10, recall10, reciprocal
from lorebook_daemon.evaluate.rows import Row, Unusable
from lorebook_daemon.evaluate.statistics import Numbers, bootstrap
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import Measured, Subject

_RELEVANT = "\nQuestion: {question}\nDoes the source above say anything that helps to answer it? Answer Yes or No."
_ANSWERS = "Question: {question}\nAnswer: {answer}\n\nDoes this reply to what was asked? Answer Yes or No."


@dataclass(frozen=True)
class Question:
    """A question about a person's files; what is not known of its answer is left empty, and not measured."""

    row: int
    id: str
    text: str
    answerable: bool
    right: tuple[str, ...]
    """Spellings of the fact that a right answer holds."""
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Asked:
    """What came of a question: the ranked passages, and the answer."""

    hits: Sequence[RootHit]
    answer: Answer


@dataclass(frozen=True)
class Weighed:
    """A question, what came of it, and what the base model says to that; None where there is nothing to say."""

    question: Question
    asked: Asked
    context: float | None = None
    """How relevant the passages are that were read."""
    relevance: float | None = None
    """How far the answer is one to the question."""

    @property
    def answer(self) -> Answer:
        """The answer."""
        return self.asked.answer

    def ranked(self, figure: Callable[[int], float]) -> float | None:
        """Return a figure of the rank of the first right passage, where it is known which that is."""
        places = self.question.places
        return figure(first_right([hit.source() for hit in self.asked.hits], places)) if places else None

    @property
    def right(self) -> float | None:
        """1.0 where the answer holds the fact, else 0.0; None where that is not known."""
        if not self.question.right:
            return None
        return float(not self.answer.abstained and states(self.question.right, self.answer.answer))


METRICS: dict[str, Metric[Weighed, float]] = {
    "latency_ms": Metric(lambda one: one.answer.timings.total_ms, "milliseconds to the whole answer", "neither"),
    "tokens": Metric(
        lambda one: float(one.answer.usage.prompt_tokens + one.answer.usage.completion_tokens),
        "tokens read and written",
        "neither",
    ),
    "abstained_right": Metric(
        lambda one: float(one.answer.abstained != one.question.answerable),
        "share of questions answered or not as they should be",
    ),
    "ndcg10": Metric(lambda one: one.ranked(ndcg10), "NDCG of the first ten passages"),
    "recall10": Metric(lambda one: one.ranked(recall10), "share of questions with the right passage among ten"),
    "mrr": Metric(lambda one: one.ranked(reciprocal), "1 ÷ the place of the first right passage"),
    "context_relevance": Metric(lambda one: one.context, "how relevant the passages are that were read, 0 to 1"),
    "groundedness": Metric(
        lambda one: None if one.answer.abstained else one.answer.grounded,
        "how well the sources support the sentences, 0 to 1",
    ),
    "answer_relevance": Metric(lambda one: one.relevance, "how far the answer is one to the question, 0 to 1"),
    "right": Metric(lambda one: one.right, "share of answers with the right fact"),
}
"""What is measured of each question."""


Asking = Callable[[str], Awaitable[Asked]]
"""Takes a question all the way to its answer, in the configuration that is measured."""


def read_questions(rows: Sequence[Row], limit: int = 0) -> tuple[list[Question], tuple[Skipped, ...]]:
    """Return the questions, and the rows that cannot be used; raises BadRequest where none can."""
    questions, skipped, seen = list[Question](), list[Skipped](), dict[str, int]()
    for row in rows[: limit or None]:
        try:
            question = _question(row)
            if question.id in seen:
                raise Unusable(f"has the id {question.id} of row {seen[question.id]}")
            seen[question.id] = row.number
            questions.append(question)
        except Unusable as why:
            skipped.append(Skipped(row.number, str(why)))
    if not questions:
        hint = "Each row needs a `question`; propose a set: lorebook eval questions --root DIR"
        raise BadRequest(f"no row holds a question: {skipped[0].why}.", hint)
    return questions, tuple(skipped)


def _question(row: Row) -> Question:
    text = row.text("question").strip()
    if not text:
        raise Unusable("`question` is empty")
    answer = row.fields.get("answer")
    right = tuple(map(str, answer)) if isinstance(answer, list) else (str(answer),) if answer else ()
    also = row.fields.get("also") or []
    if not isinstance(also, list) or not all(isinstance(one, dict) for one in also):
        raise Unusable("`also` is no list of places")
    places = tuple(_place(one) for one in (row.fields, *also) if one.get("path"))
    answerable = row.fields.get("answerable", True) not in (False, "false", "False", "0", 0)
    return Question(row.number, str(row.fields.get("id") or row.number), text, answerable, right, places)


def _place(fields: Mapping[str, Any]) -> Place:
    """Return a place; raises Unusable where its lines are no numbers."""
    numbers = {name: fields.get(name) for name in ("start_line", "end_line", "cell_index")}
    try:
        read = {name: None if value in (None, "") else int(value) for name, value in numbers.items()}
    except (TypeError, ValueError, OverflowError):
        raise Unusable("`start_line`, `end_line` or `cell_index` is no number") from None
    start, end = read["start_line"] or 0, read["end_line"] or read["start_line"] or 0
    return Place(str(fields.get("path")), start, end, read["cell_index"])


@dataclass(frozen=True)
class RagTask:
    """Questions to a configuration of the whole system, as a Task."""

    questions: Sequence[Question]
    ask: Asking
    stage: str = "asking"

    @property
    def ids(self) -> tuple[str, ...]:
        """The questions' own ids, or the numbers of their rows."""
        return tuple(question.id for question in self.questions)

    def row(self, place: int) -> int:
        """Return where a question stands."""
        return self.questions[place].row

    async def measure(self, place: int, subject: Subject) -> Outcome:
        """Ask, then judge: what was found, whether it supports what was said, whether that was asked."""
        question = self.questions[place]
        asked = await self.ask(question.text)
        answer = asked.answer
        context = relevance = None
        if question.answerable:
            context = await _context(question.text, asked, subject) if answer.sources else None
            relevance = 0.0 if answer.abstained else await _relevance(question.text, answer, subject)
        scores = values(METRICS, Weighed(question, asked, context, relevance))
        return Outcome(scores, answer.answer, "the model answered nothing" if _empty(answer) else "")


async def _context(question: str, asked: Asked, subject: Subject) -> float:
    """Return the mean relevance of the passages that were read for the answer, with what was put around them."""
    messages = (Message("system", SYSTEM), Message("user", _RELEVANT.format(question=question)))
    texts = [source_text(source, _headings(source, asked.hits)) for source in asked.answer.sources]
    prompts = [Prompt(messages, (text,)) for text in texts]
    leanings = await subject.engine.judge(prompts, turn=MEASURING)
    return sum(map(probability, leanings)) / len(leanings)


def _headings(source: Source, hits: Sequence[RootHit]) -> tuple[str, ...]:
    """Return what the first passage that was found within a source has above it, which an answer does not tell."""
    place = Place(source.path, source.start_line, source.end_line, source.cell_index)
    within = [hit.passage for hit in hits if hit.root == source.root and place.holds(hit.source())]
    return min(within, key=lambda passage: passage.start_line).context if within else ()


def _empty(answer: Answer) -> bool:
    """Return whether the model wrote nothing, be it that this was given as not found: nothing supports no sentence."""
    written = answer.usage.prompt_tokens and not answer.usage.completion_tokens
    return bool(written) if answer.abstained else not answer.answer.strip()


async def _relevance(question: str, answer: Answer, subject: Subject) -> float:
    said = _ANSWERS.format(question=question, answer=re.sub(r" ?\[\d+\]", "", answer.answer).strip())
    (leaning,) = await subject.engine.judge([Prompt((Message("user", said),))], turn=MEASURING)
    return probability(leaning)


def states(spellings: Sequence[str], text: str) -> bool:
    """Return whether one of the spellings stands in the text, apart from digits before or after a number."""

    def pattern(spelling: str) -> str:
        escaped = re.escape(spelling)
        return rf"(?<![\d.,]){escaped}(?!\d)" if spelling[:1].isdigit() else escaped

    return any(spelling and re.search(pattern(spelling), text, re.IGNORECASE) for spelling in spellings)


Known = Sequence[tuple[Question, Outcome]]
"""The questions of a set that were measured, each with what it came to."""


def rag_figures(questions: Sequence[Question], found: Measured) -> dict[str, Figure]:
    """Return the means, and the figures that only the whole set has."""
    known = [(one, found.outcomes[one.id]) for one in questions if one.id in found.outcomes]
    return {**found.figures(), **values(OVER_ALL, known)}


def _abstention_f1(known: Known) -> Figure | None:
    """Return the F1 of not answering what nothing answers; None where there is no such question."""
    pairs = [(not question.answerable, _abstained(question, outcome)) for question, outcome in known]
    if not any(should for should, _ in pairs):
        return None
    interval = bootstrap(pairs, _f1)
    return Figure(interval.value, interval.low, interval.high, len(pairs))


def _abstained(question: Question, outcome: Outcome) -> bool:
    return bool(outcome.scores["abstained_right"]) != question.answerable


def _f1(pairs: Numbers) -> float:
    """Return the F1 of pairs (should abstain, did)."""
    both, either = float((pairs[:, 0] * pairs[:, 1]).sum()), float(pairs.sum())
    return 2 * both / either if either else 0.0


OVER_ALL: dict[str, Metric[Known, Figure]] = {
    "abstention_f1": Metric(_abstention_f1, "F1 of not answering what nothing answers"),
}
"""What is measured of the set as a whole."""
