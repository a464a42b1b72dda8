"""The grid of a sweep, and the requests at its points."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.errors import BadRequest
from lorebook_api.sweep import POINTS_MOST, SweepRow, at_point, grid, is_axis, vega_lite
from lorebook_api.teaching import TeachRequest, TeachResult

AXES = st.lists(
    st.tuples(
        st.sampled_from(["rank", "layers", "seed", "batch"]), st.lists(st.integers(1, 99), min_size=1, max_size=4)
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda axis: axis[0],
)


@given(AXES)
def test_the_grid_has_each_combination_once(axes):
    written = [f"{name}={','.join(map(str, values))}" for name, values in axes]
    count = math.prod(len(set(values)) for _, values in axes)
    if count > POINTS_MOST:
        with pytest.raises(BadRequest, match=f"has {count} points"):
            grid(written)
        return
    points = grid(written)
    assert len(points) == len({tuple(point.items()) for point in points}) == count
    names = {at_point(TeachRequest(name="x"), point).name for point in points}
    assert len(names) == count
    for point in points:
        settings = at_point(TeachRequest(), point).settings
        assert all(getattr(settings, name) == int(value) for name, value in point.items())


def test_targets_and_methods_are_axes_too():
    points = grid(["targets=q|v|qv|qkvo|q+up", "method=lora|alora"])
    assert len(points) == 10
    request = at_point(TeachRequest(name="lab"), points[3 * 2])
    assert (request.settings.targets, request.method, request.name) == (("q", "k", "v", "o"), "lora", "lab-qkvo-lora")
    assert at_point(TeachRequest(), points[8]).settings.targets == ("q", "up")
    assert at_point(TeachRequest(), {"learning_rate": "1e-3"}).settings.learning_rate == 0.001


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ([], "0 points"),
        (["rank="], "no axis"),
        (["rank"], "no axis"),
        (["colour=red"], "no axis"),
        (["rank=1", "rank=2"], "stands twice"),
        (["rank=1,high"], "rank takes a number, not 'high'"),
        (["rank=1,2", "targets=q|x"], "'x' is no target"),
        (["targets=q|q+"], "'' is no target"),
        (["targets=qvz"], "'qvz' is no target"),
        (["method=lora|magic"], "no method 'magic'"),
    ],
)
def test_what_is_no_grid_is_refused(axes, told):
    with pytest.raises(BadRequest, match=told):
        grid(axes)


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(BadRequest, match="rank takes a number"):
        at_point(TeachRequest(), {"rank": "high"})


def test_an_axis_is_told_from_a_file():
    assert is_axis("rank=1,2") and is_axis("learning-rate=1e-3") and is_axis("targets=q|v")
    assert not is_axis("lab.ipynb") and not is_axis("a=b.ipynb")


def test_the_plot_holds_what_was_measured():
    def row(rank, loss):
        result = TeachResult("j", "a", "active", 5, 1.0, 0.5, loss, trained=rank * 100)
        return SweepRow({"rank": str(rank), "targets": "qv"}, result)

    plot = vega_lite([row(1, 0.9), row(4, 0.7), row(8, None)])
    values = json.loads(json.dumps(plot))["data"]["values"]
    told = [(one["trained"], one["held-out loss"], one["group"]) for one in values]
    assert told == [(100, 0.9, "qv"), (400, 0.7, "qv")]
