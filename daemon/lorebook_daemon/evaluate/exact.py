"""Right or wrong: a number, a text, or a program that passes its tests.

GSM8K's answers end in `#### N` (Cobbe et al., arXiv:2110.14168); F1 over words is SQuAD's (Rajpurkar et al., EMNLP
2016); programs come as HumanEval (arXiv:2107.03374) and MBPP (arXiv:2108.07732) publish them.
"""

from __future__ import annotations

import asyncio
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorebook_api.asking import Sampling
from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import ExactFormat, Skipped
from lorebook_daemon.engine.protocol import Message, Prompt
from lorebook_daemon.evaluate.diversity import said
from lorebook_daemon.evaluate.judge import question_of
from lorebook_daemon.evaluate.metric import Metric, values
from lorebook_daemon.evaluate.rows import Row, Unusable
from lorebook_daemon.evaluate.sandbox.run import Verdict, run_program
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import RowTask, Subject

_NUMBER = re.compile(r"-?\$?\d[\d,]*(?:\.\d+)?")
_STRICT = re.compile(r"####\s*(-?\$?\d[\d,]*(?:\.\d+)?)")
_BLOCK = re.compile(r"```(?:[Pp]ython3?|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_CLOSE = 1e-12

_ASK: dict[ExactFormat, str] = {
    "gsm8k": "{}\nThink step by step. End with a line `#### N`, where N is the answer as a plain number.",
    "number": "{}\nAnswer with the number only.",
    "text": "{}\nAnswer with the answer only, in a few words.",
    "code": "{}\nAnswer with one block of Python code that is whole, and nothing else.",
}


@dataclass(frozen=True)
class Asked:
    """A question, what is right, and what was answered (None: the model is to be asked)."""

    row: int
    question: str
    right: tuple[str, ...]
    response: str | None
    head: str = ""
    """Of code: what the program begins with where the answer leaves it out."""
    entry: str = ""
    """Of code: the function that must be there."""


@dataclass(frozen=True)
class Answered:
    """An answer with what is right; `ended` says how a program ended, None where none was run."""

    asked: Asked
    text: str
    ended: Verdict | None = None


@dataclass(frozen=True)
class ExactTask(RowTask[Asked]):
    """Questions with right answers, as a Task."""

    format: ExactFormat
    max_tokens: int
    stage: str = "answering"

    async def measure(self, place: int, subject: Subject) -> Outcome:
        """Return whether the answer is right; one that is empty is wrong, and says so."""
        one = self.items[place]
        text = one.response if one.response is not None else await self._answer(one, subject)
        return await asyncio.to_thread(self._outcome, one, text)

    def _outcome(self, one: Asked, text: str) -> Outcome:
        form = FORMATS[self.format]
        if not text.strip():
            return Outcome(values(form.metrics, Answered(one, "")), "", "the answer is empty")
        ended = run_program(f"{program(text, one)}\n{one.right[0]}\n") if form.runs else None
        note = f"{ended.ended}: {ended.why}" if ended and ended.ended != "passed" else ""
        return Outcome(values(form.metrics, Answered(one, text, ended)), text, note)

    async def _answer(self, one: Asked, subject: Subject) -> str:
        prompt = Prompt((Message("user", _ASK[self.format].format(one.question)),))
        return await said(prompt, Sampling(), self.max_tokens, subject)


@dataclass(frozen=True)
class Format:
    """How a row is read, what is measured of an answer to it, and whether that is a program to be run."""

    read: Callable[[Row], Asked]
    metrics: dict[str, Metric[Answered, float]]
    runs: bool = False


def read_asked(
    rows: Sequence[Row], name: ExactFormat, response: str = "", limit: int = 0
) -> tuple[list[Asked], tuple[Skipped, ...]]:
    """Return the questions, with the answers in the field `response` where one is named, and the rows left out.

    Raises BadRequest where no row can be used.
    """
    asked, skipped = list[Asked](), list[Skipped]()
    for row in rows[: limit or None]:
        try:
            one = FORMATS[name].read(row)
            given = row.text(response) if response else None
            asked.append(Asked(one.row, one.question, one.right, given, one.head, one.entry))
        except Unusable as why:
            skipped.append(Skipped(row.number, str(why)))
    if not asked:
        told = f"no row can be used as {name}: {skipped[0].why}."
        raise BadRequest(told, f"The first row has the fields {', '.join(map(str, rows[0].fields))}.")
    return asked, tuple(skipped)


# -- numbers


def _gsm8k(row: Row) -> Asked:
    found = _STRICT.search(row.text("answer"))
    if found is None:
        raise Unusable("`answer` does not end in #### and a number")
    return Asked(row.number, row.text("question"), (found[1],), None)


def _number(row: Row) -> Asked:
    answer = row.text("answer").strip()
    if _value(answer) is None:
        raise Unusable(f"its answer {answer!r} is no number")
    return Asked(row.number, question_of(row), (answer,), None)


def _strict(one: Answered) -> float:
    """Return whether the number after `####` is right, as lm-eval looks for it."""
    found = _STRICT.search(one.text)
    return _same(found[1] if found else "", one.asked.right[0])


def _bare(one: Answered) -> float:
    """Return whether the answer is the right number and nothing else."""
    return _same(one.text.strip(), one.asked.right[0])


def _last(one: Answered) -> float:
    """Return whether the last number is right, whatever stands before it."""
    numbers = _NUMBER.findall(one.text)
    return _same(numbers[-1] if numbers else "", one.asked.right[0])


def _same(said_number: str, right: str) -> float:
    a, b = _value(said_number), _value(right)
    return float(a is not None and b is not None and math.isclose(a, b, rel_tol=_CLOSE, abs_tol=1e-9))


def _value(text: str) -> float | None:
    """Return the number that a text is, None where it is none that can be compared."""
    try:
        value = float(text.strip().rstrip(".").replace(",", "").replace("$", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# -- texts


def _text(row: Row) -> Asked:
    field = next((name for name in ("answer", "output", "reference", "answers") if name in row.fields), "answer")
    value = row.fields.get(field)
    right = tuple(map(str, value)) if isinstance(value, list) else (row.text(field),)
    if not any(_plain(one) for one in right):
        raise Unusable(f"`{field}` is empty")
    return Asked(row.number, question_of(row), right, None)


def _alike(one: Answered) -> float:
    """Return whether the answer is one of the right ones; an empty one is none."""
    return float(bool(one.text) and _plain(one.text) in map(_plain, one.asked.right))


def _contains(one: Answered) -> float:
    """Return whether one of the right answers stands in it, in whole words."""
    answer, rights = _plain(one.text), filter(None, map(_plain, one.asked.right))
    return float(any(f" {right} " in f" {answer} " for right in rights))


def _shared(one: Answered) -> float:
    """Return the F1 of the words that it shares with the right answer nearest to it."""
    words = _plain(one.text).split()
    return max(f1(words, _plain(right).split()) for right in one.asked.right)


def _plain(text: str) -> str:
    """Return a text as SQuAD compares it: small letters, without punctuation, articles and further blanks."""
    text = text.lower().translate(str.maketrans("", "", string.punctuation))
    return " ".join(_ARTICLES.sub(" ", text).split())


def f1(said_words: Sequence[str], right: Sequence[str]) -> float:
    """Return the F1 of the words that both have, counted as often as they stand there."""
    shared = sum((Counter(said_words) & Counter(right)).values())
    return 2 * shared / (len(said_words) + len(right)) if shared else 0.0


# -- programs


def _code(row: Row) -> Asked:
    entry = str(row.fields.get("entry_point") or "")
    tests = row.fields.get("test_list") or row.fields.get("tests") or row.fields.get("test")
    if isinstance(tests, list):
        tests = "\n".join(map(str, tests))
    if not isinstance(tests, str) or not tests.strip():
        raise Unusable("`test`, `tests` or `test_list` is missing")
    if entry and not entry.isidentifier():
        raise Unusable(f"`entry_point` {entry!r} is no name")
    setup = str(row.fields.get("test_setup_code") or "")
    tests = f"{setup}\n{tests}" + (f"\ncheck({entry})" if entry else "")
    field = "text" if "text" in row.fields else "prompt" if "prompt" in row.fields else "question"
    question = row.text(field)
    shown = "" if entry else f"\nIt must pass:\n{tests}"
    return Asked(row.number, question + shown, (tests,), None, question if entry else "", entry)


def _passed(one: Answered) -> float:
    return float(one.ended is not None and one.ended.ended == "passed")


def program(text: str, one: Asked) -> str:
    """Return the program in an answer: its blocks of code or all of it, after the head where its function is not."""
    blocks = _BLOCK.findall(text)
    code = "\n".join(blocks) if blocks else text
    return code if not one.entry or f"def {one.entry}" in code else one.head + code


def holding(name: ExactFormat) -> tuple[str, ...]:
    """Return what to say of how programs are held on this machine; nothing where none is run. Blocking."""
    if name != "code":
        return ()
    held = run_program("").held
    lacking = "" if "network namespace" in held else "; this system gives no namespace without a network"
    return (f"Programs were held by {', '.join((*held, 'a clock', 'a look at their memory'))}{lacking}.",)


_EXACT = "share of answers that are right as they stand"
_FLEXIBLE = Metric(_last, "share of answers whose last number is right")

FORMATS: dict[ExactFormat, Format] = {
    "gsm8k": Format(_gsm8k, {"exact": Metric(_strict, _EXACT), "flexible": _FLEXIBLE}),
    "number": Format(_number, {"exact": Metric(_bare, _EXACT), "flexible": _FLEXIBLE}),
    "text": Format(
        _text,
        {
            "exact": Metric(_alike, _EXACT),
            "contains": Metric(_contains, "share of answers that contain the right one"),
            "f1": Metric(_shared, "words that answer and reference share"),
        },
    ),
    "code": Format(_code, {"passed": Metric(_passed, "share of programs that pass their tests")}, runs=True),
}
"""What counts as right, by name. `text` also reads `answers`, a list of spellings."""
