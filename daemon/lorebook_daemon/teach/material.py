"""What a method can learn from: answers, pairs of different answers, or texts of two classes and more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from lorebook_api.errors import BadRequest
from lorebook_daemon.teach.examples import Example
from lorebook_daemon.teach.job import Learns


def suited(examples: Sequence[Example], learns: Learns) -> list[Example]:
    """Return the examples; those that teach nothing of the kind that is learnt are left out, with the reason.

    Raises BadRequest where none is left, or where all texts are of one class.
    """
    marked = [_marked(example, _LACKS[learns](example)) for example in examples]
    if not any(_used(example) for example in marked):
        why = next((example.left_out for example in marked if example.left_out), "there is none")
        raise BadRequest(f"None of the {len(marked)} examples can be learnt from ({why}).", _WANTED[learns])
    if learns == "labels" and len(classes(marked)) < 2:
        raise BadRequest(f"All texts have the class {classes(marked)[0]!r}: there is nothing to tell apart.", _TWO)
    return marked


def classes(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return the classes of those examples that are used, in alphabetical order."""
    return tuple(sorted({example.label for example in examples if _used(example) and example.label}))


def _used(example: Example) -> bool:
    return not example.left_out


def _marked(example: Example, why: str) -> Example:
    return replace(example, left_out=why) if why and not example.left_out else example


def _lacks_answer(example: Example) -> str:
    return ""  # what has none was flagged as empty


def _lacks_pair(example: Example) -> str:
    if not example.rejected.strip() or not example.turns:
        return "no pair: there is no answer that was rejected"
    if example.rejected.strip() == example.answer.strip():
        return "equal: the chosen answer and the rejected one are the same"
    return ""


def _lacks_label(example: Example) -> str:
    return "" if example.label else "no class: the text has no label"


_LACKS: dict[Learns, Callable[[Example], str]] = {
    "answers": _lacks_answer,
    "pairs": _lacks_pair,
    "labels": _lacks_label,
}
_TWO = "Add texts of another class."
_WANTED: dict[Learns, str] = {
    "answers": "See them: --preview",
    "pairs": 'Give each row two answers that differ: {"prompt": …, "chosen": …, "rejected": …}',
    "labels": 'Give each row a text and its class: {"text": …, "label": …}',
}
