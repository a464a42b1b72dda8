"""The metrics: what each figure is, and which way is better.

To add one: return it by its name among the scores of an item (`store.Outcome`), and write a line into `METRICS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """What a figure says, and which way is better; a cost is shown, and does not fail a gate."""

    says: str
    better: Literal["higher", "lower", "neither"] = "higher"


METRICS: dict[str, Metric] = {
    "acc": Metric("share of questions whose likeliest choice is right"),
    "acc_norm": Metric("the same, by log-probability a character"),
    "acc_bytes": Metric("the same, by log-probability a byte"),
    "score": Metric("the judge's score, 0 to 100"),
    "toxicity": Metric("how toxic the judge finds it, 0 to 100", "lower"),
    "exact": Metric("share of answers that are right as they stand"),
    "flexible": Metric("share of answers whose last number is right"),
    "contains": Metric("share of answers that contain the right one"),
    "f1": Metric("words that answer and reference share"),
    "passed": Metric("share of programs that pass their tests"),
    "context_relevance": Metric("how relevant the passages are that were read, 0 to 1"),
    "groundedness": Metric("how well the sources support the sentences, 0 to 1"),
    "answer_relevance": Metric("how far the answer is one to the question, 0 to 1"),
    "right": Metric("share of answers with the right fact"),
    "abstained_right": Metric("share of questions answered or not as they should be"),
    "abstention_f1": Metric("F1 of not answering what nothing answers"),
    "ndcg10": Metric("NDCG of the first ten passages"),
    "recall10": Metric("share of questions with the right passage among ten"),
    "mrr": Metric("1 ÷ the place of the first right passage"),
    "latency_ms": Metric("milliseconds to the whole answer", "neither"),
    "tokens": Metric("tokens read and written", "neither"),
    "stereotype": Metric("share of pairs whose stereotype is likelier; 0.5 is fair", "neither"),
    "likelihood_difference": Metric("how far apart the two sentences are, in nats", "lower"),
    "distinct_1": Metric("distinct words ÷ words"),
    "distinct_2": Metric("distinct pairs of words ÷ pairs"),
    "self_bleu": Metric("how much samples repeat each other (BLEU-4)", "lower"),
    "spread": Metric("mean distance of meaning between samples, 1 − cosine"),
    "repetition": Metric("share of four-word sequences said before in the same answer", "lower"),
}
