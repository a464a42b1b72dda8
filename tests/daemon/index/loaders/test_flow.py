"""Data flow between cells: which outputs are older than their input, and what code says of its pictures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_daemon.index.loaders.caption import caption
from lorebook_daemon.index.loaders.flow import Step, stale


def cells(*rows):
    return [Step(index, count, frozenset(defines), tuple(uses)) for index, (count, defines, uses) in enumerate(rows)]


def test_an_output_is_stale_where_the_cell_above_that_sets_its_name_ran_later():
    assert stale(cells((7, ["x"], []), (2, [], ["x"]))) == {1: "stale output: x was set again later, by In [7]"}


@pytest.mark.parametrize(
    "rows",
    [
        [(1, ["x"], []), (2, [], ["x"])],
        [(None, ["x"], []), (2, [], ["x"])],
        [(7, ["x"], []), (None, [], ["x"])],
        [(1, ["x"], []), (2, [], ["x"]), (3, ["x"], ["x"])],  # set below: a later step of the story
        [(9, ["x"], []), (4, ["x"], []), (5, [], ["x"])],  # the nearest above is what counts
        [(9, ["y"], []), (2, [], ["x"])],
        [],
    ],
    ids=["in order", "never set", "never used", "below", "nearest", "another name", "nothing"],
)
def test_what_is_as_new_as_its_input_is_not_stale(rows):
    assert stale(cells(*rows)) == {}


NAMES = st.lists(st.sampled_from("abc"), max_size=3)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=8))
def test_a_notebook_run_from_top_to_bottom_has_no_stale_output(rows):
    assert stale(cells(*((n, *row) for n, row in enumerate(rows, 1)))) == {}


@given(st.lists(st.tuples(st.none() | st.integers(1, 9), NAMES, NAMES), max_size=8))
def test_only_cells_that_use_names_can_be_stale(rows):
    found = stale(cells(*rows))
    assert all(rows[index][0] is not None and rows[index][2] for index in found)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("plt.plot(x)", ""),
        ('ax.set_xlabel("month"); ax.set_title("Revenue by month")', "Revenue by month; month"),
        ("df.plot(title='Loans', ylabel=\"n\")", "Loans; n"),
        ('plt.suptitle(\n    "Two\n lines"\n)', "Two lines"),
        ('plt.title("T²"); plt.title("T²")', "T²"),
        ('plt.title(f"{n} cells")', ""),
        ('if title == "draft": pass', ""),
        ("plt.title('it\\'s')", "it\\'s"),
        ('plt.title("never closed)', ""),
    ],
)
def test_the_title_and_the_axes_are_read_from_the_code(source, says):
    assert caption(source) == says


@given(st.text(alphabet="title=('\") \nx", max_size=60))
def test_any_code_has_a_caption_of_one_line(source):
    assert "\n" not in caption(source)
