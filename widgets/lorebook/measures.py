"""What `lorebook.evaluate` can measure: its arguments made into a request of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from lorebook.asking import adapter_uses, several
from lorebook_api.errors import BadRequest, NotFound
from lorebook_api.evaluation import (
    BiasRequest,
    DiversityRequest,
    ExactRequest,
    JudgeRequest,
    McRequest,
    RagRequest,
)
from lorebook_api.typed import find_model, find_roots, find_scores

Measurement = McRequest | JudgeRequest | ExactRequest | RagRequest | BiasRequest | DiversityRequest

MEASURES: dict[str, type[Measurement]] = {
    "mc": McRequest,
    "judge": JudgeRequest,
    "toxicity": JudgeRequest,
    "exact": ExactRequest,
    "rag": RagRequest,
    "bias": BiasRequest,
    "diversity": DiversityRequest,
}
"""The kinds of measurement, as `lorebook eval` names them."""

_TOXICITY = ("path", "response", "limit", "model", "adapters")
"""Of a judge's fields those that a judge of toxicity takes."""

_READ: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "root": ("roots", lambda value: find_roots(several(value))),
    "adapter": ("adapters", adapter_uses),
    "model": ("model", find_model),
}
"""Arguments that are fields by another name, or of another shape."""


def measurement(kind: str, data: str | Path, choices: Mapping[str, Any]) -> Measurement:
    """Return the request that a kind, a file of rows and the arguments of `lorebook.evaluate` mean.

    Raises BadRequest for a kind or an argument that is none, NotFound for a file that is not there.
    """
    if kind not in MEASURES:
        raise BadRequest(f"{kind!r} is nothing that can be measured.", f"There are: {', '.join(MEASURES)}")
    path = Path(data).expanduser().absolute()
    if not path.is_file():
        raise NotFound(f"{path} is not a file.", "Check the path.")
    given = {"root": None, **choices} if kind == "rag" else dict(choices)
    read = dict(_one(name, value) for name, value in given.items())
    if read.get("human"):
        read["human_path"], read["human"] = find_scores(str(read["human"]))
    known = [field.name for field in fields(MEASURES[kind])] if kind != "toxicity" else list(_TOXICITY)
    unknown = [name for name in read if name not in known or name == "path"]
    if unknown:
        raise BadRequest(f"{unknown[0]} is nothing that {kind} takes.", f"It takes: {', '.join(known[1:])}")
    missing = [field.name for field in fields(MEASURES[kind]) if field.default is MISSING and field.name not in read]
    if missing[1:]:  # the path is among them
        raise BadRequest(f"{kind} wants {missing[1]}.", f"See: lorebook eval {kind} --help")
    fixed: dict[str, Any] = {"measure": "toxicity"} if kind == "toxicity" else {}
    return MEASURES[kind](path=str(path), **read, **fixed)


def _one(name: str, value: Any) -> tuple[str, Any]:
    field, read = _READ.get(name, (name, lambda same: same))
    return field, read(value)
