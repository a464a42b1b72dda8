"""The bodies on the wire about evaluation: what is measured, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lorebook_api.asking import AdapterUse
from lorebook_api.retrieval import Rerank, Rewrite

McFormat = Literal["mmlu", "hellaswag", "winogrande", "arc", "truthfulqa", "truthfulqa-mc2", "csv"]
"""The shapes of multiple-choice sets; `truthfulqa` is MC1."""

ExactFormat = Literal["gsm8k", "number", "text", "code"]
"""What counts as right: the number after `####`, a number, a text, or code that passes its tests."""

Measure = Literal["quality", "toxicity"]
"""What a judge scores from 0 to 100; of toxicity less is better."""


@dataclass(frozen=True)
class McRequest:
    """A multiple-choice set: its absolute path, and how it is read; `limit` is of questions, 0 is all."""

    path: str
    format: McFormat
    shots: int = 0
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()


@dataclass(frozen=True)
class JudgeRequest:
    """Responses to be judged: the absolute path of the rows, and the fields that hold the parts.

    The question is in `instruction` (and `input`), `question` or `prompt`. Without `reference` the judge sees no right
    answer.
    """

    path: str
    response: str
    reference: str = ""
    rubric: str = ""
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()
    measure: Measure = "quality"
    human: str = ""
    """The field that holds a score by a person, or by a better judge, from 0 to 100, to compare with."""
    human_path: str = ""
    """The absolute path of the file that has those scores, in the order of the rows; empty where the rows have them."""


@dataclass(frozen=True)
class Skipped:
    """A row that was left out (1-based), and why."""

    row: int
    why: str


@dataclass(frozen=True)
class McReport:
    """What a multiple-choice set came to: shares from 0 to 1, their standard errors, and how many were asked."""

    acc: float
    acc_norm: float
    acc_bytes: float
    stderr: float
    """Of `acc`."""
    stderr_norm: float
    stderr_bytes: float
    n: int
    format: str
    shots: int
    model: str
    adapters: tuple[AdapterUse, ...]
    skipped: tuple[Skipped, ...]
    run: str = ""
    """Under which id the store keeps this run."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agreement:
    """How far a judge agrees with the scores that the data holds; None where either does not vary."""

    pearson: float | None
    spearman: float | None
    n: int
    length: float | None
    """Spearman's correlation of the judge's score, less the other's, with the response's length."""
    calibrated_error: float | None
    """Mean distance to the other scores once ours are calibrated on the other half of the rows."""
    calibrated_mean: float | None = None
    """Mean of all scores, calibrated in the same way; where nobody else scored a row, on all that somebody did."""


@dataclass(frozen=True)
class JudgeReport:
    """What a judge said: scores from 0 to 100, their mean, and how many rows have none (`skipped` says which)."""

    mean: float
    stderr: float
    n: int
    missing: int
    scores: tuple[float, ...]
    rows: tuple[int, ...]
    """Where each score's row stands, from 1."""
    model: str
    adapters: tuple[AdapterUse, ...]
    skipped: tuple[Skipped, ...]
    run: str = ""
    """Under which id the store keeps this run."""
    notices: tuple[str, ...] = ()
    agreement: Agreement | None = None
    """With the field `human`, where one was named."""
    length: float | None = None
    """Spearman's correlation of score and length of the response; None where either does not vary."""


@dataclass(frozen=True)
class ExactRequest:
    """Questions whose answers are right or wrong; without the field `response` the model writes the responses."""

    path: str
    format: ExactFormat = "text"
    response: str = ""
    max_tokens: int = 512
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()


@dataclass(frozen=True)
class DiversityRequest:
    """Prompts that are answered several times, to measure how different the answers are."""

    path: str
    samples: int = 5
    temperature: float = 0.8
    max_tokens: int = 128
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()


@dataclass(frozen=True)
class BiasRequest:
    """Pairs of sentences in the shape of CrowS-Pairs: `sent_more` (a stereotype), `sent_less`, `bias_type`."""

    path: str
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()


@dataclass(frozen=True)
class RagRequest:
    """Questions about folders (absolute paths), and the configuration that is to answer them."""

    path: str
    roots: tuple[str, ...]
    k: int = 6
    rerank: Rerank = "none"
    rewrite: Rewrite = "none"
    context_steps: str = "default"
    """The steps from passages to context, separated by commas; `default` takes the daemon's."""
    splitter: str = "default"
    """How the files are cut (see `splitting`); for another than the daemon's an index is made for the time."""
    max_tokens: int = 320
    limit: int = 0
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()
    reuse: bool = False
    """Return a finished run of the same configuration, data and versions, where there is one, and measure nothing."""


@dataclass(frozen=True)
class QuestionsRequest:
    """Folders (absolute paths) about which questions are to be proposed."""

    roots: tuple[str, ...]
    count: int = 20
    seed: int = 0
    model: str = "auto"


@dataclass(frozen=True)
class ProposedQuestion:
    """A question that a passage answers, in the shape that `lorebook eval rag` reads."""

    id: str
    question: str
    answerable: bool
    answer: tuple[str, ...]
    path: str
    start_line: int
    end_line: int
    cell_index: int | None


@dataclass(frozen=True)
class Proposal:
    """Questions that are proposed, and how many passages were read for them."""

    questions: tuple[ProposedQuestion, ...]
    passages: int
    model: str


@dataclass(frozen=True)
class Figure:
    """A figure with its 95% interval, and over how many items it was taken."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class EvalReport:
    """What a measurement came to."""

    run: str
    kind: str
    name: str
    figures: dict[str, Figure]
    n: int
    model: str
    adapters: tuple[AdapterUse, ...]
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overlap:
    """How many of the `of` items of a test an adapter was taught word for word; None where that is not known."""

    adapter: str
    shared: int | None
    of: int


@dataclass(frozen=True)
class EvalRun:
    """A measurement as the store keeps it: what was measured, how, with which versions, and what it came to."""

    id: str
    kind: str
    name: str
    state: Literal["unfinished", "done"]
    created: str
    ended: str
    config: dict[str, Any]
    versions: dict[str, str]
    figures: dict[str, Figure]
    n: int
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    """What its adapters were taught of the data."""


@dataclass(frozen=True)
class Compared:
    """One figure of two runs over the items that both have; `difference` is the second's less the first's."""

    name: str
    first: float
    second: float
    difference: Figure
    verdict: Literal["better", "worse", "no difference shown", "cost"]


@dataclass(frozen=True)
class Comparison:
    """Two runs, item by item."""

    first: EvalRun
    second: EvalRun
    figures: tuple[Compared, ...]
    changed: tuple[str, ...]
    """What of the configuration differs, in words."""
    notices: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    """Figures of the first that the second lacks; costs are none."""
    lost: int = 0
    """Items of the first that the second did not measure."""

    @property
    def worse(self) -> tuple[str, ...]:
        """The figures that dropped beyond their interval."""
        return tuple(one.name for one in self.figures if one.verdict == "worse")

    @property
    def failures(self) -> tuple[str, ...]:
        """Why a gate fails, a line each; none where the second is no worse."""
        a, b = self.first.id, self.second.id
        worse = [f"{b} is worse than {a}: {', '.join(self.worse)}."] if self.worse else []
        gone = [f"{b} has no {', '.join(self.gone)}, which {a} has."] if self.gone else []
        lost = [f"{b} did not measure {self.lost} items that {a} did."] if self.lost else []
        return (*worse, *gone, *lost)
