"""The bodies on the wire, as frozen dataclasses: what the daemon, its clients and the widgets exchange.

Paths are relative to the root asked about, with `/`. Lines are 1-based and inclusive; in a notebook they
count inside the cell: first its source, then, numbered on, its outputs as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["code", "notebook", "doc", "data"]
Rerank = Literal["none", "model", "judge", "cross-encoder"]
Rewrite = Literal["none", "follow-up", "identifiers", "hyde", "multi-query"]
FeedbackMode = Literal["off", "keep", "learn"]
"""Whether feedback is kept; with `learn` the search learns from it, too."""


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
class Filters:
    """Which passages may be found; what is left empty bounds nothing, and what is given must all hold."""

    paths: tuple[str, ...] = ()
    """Globs as `.gitignore` writes them, such as `src/`, `*.md`; `!` takes out, and the last that matches decides."""
    kinds: tuple[Kind, ...] = ()
    languages: tuple[str, ...] = ()
    """Names of grammars, such as `python`, or the ends of file names, such as `py`."""
    modified_since: str = ""
    """ISO 8601, a date or a time; without a zone it is the daemon's."""
    notebooks: tuple[str, ...] = ()
    """Paths of notebooks, or the ends of them: `eda.ipynb`."""
    tags: tuple[str, ...] = ()
    """Tags of a notebook's cells; a cell with one of them may be found."""


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
class SearchRequest:
    """Body of `POST /api/search`."""

    query: str
    roots: tuple[str, ...] = ()
    k: int = 10
    kind: Kind | None = None
    rerank: Rerank = "none"
    rewrite: Rewrite = "none"
    filters: Filters = field(default_factory=Filters)
    explain: bool = False
    """Tell with each result how its score came about; without rewriting."""


@dataclass(frozen=True)
class RelatedRequest:
    """Body of `POST /api/related`: a place in a file; passages near to the one that stands there are looked for."""

    path: str
    """Below the first of the roots that holds it, with `/`."""
    line: int = 1
    """1-based, within the cell where there is one."""
    cell_index: int | None = None
    """0-based position of a notebook's cell among all."""
    roots: tuple[str, ...] = ()
    k: int = 10


@dataclass(frozen=True)
class IndexRequest:
    """Body of `POST /api/index`; progress and reports come as server-sent events."""

    roots: tuple[str, ...] = ()
    full: bool = False
    watch: bool = False
    """Go on after the first reports: one more for each change, and notices, until the caller hangs up."""


@dataclass(frozen=True)
class OpenRequest:
    """Body of `POST /api/open`: a notebook, or another file, that the person has open, by its path in `root`."""

    root: str
    path: str
    contents: str | None = None
    """What is in the editor and not saved: it is searched in place of the file until that is saved or closed."""
    closed: bool = False
    """Whether the person has closed it: what was not saved is forgotten."""


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


@dataclass(frozen=True)
class RankStep:
    """A step of a ranking: the score of a passage after it, and its place among all candidates, from 1.

    Place 0: at this step the passage was not in the list.
    """

    name: str
    score: float
    rank: int
    factor: float | None = None
    """What a signal multiplied the score by; None where the step is no signal, or the score was 0 before it."""


@dataclass(frozen=True)
class SearchResult:
    """One ranked passage."""

    rank: int
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
    steps: tuple[RankStep, ...] = ()
    """How the score came about, where that was asked for."""


@dataclass(frozen=True)
class SearchResponse:
    """Body of the answer to `POST /api/search`."""

    results: tuple[SearchResult, ...]
    took_ms: float
    retrieval: Literal["hybrid", "lexical"] = "hybrid"
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the index, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class FileChange:
    """A file that an index followed; of one that was moved `was` is its path before."""

    path: str
    how: Literal["added", "changed", "removed", "moved"]
    was: str = ""


@dataclass(frozen=True)
class IndexReport:
    """What one root's index holds and what this run changed: counts of files."""

    root: str
    files: int
    passages: int
    added: int
    changed: int
    removed: int
    skipped: tuple[Skipped, ...]
    seconds: float
    notices: tuple[str, ...] = ()
    changes: tuple[FileChange, ...] = ()
    """The first 50 files that were added, changed, removed or moved."""


@dataclass(frozen=True)
class RootNotice:
    """What whoever watches a root should know: it went away, it is back, it is looked through instead of watched."""

    root: str
    text: str


@dataclass(frozen=True)
class Progress:
    """How far long work is; `total` 0 means that the end is not known yet."""

    what: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Indexing:
    """A root that is being read or embedded: what is done, how far it is, and how long it will take."""

    root: str
    progress: Progress
    seconds_left: float | None = None
    """None where that cannot be told yet."""
    held: str = ""
    """Why it waits; empty where it does not."""


@dataclass(frozen=True)
class ModelInfo:
    """A GGUF model: what it is called, where it lies, and where it came from."""

    name: str
    path: str
    size: int
    origin: str
    installed: bool
    loaded: bool = False
    default: bool = False


@dataclass(frozen=True)
class AdapterInfo:
    """A LoRA adapter: what its file says of itself, and what the daemon does with it."""

    name: str
    path: str
    size: int
    damaged: str = ""
    """Why the file cannot be used; the fields after this one are empty then."""
    architecture: str = ""
    """Of the models that it is for, as llama.cpp calls it."""
    ranks: tuple[int, ...] = ()
    alpha: float = 0.0
    """It acts with alpha ÷ rank times its scale; 0 means with its scale alone."""
    targets: tuple[str, ...] = ()
    """The kinds of weights that it changes, such as `attn_q`."""
    layers: tuple[int, ...] = ()
    ignored: tuple[str, ...] = ()
    """What the file holds and the engine passes over: changes to norms."""
    invocation: tuple[int, ...] = ()
    """The tokens from which on it acts (aLoRA, arXiv:2504.12397); empty for one that always acts."""
    task: str = ""
    prompt_prefix: str = ""
    vectors: int = 0
    """Of a soft prompt: how many vectors stand before the prompt; 0 of a LoRA."""
    base: str = ""
    """The name of the model that it was trained on, where the file says so."""
    base_sha256: str = ""
    """Of that model's GGUF file, where the adapter's file says so."""
    loaded: bool = False
    """Whether the engine has it in memory."""
    scale: float = 0.0
    """How strongly it acts in requests that name no adapters."""
    status: str = ""
    """`active` or `candidate` of one that was trained here: whether its training passed the gate."""
    reason: str = ""
    """Why it is a candidate."""


@dataclass(frozen=True)
class Feedback:
    """What a person thought of an answer, or did with it. Body of `POST /api/feedback`."""

    rating: Literal["up", "down", "opened", "edited"]
    question: str
    answer: str = ""
    citations: tuple[Citation, ...] = ()
    """Those of the answer; of `opened` the one that was opened."""
    edited: str = ""
    """The answer as the person put it right."""
    other: str = ""
    """The answer that this one was shown beside, where there were two: `up` says that this one is better."""
    request_id: str = ""
    """Of the answer; a second thumb for the same one takes the place of the first."""


@dataclass(frozen=True)
class KeptFeedback:
    """Feedback as it is kept on this machine; `at` is in ISO 8601."""

    id: int
    at: str
    feedback: Feedback


@dataclass(frozen=True)
class FeedbackState:
    """Body of the answer to `GET /api/feedback`: what is kept, the latest first."""

    mode: FeedbackMode
    feedback: tuple[KeptFeedback, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    """How strongly the signals act that the search learnt about, by their names; 1.0 is as they were measured."""


@dataclass(frozen=True)
class RootInfo:
    """An index that the daemon knows."""

    root: str
    files: int
    passages: int
    vectors: int
    updated: str


@dataclass(frozen=True)
class Status:
    """Body of `GET /api/status`."""

    version: str
    pid: int
    started: str
    url: str
    uptime_s: float
    idle_stop_s: float
    model: str
    engine: str
    queue: int
    roots: tuple[RootInfo, ...]
    memory_mb: float
    indexing: tuple[str, ...] = ()
    """Roots that are being read or embedded now."""
    kv_disk_mb: float = 0.0
    """What is kept on disk of the models' reading of passages, in MB of 2**20 bytes like the bounds that follow."""
    kv_disk_most_mb: int = 0
    kv_memory_most_mb: int = 0
    """Of the same in the memory of the engine."""
    index_work: tuple[Indexing, ...] = ()
    """The roots that are being indexed, with how far each is."""
    index_paused: bool = False
    """Whether a person has paused all indexing."""
    watched: tuple[str, ...] = ()
    """Roots whose changes are followed as they happen."""
    feedback: FeedbackMode = "off"
    """Whether feedback is kept: where it is `off`, front ends show no thumbs."""
