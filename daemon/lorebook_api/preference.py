"""What feedback says of answers: which were approved, and of two to a question which is the better one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from lorebook_api.feedback import Feedback, KeptFeedback
from lorebook_api.teaching import Pair


@dataclass(frozen=True)
class Preference:
    """A row of a data file for direct preference optimization."""

    prompt: str
    chosen: str
    rejected: str


def preferences(kept: Iterable[KeptFeedback]) -> tuple[Preference, ...]:
    """Return the pairs that feedback holds, each once, the oldest first.

    An answer that was put right, two that were shown side by side, and of one question any answer with a thumb up
    beside any with a thumb down.
    """
    given = [one.feedback for one in sorted(kept, key=lambda one: one.id)]
    rated: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"up": [], "down": []})
    pairs: list[Preference] = []
    for feedback in given:
        if feedback.rating == "edited":
            pairs.append(Preference(feedback.question, feedback.edited, feedback.answer))
        elif feedback.rating != "opened" and feedback.other:
            pairs.append(_side_by_side(feedback))
        elif feedback.rating != "opened":
            rated[feedback.question][feedback.rating].append(feedback.answer)
    for question, answers in rated.items():
        pairs += [Preference(question, *pair) for pair in product(answers["up"], answers["down"])]
    return tuple(dict.fromkeys(pair for pair in pairs if pair.chosen.strip() != pair.rejected.strip()))


def approved(kept: Iterable[KeptFeedback]) -> tuple[Pair, ...]:
    """Return the questions with the answers that were approved, each once, the oldest first.

    An answer with a thumb up, and one that was put right, as it should have been; not what got a thumb down as well.
    """
    pairs: dict[tuple[str, str], Pair] = {}
    for feedback in (one.feedback for one in sorted(kept, key=lambda one: one.id)):
        better = feedback.edited if feedback.rating == "edited" else feedback.answer
        if feedback.rating in ("up", "edited"):
            pairs[feedback.question, better] = Pair(feedback.question, better)
        elif feedback.rating == "down":
            pairs.pop((feedback.question, feedback.answer), None)
    return tuple(pairs.values())


def _side_by_side(feedback: Feedback) -> Preference:
    better = (feedback.answer, feedback.other)
    return Preference(feedback.question, *(better if feedback.rating == "up" else reversed(better)))
