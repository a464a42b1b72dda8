from typing import Any

import numpy as np
import pytest

from lorebook.variables import describe_variable, visible_names


class Mine:
    def __repr__(self) -> str:
        raise AssertionError("the person's code runs")

    __str__ = __len__ = __getattr__ = __repr__  # type: ignore[assignment]


class Column:
    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


class DataFrame:
    """As much of pandas as is looked at."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.data = columns
        self.columns = list(columns)
        self.shape = (len(next(iter(columns.values()), [])), len(columns))

    def __getitem__(self, wanted: Any) -> Any:
        return DataFrame({name: self.data[name] for name in wanted}) if isinstance(wanted, list) else Column("int64")

    def head(self, rows: int) -> "DataFrame":
        return DataFrame({name: values[:rows] for name, values in self.data.items()})

    def to_string(self, max_colwidth: int) -> str:
        return "\n".join(
            [" ".join(self.columns), *(" ".join(map(str, row)) for row in zip(*self.data.values(), strict=True))]
        )


DataFrame.__module__ = "pandas.core.frame"


def test_a_data_frame_is_told_by_shape_columns_and_first_rows() -> None:
    told = describe_variable("df", DataFrame({"age": list(range(1000)), "fare": [7] * 1000}))
    assert told.splitlines() == [
        "df: DataFrame, 1,000 rows, 2 columns",
        "  age: int64",
        "  fare: int64",
        "first 5 rows:",
        "age fare",
        *(f"{i} 7" for i in range(5)),
    ]


def test_columns_with_names_of_secrets_are_left_out_and_counted() -> None:
    told = describe_variable("df", DataFrame({"age": [1], "api_key": ["hunter2"]}))
    assert "hunter2" not in told and "api_key" not in told and "1 columns that are not shown" in told


def test_an_array() -> None:
    assert describe_variable("x", np.arange(6).reshape(2, 3)) == (
        "x: ndarray of int64, shape (2, 3), begins [0, 1, 2, 3, 4, 5]"
    )


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3, "x: int, 3"),
        ("abc", "x: str, 3 long, 'abc'"),
        ([1, "a"], "x: list, 2 long, [1, 'a']"),
        ({"n": 1, "password": "hunter2"}, "x: dict, 2 long, {'n': 1, 'password': [hidden]}"),
        ({1: {2: {3: {4: 5}}}}, "x: dict, 1 long, {1: {2: {3: {...}}}}"),
        ("sk-abcdefghijklmnopqrstuvwx", "x: str, 27 long, '[hidden]'"),
    ],
)
def test_plain_values(value: Any, told: str) -> None:
    assert describe_variable("x", value) == told


def test_nothing_of_the_persons_own_classes_runs() -> None:
    assert describe_variable("x", Mine()).endswith(".Mine")
    assert ".Mine>" in describe_variable("x", [Mine(), {"a": Mine()}])


def test_a_variable_with_the_name_of_a_secret_is_hidden_whatever_it_holds() -> None:
    assert "hunter2" not in describe_variable("db_password", "hunter2")
    assert "[hidden]" in describe_variable("db_password", "hunter2")


def test_long_values_are_cut() -> None:
    assert len(describe_variable("x", "a b " * 10_000)) < 600
    assert len(describe_variable("x", [["a" * 500] * 50] * 50)) < 600


def test_names_that_can_be_offered() -> None:
    names = {"df": 1, "_": 2, "_7": 3, "In": [], "Out": {}, "np": np, "f": len, "Mine": Mine, "x": Mine()}
    assert visible_names(names) == ["df", "x"]
