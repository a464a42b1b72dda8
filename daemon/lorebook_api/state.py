"""The daemon's state, on the wire: what it has and does, its models and its adapters."""

from __future__ import annotations

from dataclasses import dataclass

from lorebook_api.feedback import FeedbackMode
from lorebook_api.indexing import Indexing, RootInfo


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
    status: str = ""
    """`active` or `candidate` for a model that was taught here, else empty."""
    reason: str = ""
    """Why it is no more than a candidate."""


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
