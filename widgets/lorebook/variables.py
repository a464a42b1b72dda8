"""A live variable in words: its type, its shape, its columns, its first rows. No more than that, and no secrets."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from lorebook.masking import HIDDEN, is_secret_name, mask

ROWS = 5
COLUMNS_MOST = 40
TEXT_LONGEST = 400
"""Characters of a value at the most."""

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_CONTAINERS = (list, tuple, set, frozenset, dict)
_OF_IPYTHON = frozenset({"In", "Out", "exit", "quit", "get_ipython", "open"})


class _Bounded(reprlib.Repr):
    """A short repr that calls nobody's `__repr__`: an object of a class that it does not know is its type's name."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = self.maxfrozenset = 8
        self.maxlevel = 3

    def repr1(self, x: Any, level: int) -> str:
        if type(x) in _PLAIN or type(x) in _CONTAINERS:
            return super().repr1(x, level)
        return f"<{_type_name(x)}>"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """Hide the values of secret names, and sort nothing: keys may not compare."""
        if level <= 0:
            return "{...}"
        shown = [f"{self.repr1(key, level - 1)}: {self._value(key, x[key], level)}" for key in list(x)[: self.maxdict]]
        return "{" + ", ".join([*shown, *(["..."] if len(x) > self.maxdict else [])]) + "}"

    def _value(self, key: Any, value: Any, level: int) -> str:
        return HIDDEN if isinstance(key, str) and is_secret_name(key) else self.repr1(value, level - 1)


_BOUNDED = _Bounded()


def describe_variable(name: str, value: Any) -> str:
    """Return what is told of a variable; of one whose name is that of a secret, that it is hidden.

    Nothing of the person's own code runs: an object of a class that is not known here is told by its type.
    """
    if is_secret_name(name):
        return f"{name}: {_type_name(value)}, {HIDDEN} because of its name"
    root = type(value).__module__.partition(".")[0]
    told = _LIBRARIES.get((root, type(value).__name__), _describe_any)
    return mask(f"{name}: {told(value)}")


def visible_names(names: Mapping[str, Any]) -> list[str]:
    """Return the names that a person gave to values in a notebook, in alphabetical order: no modules, no functions."""
    return sorted(
        name
        for name, value in names.items()
        if not name.startswith("_") and name not in _OF_IPYTHON and not _is_code(value)
    )


def _is_code(value: Any) -> bool:
    return type(value).__name__ in {"module", "function", "type", "builtin_function_or_method", "method"}


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _describe_any(value: Any) -> str:
    if type(value) in _PLAIN or type(value) in _CONTAINERS:
        size = f", {len(value):,} long" if type(value) not in _PLAIN or isinstance(value, str | bytes) else ""
        return f"{_type_name(value)}{size}, {_BOUNDED.repr(value)[:TEXT_LONGEST]}"
    return _type_name(value)


def _describe_pandas(frame: Any) -> str:
    rows, columns = frame.shape
    shown = [column for column in frame.columns if not is_secret_name(str(column))][:COLUMNS_MOST]
    types = [f"  {column}: {frame[column].dtype}" for column in shown]
    head = frame[shown].head(ROWS).to_string(max_colwidth=40)
    return _table(rows, columns, [*types, *_left_out(columns - len(shown))], head)


def _describe_pandas_series(series: Any) -> str:
    return f"Series of {series.dtype}, {len(series):,} long\n{series.head(ROWS).to_string()}"


def _describe_polars(frame: Any) -> str:
    rows, columns = frame.shape
    shown = [column for column in frame.columns if not is_secret_name(column)][:COLUMNS_MOST]
    picked = frame.select(shown)
    types = [f"  {column}: {kind}" for column, kind in zip(shown, picked.dtypes, strict=True)]
    return _table(rows, columns, [*types, *_left_out(columns - len(shown))], str(picked.head(ROWS)))


def _describe_array(array: Any) -> str:
    first = array.reshape(-1)[:8].tolist()
    return f"ndarray of {array.dtype}, shape {array.shape}, begins {_BOUNDED.repr(first)}"


def _table(rows: int, columns: int, types: list[str], head: str) -> str:
    return "\n".join([f"DataFrame, {rows:,} rows, {columns:,} columns", *types, f"first {min(rows, ROWS)} rows:", head])


def _left_out(count: int) -> list[str]:
    return [f"  and {count} columns that are not shown"] if count else []


_LIBRARIES: dict[tuple[str, str], Callable[[Any], str]] = {
    ("pandas", "DataFrame"): _describe_pandas,
    ("pandas", "Series"): _describe_pandas_series,
    ("polars", "DataFrame"): _describe_polars,
    ("numpy", "ndarray"): _describe_array,
}
"""By the library and the name of the class; the libraries themselves are not imported."""
