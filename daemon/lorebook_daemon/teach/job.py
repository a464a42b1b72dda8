"""A training as its child process is told of it: a folder with the examples, and all that decides the outcome."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from lorebook_api.errors import BadRequest, StorageFailed, Unusable
from lorebook_api.teaching import TrainSettings

TARGETS = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
"""The weights of a layer that can be changed, by the letters of the papers."""


Trains = Literal["factors", "vectors", "layers", "biases", "everything"]
"""What a method trains: factors beside weights, vectors before the prompt, the last layers' matrices, all biases, or
all that there is."""
Learns = Literal["answers", "pairs", "labels"]
"""What a method learns: answers, which of two answers is the better one, or the class of a text."""


@dataclass(frozen=True)
class Traits:
    """What is known of a method without torch."""

    learning_rate: float
    """The highest of its schedule where nothing else is said."""
    activated: bool = False
    """Whether it acts from the answer's beginning on only, so that what is before is read by the base alone."""
    learns: Learns = "answers"
    trains: Trains = "factors"
    layers: int = 0
    """How many of the last layers are trained where nothing else is said; 0 is all."""


METHODS: dict[str, Traits] = {
    "alora": Traits(2e-3, activated=True),  # arXiv:2504.12397
    "lora": Traits(2e-3),  # arXiv:2106.09685
    "prompt": Traits(2e-2, trains="vectors"),  # arXiv:2104.08691
    "dpo": Traits(5e-4, activated=True, learns="pairs"),  # arXiv:2305.18290
    "classifier": Traits(1e-3, learns="labels", trains="layers", layers=1),
    "last-layers": Traits(2e-4, trains="layers", layers=2),
    "bitfit": Traits(5e-3, trains="biases"),  # arXiv:2106.10199
    "full": Traits(5e-5, trains="everything"),
}
"""The methods of fine-tuning by name, one row a method; what does the work is in `methods.TRAINERS`."""
TEMPLATES = ("chat", "alpaca", "phi3")

_BOUNDS: dict[str, tuple[float, float]] = {
    "rank": (1, 256),
    "vectors": (1, 1024),
    "alpha": (0.01, 10_000.0),
    "layers": (0, 1000),
    "epochs": (0, 1000),
    "learning_rate": (0.0, 1.0),
    "batch": (1, 256),
    "max_tokens": (16, 32_768),
    "held_out": (0.0, 0.5),
    "seed": (0, 2**31 - 1),
}


@dataclass(frozen=True)
class TrainJob:
    """What a training child is to do; the examples lie beside this in the job's folder."""

    id: str
    name: str
    base: str
    """The model's name."""
    path: str
    """Its GGUF file."""
    sha256: str
    """Of that file when the job was made: another file since then is refused."""
    method: str
    template: str
    recipe: str
    systems: tuple[str, ...] = ("",)
    """System prompts that the examples are taught under, in turns; empty takes the template's own."""
    threads: int = 1
    settings: TrainSettings = field(default_factory=TrainSettings)
    replace: bool = False
    """Whether what comes of it may take the place of an adapter of its name."""
    elsewhere: bool = False
    """Whether another launcher trains it: the daemon takes over what it came to, and trains nothing."""


def check_settings(method: str, template: str, settings: TrainSettings) -> None:
    """Raise BadRequest for a method or a template that is not known, and a setting out of its range."""
    for what, name, known in (("method", method, METHODS), ("template", template, TEMPLATES)):
        if name not in known:
            raise BadRequest(f"There is no {what} {name!r}.", f"There is: {', '.join(known)}.")
    if METHODS[method].activated and template != "chat":
        raise BadRequest(
            f"{method} acts where the model's own chat template begins an answer; other templates have no such place.",
            "Take --method lora, or leave --template out.",
        )
    for name, (least, most) in _BOUNDS.items():
        value = getattr(settings, name)
        if not least <= value <= most:  # true for NaN too
            raise BadRequest(f"{name} is {value}; it takes {least:g} to {most:g}.", "See: lorebook teach --help")
    unknown = [target for target in settings.targets if target not in TARGETS]
    if unknown or not settings.targets:
        raise BadRequest(f"targets are {settings.targets!r}.", f"Take some of: {', '.join(TARGETS)}.")


def write_job(folder: Path, job: TrainJob) -> None:
    """Write `job.json`; raises StorageFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "job.json").write_text(json.dumps(asdict(job), indent=1), encoding="utf-8")
    except OSError as error:
        told = f"{folder} cannot be written ({error.strerror or error})."
        raise StorageFailed(told, "Free some space, or set LOREBOOK_HOME.") from error


def read_job(folder: Path) -> TrainJob:
    """Return what `write_job` wrote; raises Unusable."""
    try:
        fields: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        settings = TrainSettings(**{**fields["settings"], "targets": tuple(fields["settings"]["targets"])})
        return TrainJob(**{**fields, "systems": tuple(fields["systems"]), "settings": settings})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Unusable(f"The files of this job in {folder} are not whole.", "Start again: lorebook teach …") from error
