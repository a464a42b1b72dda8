"""Data files as examples: the shapes in which people keep what a model is to learn, in JSON or JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lorebook_api.errors import NotFound, Unusable
from lorebook_daemon.index.loaders.encoding import decode
from lorebook_daemon.teach.examples import Example, Origin, Turn, digest

Row = dict[str, Any]
Shape = Callable[[Row, Origin], Iterator[Example]]

_ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}


def read_data(path: Path) -> list[Example]:
    """Return the examples of a data file; each row must have one of SHAPES.

    A row that is whole and gives no example stands among them as left out, with the reason. Raises NotFound, and
    Unusable, with the row, for what cannot be read.
    """
    if not path.is_file():
        raise NotFound(f"There is no file at {path}.", "Check the path.")
    try:
        rows = _rows(decode(path.read_bytes()))
    except OSError as error:
        raise Unusable(f"{path} cannot be read ({error.strerror or error}).", "Check the file.") from error
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path.name} is neither JSON nor JSON Lines ({error}).", "Mend it.") from error
    return [example for n, row in enumerate(rows, start=1) for example in _examples(path, n, row)]


def json_lines(text: str) -> list[Any]:
    """Return the values of JSON Lines; raises ValueError, with the line's number, where one is no JSON."""
    values = []
    for number, line in enumerate(text.split("\n"), start=1):  # by "\n" alone: JSON's strings may hold U+2028
        try:
            values += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return values


def _rows(text: str) -> list[Any]:
    """Return the items of a JSON list, or of JSON Lines."""
    try:
        whole = json.loads(text)
    except ValueError:
        if text.lstrip().startswith("["):  # a list with a fault in it, which the error tells
            raise
        return json_lines(text)
    if isinstance(whole, list):
        return whole
    lists = [value for value in whole.values() if isinstance(value, list)] if isinstance(whole, dict) else []
    return lists[0] if len(lists) == 1 and "messages" not in whole and "conversations" not in whole else [whole]


def _examples(path: Path, n: int, row: Any) -> Iterator[Example]:
    origin = Origin(str(path), f"row {n}", digest(json.dumps(row, sort_keys=True, default=str)))
    try:
        name = next(name for name in SHAPES if isinstance(row, dict) and name in row)
        made = list(SHAPES[name](row, origin))
        yield from made or [_useless(origin, "no answer: nothing in the row is answered")]
    except _Useless as why:
        yield _useless(origin, str(why))
    except StopIteration as error:
        keys = ", ".join(SHAPES)
        raise Unusable(f"Row {n} of {path.name} has none of the keys {keys}.", "Give each row one of them.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Unusable(f"Row {n} of {path.name} is not whole ({error!r}).", "Mend it, or take it out.") from error


class _Useless(Exception):
    """What a row is made of is known, but not what to learn from it."""


def _useless(origin: Origin, why: str) -> Example:
    return Example((), "", origin, left_out=why)


def _alpaca(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield an Alpaca row: instruction, input and output."""
    asked = Turn("user", _instruction(row), _text(row.get("input", "")).strip())
    yield Example((asked,), _text(row["output"]), origin)


def _instruction(row: Row) -> str:
    return "\n\n".join(filter(None, (_text(row["instruction"]), _text(row.get("input", "")))))


def _completion(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield a prompt and its completion."""
    yield Example((Turn("user", _text(row["prompt"])),), _text(row["completion"]), origin)


def _pair(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield a question and its answer."""
    yield Example((Turn("user", _text(row["question"])),), _text(row["answer"]), origin)


def _messages(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield each answer of a conversation of chat messages, after all that was said before it."""
    yield from _answers([(str(one["role"]), one["content"]) for one in row["messages"]], origin)


def _conversations(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield each answer of a ShareGPT conversation (`from`, `value`), or of LIMA's, whose turns are plain texts."""
    turns = row["conversations"]
    if all(isinstance(turn, str) for turn in turns):
        said = [("user" if n % 2 == 0 else "assistant", turn) for n, turn in enumerate(turns)]
    else:
        said = [(str(turn["from"]), turn["value"]) for turn in turns]
    yield from _answers(said, origin)


def _answers(said: list[tuple[str, Any]], origin: Origin) -> Iterator[Example]:
    turns: tuple[Turn, ...] = ()
    for role, content in said:
        if role.lower() not in _ROLES:
            raise _Useless(f"unknown role: {role}")
        if not isinstance(content, str):
            raise _Useless(f"no text: what the {role} says is not written as text")
        turn = Turn(_ROLES[role.lower()], content)  # type: ignore[arg-type]
        if turn.role == "assistant" and turns:
            yield Example(turns, content, origin)
        turns = (*turns, turn)


def _plain(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield a text to be continued."""
    yield Example((), _text(row["text"]), origin)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _preference(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield a preference: a prompt (or instruction and input), the answer that was chosen, and the rejected one."""
    asked = _text(row["prompt"]) if "prompt" in row else _instruction(row)
    yield Example((Turn("user", asked),), _text(row["chosen"]), origin, rejected=_text(row["rejected"]))


def _labelled(row: Row, origin: Origin) -> Iterator[Example]:
    """Yield a text and its class, which may be a number."""
    label = row["label"]
    if isinstance(label, bool | int):
        label = str(label)
    yield Example((), _text(row["text"]), origin, label=_text(label))


SHAPES: dict[str, Shape] = {
    "chosen": _preference,
    "label": _labelled,
    "instruction": _alpaca,
    "messages": _messages,
    "conversations": _conversations,
    "completion": _completion,
    "answer": _pair,
    "text": _plain,
}
"""By the key that tells a shape from the others."""
