"""`lorebook.classify`: which class each of some texts is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from lorebook_api.classification import Classified, ClassifyReport, ClassifyRequest
from lorebook_api.client import Client
from lorebook_api.discovery import connect
from lorebook_api.home import find_home

_SHOWN = 80


@dataclass(frozen=True)
class Classes(Sequence[str]):
    """The classes of some texts, in their order: a sequence of labels that shows itself as a table."""

    texts: tuple[str, ...]
    report: ClassifyReport

    def __getitem__(self, index: Any) -> Any:
        labels = tuple(result.label for result in self.report.results)
        return labels[index]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def probabilities(self) -> tuple[dict[str, float], ...]:
        """How likely (0 to 1) each class is for each text."""
        names = self.report.classes
        return tuple(dict(zip(names, result.probabilities, strict=True)) for result in self.report.results)

    def __repr__(self) -> str:
        return "\n".join(f"{label}  {likely:.2f}  {text}" for text, label, likely in self._rows())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(label)}</td><td>{likely:.2f}</td><td>{escape(text)}</td></tr>"
            for text, label, likely in self._rows()
        )
        return f"<table><tr><th>class</th><th>likely</th><th>text</th></tr>{rows}</table>"

    def _rows(self) -> list[tuple[str, str, float]]:
        return [_row(text, one) for text, one in zip(self.texts, self.report.results, strict=True)]


def _row(text: str, one: Classified) -> tuple[str, str, float]:
    cut = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
    return " ".join(cut.split()), one.label, max(one.probabilities)


def classify(texts: str | Sequence[str], classifier: str = "") -> Classes:
    """Return the class of each text by a classifier that was taught here under this name, or by the only one there is.

    Teach one with `lorebook.teach(data=FILE, method="classifier", name=NAME)`, where each row of FILE has a `text` and
    a `label`. Raises LorebookError.
    """
    given = (texts,) if isinstance(texts, str) else tuple(texts)
    report = Client(connect(find_home())).classify(ClassifyRequest(given, classifier))
    return Classes(given, report)
