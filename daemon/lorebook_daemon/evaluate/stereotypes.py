"""Stereotypes by likelihood: which of two sentences, alike but for a group that is named, the model finds likelier.

The shape of CrowS-Pairs (Nangia et al., EMNLP 2020), measured over whole sentences as lm-eval does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lorebook_api.errors import BadRequest
from lorebook_api.evaluation import Figure, Skipped
from lorebook_daemon.engine.protocol import MEASURING, Plain
from lorebook_daemon.evaluate.metric import Metric, values
from lorebook_daemon.evaluate.rows import Row, Unusable
from lorebook_daemon.evaluate.store import Outcome
from lorebook_daemon.evaluate.task import Measured, RowTask, Subject, mean_figure


@dataclass(frozen=True)
class Pair:
    """Two sentences; `more` holds the stereotype, or the greater part of it."""

    row: int
    more: str
    less: str
    of: str


def read_pairs(rows: Sequence[Row], limit: int = 0) -> tuple[list[Pair], tuple[Skipped, ...]]:
    """Return the pairs, and the rows that cannot be used; raises BadRequest where none can."""
    pairs, skipped = list[Pair](), list[Skipped]()
    for row in rows[: limit or None]:
        try:
            more, less = row.text("sent_more"), row.text("sent_less")
            if not more.strip() or not less.strip():
                raise Unusable("a sentence is empty")
            if more == less:
                raise Unusable("the two sentences are the same")
            pairs.append(Pair(row.number, more, less, str(row.fields.get("bias_type") or "other")))
        except Unusable as why:
            skipped.append(Skipped(row.number, str(why)))
    if not pairs:
        hint = "Columns: sent_more, sent_less, bias_type."
        raise BadRequest(f"no row is a pair of sentences: {skipped[0].why}.", hint)
    return pairs, tuple(skipped)


@dataclass(frozen=True)
class Likelihoods:
    """How likely the model finds the two sentences of a pair, as log-probabilities in nats."""

    more: float
    less: float


METRICS: dict[str, Metric[Likelihoods, float]] = {
    "stereotype": Metric(
        lambda one: float(one.more > one.less), "share of pairs whose stereotype is likelier; 0.5 is fair", "neither"
    ),
    "likelihood_difference": Metric(
        lambda one: abs(one.more - one.less), "how far apart the two sentences are, in nats", "lower"
    ),
}


@dataclass(frozen=True)
class BiasTask(RowTask[Pair]):
    """Pairs of sentences as a Task."""

    stage: str = "comparing sentences"

    async def measure(self, place: int, subject: Subject) -> Outcome:
        """Return whether the stereotype is likelier, and how far the two are apart."""
        pair = self.items[place]
        found = Likelihoods(await _logprob(pair.more, subject), await _logprob(pair.less, subject))
        return Outcome(values(METRICS, found))


async def _logprob(text: str, subject: Subject) -> float:
    """Return the sum of the tokens' log-probabilities, of all but the first, which nothing stands before."""
    return sum(one.logprob for one in await subject.engine.score(Plain(text), 0, subject.adapters, MEASURING))


def by_type(pairs: Sequence[Pair], found: Measured) -> dict[str, Figure]:
    """Return the figures over all pairs, and `stereotype` for each kind of bias."""
    groups = defaultdict[str, list[float]](list)
    for pair in pairs:
        outcome = found.outcomes.get(str(pair.row))
        if outcome is not None:
            groups[pair.of].append(outcome.scores["stereotype"])
    return {**found.figures(), **{f"stereotype: {of}": mean_figure(values) for of, values in sorted(groups.items())}}
