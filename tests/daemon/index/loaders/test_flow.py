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
        [(1, ["x"], []), (2, ["y"], ["x"]), (3, [], ["y"])],
        [(5, ["x"], []), (None, ["y"], ["x"]), (3, [], ["y"])],  # what never ran made nothing that is known
    ],
    ids=[
        *("in order", "never set", "never used", "below", "nearest", "another name", "nothing"),
        *("in order, through another", "through what never ran"),
    ],
)
def test_what_is_as_new_as_its_input_is_not_stale(rows):
    assert stale(cells(*rows)) == {}


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (
            [(5, ["x"], []), (2, ["y"], ["x"]), (3, [], ["y"])],
            {
                1: "stale output: x was set again later, by In [5]",
                2: "stale output: x was set again later, by In [5], and y is made from it",
            },
        ),
        (
            [(9, ["x"], []), (5, ["y"], ["x"]), (6, ["z"], ["y"]), (7, [], ["z"])],
            {
                1: "stale output: x was set again later, by In [9]",
                2: "stale output: x was set again later, by In [9], and y is made from it",
                3: "stale output: x was set again later, by In [9], and z is made from it",
            },
        ),
        (  # what lies between ran again, the last one did not
            [(5, ["x"], []), (6, ["y"], ["x"]), (3, [], ["y"])],
            {2: "stale output: y was set again later, by In [6]"},
        ),
        (
            [(5, ["df"], []), (2, ["df"], ["df"]), (3, [], ["df"])],
            dict.fromkeys([1, 2], "stale output: df was set again later, by In [5]"),
        ),
        (  # f may be a function, which finds the new x
            [(5, ["x"], []), (2, ["f"], ["x"]), (6, [], ["f"])],
            {1: "stale output: x was set again later, by In [5]"},
        ),
        (
            [(5, ["x"], []), (2, ["z"], ["x"]), (3, [], ["y"])],
            {1: "stale output: x was set again later, by In [5]"},
        ),
    ],
    ids=["through one", "through two", "between ran again", "one name", "ran after all", "another name"],
)
def test_what_was_made_from_something_old_is_old_too(rows, lines):
    assert stale(cells(*rows)) == lines


NAMES = st.lists(st.sampled_from("abc"), max_size=3)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=8))
def test_a_notebook_run_from_top_to_bottom_has_no_stale_output(rows):
    assert stale(cells(*((n, *row) for n, row in enumerate(rows, 1)))) == {}


@given(st.lists(st.tuples(st.none() | st.integers(1, 9), NAMES, NAMES), max_size=8))
def test_only_cells_that_use_names_can_be_stale(rows):
    found = stale(cells(*rows))
    assert all(rows[index][0] is not None and rows[index][2] for index in found)


@given(st.lists(st.tuples(st.integers(1, 99), NAMES, NAMES), max_size=8, unique_by=lambda row: row[0]))
def test_a_cell_that_ran_last_is_not_stale(rows):
    last = max(range(len(rows)), key=lambda index: rows[index][0], default=0)
    assert last not in stale(cells(*rows))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("plt.plot(x)", ""),
        ('ax.set_xlabel("month"); ax.set_title("Revenue by month")', "Revenue by month; month"),
        ("df.plot(title='Loans', ylabel=\"n\")", "Loans; n"),
        ('plt.suptitle(\n    "Two\n lines"\n)', "Two lines"),
        ('plt.title("T²"); plt.title("T²")', "T²"),
        ('plt.title(f"{n} cells")', "cells"),
        ('plt.title(f"{n}: {m:>{w}}")', ""),
        ("plt.title(rf'Level of {{x}}, {unit}')", "Level of {x}"),
        ('ax.set(xlabel="week", ylabel="rain (mm)", title="Rain")', "Rain; week; rain (mm)"),
        ('sns.relplot(x="a").set_axis_labels("week", "rain (mm)")', "week; rain (mm)"),
        ('fig.supylabel("share")', "share"),
        ('fig.update_layout(xaxis_title="Month", yaxis_title="EUR", title_text="Revenue")', "Revenue; Month; EUR"),
        ('fig.update_layout(title=dict(text="Revenue"), legend_title_text="Region")', "Revenue; Region"),
        ('fig.update_layout(title={"text": "Revenue"})', "Revenue"),
        (
            'px.bar(df, x="m", labels={"m": "Month", "e": "Revenue (EUR)"}, title="By month")',
            "By month; Month; Revenue (EUR)",
        ),
        ("px.bar(df, labels=dict(m='Month', e=name))", "Month"),
        ('px.bar(df, labels={"m": name, "e": "EUR"})', ""),  # read as far as it is plain
        ('make_subplots(rows=1, subplot_titles=("One", "Two"))', "One; Two"),
        ('alt.Chart(df).encode(alt.X("m:T", title="Month")).properties(title="Revenue")', "Month; Revenue"),
        ('alt.Chart(df, title=alt.Title("Revenue", subtitle="x"))', "Revenue"),
        ('ggplot(df) + labs(x="Month", y="EUR") + ggtitle("Revenue")', "Revenue; Month; EUR"),
        ('plt.pie(x, labels=["a", "b"])', ""),
        ('titles = {"title": "x"}', ""),
        ('if title == "draft": pass', ""),
        ("plt.title('it\\'s')", "it\\'s"),
        ('plt.title("never closed)', ""),
    ],
)
def test_the_title_and_the_axes_are_read_from_the_code(source, says):
    assert caption(source) == says


@given(st.text(alphabet="title=('\") \nxf{}", max_size=60))
def test_any_code_has_a_caption_of_one_line(source):
    assert "\n" not in caption(source)
