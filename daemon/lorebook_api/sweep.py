"""A sweep: one training for each point of a grid of settings, as in the two tables of the LoRA paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

from lorebook_api.errors import BadRequest
from lorebook_api.teaching import METHODS, TARGETS, TeachRequest, TeachResult, TrainSettings

POINTS_MOST = 64

_NUMBERS = {one.name: type(one.default) for one in fields(TrainSettings) if isinstance(one.default, int | float)}
_LETTERS = {"q", "k", "v", "o"}
_HINT = "Write axes such as: --sweep rank=1,2,4 targets=q|v|qv method=lora|alora"

Point = dict[str, str]
"""A value, as it was written, by the name of the setting."""


@dataclass(frozen=True)
class SweepRow:
    """A point of the grid, and what training there came to."""

    point: Point
    result: TeachResult


def is_axis(text: str) -> bool:
    """Return whether a word is an axis, such as `rank=1,2,4`."""
    name, sign, _ = text.partition("=")
    return bool(sign) and _known(name)


def grid(axes: Sequence[str]) -> tuple[Point, ...]:
    """Return the points that axes such as `rank=1,2` and `targets=q|v|qv` span, the last axis changing fastest.

    Raises BadRequest for what is no axis, an axis without values or named twice, a value that its setting cannot have,
    and more than 64 points.
    """
    values: dict[str, list[str]] = {}
    for axis in axes:
        name, _, written = axis.partition("=")
        name = name.replace("-", "_")
        wanted = list(dict.fromkeys(part.strip() for part in written.replace("|", ",").split(",") if part.strip()))
        if not _known(name) or not wanted:
            raise BadRequest(f"{axis!r} is no axis of a sweep.", _HINT)
        if name in values:
            raise BadRequest(f"The axis {name} stands twice.", _HINT)
        for text in wanted:
            _value(name, text)
        values[name] = wanted
    points = tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))
    if not axes or len(points) > POINTS_MOST:
        raise BadRequest(f"The sweep has {len(points) if axes else 0} points; it takes 1 to {POINTS_MOST}.", _HINT)
    return points


def at_point(request: TeachRequest, point: Point) -> TeachRequest:
    """Return the request at a point of a grid, its name followed by the point's values; raises BadRequest."""
    changes = {name: _value(name, text) for name, text in point.items() if name != "method"}
    suffix = "-".join(f"{name[:1]}{text}" if name in _NUMBERS else text for name, text in point.items())
    return replace(
        request,
        name=f"{request.name or 'sweep'}-{suffix}",
        method=point.get("method", request.method),
        settings=replace(request.settings, **changes),
    )


def vega_lite(rows: Iterable[SweepRow]) -> dict[str, Any]:
    """Return a plot of held-out loss over trained numbers, which JupyterLab shows (https://vega.github.io/vega-lite)."""
    values = [
        {
            "point": ", ".join(f"{name} {value}" for name, value in row.point.items()),
            "group": ", ".join(f"{value}" for name, value in row.point.items() if name not in _NUMBERS) or "all",
            "trained": row.result.trained,
            "held-out loss": row.result.held_out_loss,
            "seconds": row.result.seconds,
        }
        for row in rows
        if row.result.held_out_loss is not None
    ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "data": {"values": values},
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {
            "x": {"field": "trained", "type": "quantitative", "scale": {"type": "log"}, "title": "trained numbers"},
            "y": {"field": "held-out loss", "type": "quantitative", "scale": {"zero": False}},
            "color": {"field": "group", "type": "nominal", "title": None},
            "tooltip": [{"field": name} for name in ("point", "trained", "held-out loss", "seconds")],
        },
    }


def _known(name: str) -> bool:
    return name.replace("-", "_") in {*_NUMBERS, "targets", "method"}


def _value(name: str, text: str) -> Any:
    """Return what a value of an axis means; raises BadRequest for what its setting cannot be."""
    if name == "targets":
        return _targets(text)
    if name == "method":
        if text not in METHODS:
            raise BadRequest(f"There is no method {text!r}.", f"There is: {', '.join(METHODS)}.")
        return text
    try:
        return _NUMBERS[name](text)
    except ValueError as error:
        raise BadRequest(f"{name} takes a number, not {text!r}.", _HINT) from error


def _targets(text: str) -> tuple[str, ...]:
    """Return the targets that `qkvo`, `up` or `q+up` mean."""
    parts = text.split("+")
    targets = tuple(letter for part in parts for letter in (part if part and set(part) <= _LETTERS else (part,)))
    unknown = [target for target in targets if target not in TARGETS]
    if unknown:
        raise BadRequest(f"{unknown[0]!r} is no target.", f"Take some of: {', '.join(TARGETS)}. Several: qkvo, q+up")
    return targets
