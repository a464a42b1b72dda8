"""The bodies on the wire about telling texts apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassifyRequest:
    """Body of `POST /api/classify`: texts, and the classifier by the name that it was taught under."""

    texts: tuple[str, ...]
    classifier: str = ""
    """Empty: the only one that there is."""
    user: str = ""
    """Who asks, where several share a daemon: each gets the same share of the engine."""


@dataclass(frozen=True)
class Classified:
    """The likeliest class of a text, and how likely (0 to 1) each class is, in the order of the report's classes."""

    label: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class ClassifyReport:
    """What the texts are, in their order."""

    classifier: str
    model: str
    classes: tuple[str, ...]
    results: tuple[Classified, ...]
