"""An example: what is said to the model, and the answer that it is to learn."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lorebook_api.errors import StorageFailed, Unusable


@dataclass(frozen=True)
class Origin:
    """Where an example comes from; examples of one `group` are never split between training and measuring."""

    path: str
    cell: str = ""
    """The cell's id, or the row of a data file; empty where it was typed."""
    sha256: str = ""
    """Of the text that it was made from."""

    @property
    def group(self) -> str:
        """What is held out together."""
        return f"{self.path}#{self.cell or self.sha256}"

    @property
    def movable(self) -> str:
        """The group without the folder that its file lies in."""
        return f"{Path(self.path).name}#{self.cell or self.sha256}"

    @property
    def place(self) -> str:
        """The origin in words."""
        name = Path(self.path).name if self.path else "typed"
        return f"{name} {self.cell}".strip()


@dataclass(frozen=True)
class Turn:
    """One turn of the conversation before the answer."""

    role: Literal["system", "user", "assistant"]
    content: str
    input: str = ""
    """With what the content ends, where that is what an instruction is about: Alpaca's template has a place for it."""


@dataclass(frozen=True)
class Example:
    """A conversation and the answer to learn; no turns at all: a text to go on with as it stands."""

    turns: tuple[Turn, ...]
    answer: str
    origin: Origin
    wordings: tuple[str, ...] = ()
    """Other wordings of the last turn, which training takes in turns with it."""
    left_out: str = ""
    """Why it is not used; empty where it is."""
    held_out: bool = False
    """Whether it is kept back to measure with."""
    rejected: str = ""
    """An answer that is worse, where there is one: what preferences are learnt from."""
    label: str = ""
    """The class of the text that `answer` is, where it has one; there are no turns then."""
    also: tuple[Origin, ...] = ()
    """Further cells whose text it holds."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        """All cells whose text it holds."""
        return (self.origin, *self.also)

    @property
    def id(self) -> str:
        """Return what it is known by, as long as its text stays as it is."""
        return digest("\n\n".join((*(turn.content for turn in self.turns), self.answer)))[:16]

    @property
    def question(self) -> str:
        """The last turn, empty where there is none."""
        return self.turns[-1].content if self.turns else ""


def left_out(examples: Iterable[Example]) -> dict[str, int]:
    """Return how many examples are left out for which reason: as far as its colon, most frequent first.

    What was added to measure with, the same question in other words, is not counted again.
    """
    everything = list(examples)
    made = {example.origin for example in everything if not example.held_out}
    reasons = Counter(
        example.left_out.partition(":")[0]
        for example in everything
        if example.left_out and not (example.held_out and example.origin in made)
    )
    return dict(reasons.most_common())


def digest(text: str) -> str:
    """Return the sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as JSON Lines; raises StorageFailed."""
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(example)) + "\n" for example in examples)
    except OSError as error:
        told = f"{path} cannot be written ({error.strerror or error})."
        raise StorageFailed(told, "Free some space, or set LOREBOOK_HOME.") from error


def read_examples(path: Path) -> list[Example]:
    """Return what `write_examples` wrote; raises Unusable."""
    try:
        return [_example(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Unusable(f"{path} does not hold the job's examples.", "Start again: lorebook teach …") from error


def _example(row: dict[str, object]) -> Example:
    fields: dict[str, object] = dict(row)
    fields["turns"] = tuple(Turn(**turn) for turn in row["turns"])  # type: ignore[attr-defined]
    fields["origin"] = Origin(**row["origin"])  # type: ignore[arg-type]
    fields["wordings"] = tuple(row["wordings"])  # type: ignore[arg-type]
    fields["also"] = tuple(Origin(**one) for one in row.get("also", ()))  # type: ignore[attr-defined]
    return Example(**fields)  # type: ignore[arg-type]
