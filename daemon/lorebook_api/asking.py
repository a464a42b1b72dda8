"""Asking, on the wire, as frozen dataclasses: the question, and the answer with what supports it.

Paths are relative to the root asked about, with `/`. Lines are 1-based and inclusive; in a notebook they
count inside the cell: first its source, then, numbered on, its outputs as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lorebook_api.retrieval import Filters, Kind, Rerank, Rewrite


@dataclass(frozen=True)
class AdapterUse:
    """A LoRA adapter, by name, and how strongly it acts (1.0 as trained)."""

    name: str
    scale: float = 1.0


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; the default is greedy."""

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token, and what is added to its logit."""
    grammar: str = ""
    """GBNF that the answer must follow, from its rule `root`."""
    top_logprobs: int | None = None
    """How many likely tokens to tell at each place beside the one drawn; None tells no log-probabilities."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation: what the person asked, or what was answered."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class Attachment:
    """Text that the person puts before the model beside what is found: an open cell, an error, a variable.

    It is read, checked and cited like a passage. `title` names it where it stands in no file; `path` is that of its
    notebook or file below the root.
    """

    title: str
    text: str
    path: str = ""
    start_line: int = 1
    cell_id: str | None = None
    cell_index: int | None = None
    execution_count: int | None = None


@dataclass(frozen=True)
class AskRequest:
    """Body of `POST /api/ask`; the answer comes as server-sent events."""

    question: str
    roots: tuple[str, ...] = ()
    model: str = "auto"
    adapters: tuple[AdapterUse, ...] = ()
    k: int = 6
    max_tokens: int = 320
    grounding: bool = True
    sampling: Sampling = field(default_factory=Sampling)
    request_id: str = ""
    user: str = ""
    """Who asks, where several share a daemon: each gets the same share of the engine."""
    history: tuple[Message, ...] = ()
    """The conversation before this question, oldest first: what a follow-up question is understood by."""
    conversation: str = ""
    """Id of the conversation that the daemon keeps this question and its answer in; where `history` is empty it is
    taken from there. Empty keeps nothing."""
    attachments: tuple[Attachment, ...] = ()
    rerank: Rerank = "none"
    """What puts the first passages that are found into a new order."""
    rewrite: Rewrite = "follow-up"
    """How the question is put in other words before anything is looked up; `follow-up` needs a `history`."""
    filters: Filters = field(default_factory=Filters)
    """Which passages may be looked at."""


@dataclass(frozen=True)
class CancelRequest:
    """Body of `POST /api/cancel`."""

    request_id: str


@dataclass(frozen=True)
class Source:
    """A passage that the answer was given to read."""

    path: str
    start_line: int
    end_line: int
    kind: Kind
    score: float
    text: str
    cell_id: str | None = None
    cell_index: int | None = None
    execution_count: int | None = None
    root: str = ""


@dataclass(frozen=True)
class Citation:
    """The very lines that support one or more sentences; `sha256` is of `quote` in UTF-8."""

    n: int
    path: str
    start_line: int
    end_line: int
    quote: str
    sha256: str
    support: float
    cell_id: str | None = None
    cell_index: int | None = None
    execution_count: int | None = None
    root: str = ""


@dataclass(frozen=True)
class Claim:
    """One sentence of the answer, the citations that back it, and how well (0 to 1)."""

    text: str
    citations: tuple[int, ...]
    support: float


@dataclass(frozen=True)
class Usage:
    """Tokens; `cached_tokens` of the prompt needed no new computation."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class Timings:
    """Milliseconds from the request's arrival."""

    retrieve_ms: float = 0.0
    ttft_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True)
class Cut:
    """A passage, or a part of one, that did not go to the model, and why."""

    path: str
    start_line: int
    end_line: int
    tokens: int
    why: str
    cell_id: str | None = None
    cell_index: int | None = None
    execution_count: int | None = None
    root: str = ""


@dataclass(frozen=True)
class Context:
    """The prompt's budget in tokens, what was used of it, and everything that was cut."""

    budget: int = 0
    used: int = 0
    cut: tuple[Cut, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What came of a question."""

    answer: str
    abstained: bool
    grounded: float
    citations: tuple[Citation, ...]
    claims: tuple[Claim, ...]
    sources: tuple[Source, ...]
    model: str
    adapters: tuple[AdapterUse, ...] = ()
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    context: Context = field(default_factory=Context)
    retrieval: Literal["hybrid", "lexical", "none"] = "none"
    notices: tuple[str, ...] = ()
    request_id: str = ""
