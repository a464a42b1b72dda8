"""The bodies on the wire about teaching and about jobs: what is taught, how, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

JobState = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted", "prepared"]
"""`interrupted`: the daemon ended while the job ran; like a failed or cancelled one it can be resumed. `prepared`: some
other launcher is to train it; resumed after that, it takes over what it came to."""

METHODS = ("alora", "lora", "prompt", "dpo", "classifier", "last-layers", "bitfit", "full")
"""What `method` can be."""
TARGETS = ("q", "k", "v", "o", "gate", "up", "down")
"""What `targets` can be: weights of attention, then of the feed-forward part."""
ESTIMATED = "estimated: "
"""Begins the Progress that says, before a training starts, what it will take."""

ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled", "interrupted", "prepared")
"""Of a job in one of these nothing happens until somebody resumes it."""


@dataclass(frozen=True)
class Pair:
    """A question and the answer to learn; the cell (its id) and the notebook that it was written in, where known."""

    question: str
    answer: str
    cell: str = ""
    path: str = ""


@dataclass(frozen=True)
class TrainSettings:
    """How an adapter is trained; 0 lets lorebook choose where that is said."""

    rank: int = 8
    """Rank of the two factors (LoRA, arXiv:2106.09685)."""
    alpha: float = 16.0
    """The change is scaled by alpha ÷ rank."""
    targets: tuple[str, ...] = ("q", "v")
    """Of q, k, v, o (attention) and gate, up, down (feed-forward)."""
    vectors: int = 20
    """Of a soft prompt (prompt tuning, arXiv:2104.08691)."""
    layers: int = 0
    """How many of the last layers are changed; 0 is all."""
    epochs: int = 0
    """Passes over the examples; 0 takes 2, and more where there are few examples."""
    learning_rate: float = 0.0
    """The highest of the schedule; 0 takes the method's own."""
    batch: int = 4
    """Examples a step."""
    max_tokens: int = 1024
    """An example longer than this is left out, and listed."""
    held_out: float = 0.1
    """Share of the cells that is kept back to measure with."""
    seed: int = 0


@dataclass(frozen=True)
class TeachRequest:
    """Body of `POST /api/teach` and of `POST /api/teach/preview`. Paths are absolute."""

    notebooks: tuple[str, ...] = ()
    cells: str = ""
    """Positions among all cells from 0 on: `2,5-7`."""
    tags: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    whole: bool = False
    """All cells; without it, and without cells, tags and ids, those that `%%teach` begins."""
    data: tuple[str, ...] = ()
    """JSON or JSON Lines: Alpaca, ShareGPT, LIMA, chat messages, prompt and completion."""
    pairs: tuple[Pair, ...] = ()
    approved: bool = False
    """Answers with a thumb up, and answers that were put right, as they should have been."""
    recipe: str = "auto"
    template: str = "chat"
    method: str = "alora"
    name: str = ""
    """What the adapter is called; empty: as the first file is."""
    replace: bool = False
    """Whether the name may be that of an adapter that is there: if it passes the gate, it takes that one's place."""
    base: str = "auto"
    keep: tuple[str, ...] = ()
    """Flags that do not leave an example out, such as `duplicate`."""
    without: tuple[str, ...] = ()
    """Ids of examples, as a preview tells them, that are left out."""
    settings: TrainSettings = field(default_factory=TrainSettings)


@dataclass(frozen=True)
class Segment:
    """A piece of an example as the model reads it; it learns the pieces that are `learnt`."""

    text: str
    tokens: int
    learnt: bool


@dataclass(frozen=True)
class PreviewExample:
    """An example as it would be used, or why it would not."""

    origin: str
    """The file, and the cell or the row in it."""
    segments: tuple[Segment, ...]
    tokens: int
    held_out: bool = False
    left_out: str = ""
    """Why it is not used; empty where it is."""
    id: str = ""
    """The same as long as its text is: by it a request leaves the example out."""


@dataclass(frozen=True)
class Preview:
    """What a request would teach: the first 200 examples, the number of all, and the time and memory it would take."""

    examples: tuple[PreviewExample, ...]
    base: str
    name: str
    epochs: int
    steps: int
    trained: int
    """Numbers that are learnt."""
    seconds: float
    memory_mb: float
    taught: int = 0
    """Of all examples, shown or not: those that are learnt from; each counts in one of these three."""
    held_out: int = 0
    """Kept back to measure with."""
    left_out: int = 0


@dataclass(frozen=True)
class Metrics:
    """Where a training is; losses are means over the learnt tokens, in nats."""

    step: int
    steps: int
    loss: float
    held_out_loss: float | None = None
    tokens_per_s: float = 0.0
    seconds_left: float = 0.0
    accuracy: float | None = None
    """Share of what was kept back that the model gets right: of pairs and of classes, None for answers."""


@dataclass(frozen=True)
class Said:
    """What the model being taught now says to a question that it is taught, or that is kept back."""

    question: str
    text: str
    wanted: str
    step: int


@dataclass(frozen=True)
class JobInfo:
    """A piece of long work, and how it stands. Times are ISO 8601, UTC."""

    id: str
    kind: str
    name: str
    state: JobState
    created: str
    started: str = ""
    ended: str = ""
    reason: str = ""
    """Why it ended as it did, where there is something to say."""
    result: dict[str, Any] = field(default_factory=dict)
    """What it came to, in the shape of its kind; of teaching a TeachResult."""


@dataclass(frozen=True)
class Prepared:
    """A training that another launcher is to do, such as torchrun over several processes."""

    job: JobInfo
    folder: str
    """All that a trainer needs; what it comes to is left there."""
    commands: tuple[str, ...]
    """What is typed to train it by two processes on this machine; one of these."""


@dataclass(frozen=True)
class TeachResult:
    """What a training came to: the JSON of `lorebook teach --json`."""

    job: str
    adapter: str
    status: Literal["active", "candidate", "failed", "cancelled"]
    examples: int
    seconds: float
    loss: float | None
    held_out_loss: float | None
    reason: str = ""
    accuracy: float | None = None
    """Share of what was kept back that it gets right: of pairs and of classes, None for answers."""
    trained: int = 0
    """Numbers that were learnt."""
    memory_mb: float = 0.0
    """The most memory that its process took."""
    method: str = ""
    left_out: dict[str, int] = field(default_factory=dict)
    """How many examples were not learnt from, by the reason; a row that gave none counts as one."""

    @property
    def told_left_out(self) -> str:
        """What was left out, in words; empty where nothing was."""
        why = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        return f"{sum(self.left_out.values())} ({why})" if why else ""


@dataclass(frozen=True)
class ForgetRequest:
    """Body of `POST /api/adapters/forget`: a cell, or a row of a data file, of which nothing is to be left."""

    cell: str = ""
    """The cell's id, or the row's number from 1 on, as everywhere it is told; empty: all of the file."""
    path: str = ""
    """The notebook or the data file, absolute; empty: a cell of that id in any of them, or one that was typed."""
    only_list: bool = False
    """Say who saw it, and change nothing."""


@dataclass(frozen=True)
class Saw:
    """An adapter, or a model of its own, that learnt from a cell, and what became of it."""

    adapter: str
    places: tuple[str, ...]
    """What it saw of what is to be forgotten."""
    left: int
    """Examples that it learnt from and that are not to be forgotten."""
    job: str = ""
    """The job that makes it again without them; empty where it was only listed, or nothing is left to make it from."""
    earlier: bool = False
    """Whether it is the version before the present one, which alone saw it: deleted, and not made again."""
    upon: str = ""
    """The model that it was made from, where that learnt from it; `places` may be empty then."""
    reason: str = ""
    """Why it is not made again though examples are left."""
    file: str = ""
    """Of a merged model that a person keeps, its path: it is theirs to delete, and stays."""


def result_of(job: JobInfo) -> TeachResult:
    """Return what a teaching job came to; of one that is not done, how far its state tells."""
    if job.state == "done":
        return TeachResult(**job.result)
    status: Literal["failed", "cancelled"] = "cancelled" if job.state == "cancelled" else "failed"
    return TeachResult(job.id, job.name, status, 0, 0.0, None, None, job.reason or job.state)


def pairs_in(text: str) -> tuple[Pair, ...]:
    """Return the pairs of a text: question, blank line, answer, with lines of `---` between several.

    One without a blank line has no answer.
    """
    parts = [part.strip() for part in f"\n{text.strip()}\n".replace("\r\n", "\n").split("\n---\n")]
    halves = [part.partition("\n\n") for part in parts if part]
    return tuple(Pair(question.strip(), answer.strip()) for question, _, answer in halves)
