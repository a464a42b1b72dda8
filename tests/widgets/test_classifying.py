"""`lorebook.classify`: labels in order, shown as a table."""

from __future__ import annotations

import lorebook
from fake_daemon import FakeDaemon


def test_labels_come_in_the_order_of_the_texts(fake: FakeDaemon) -> None:
    told = lorebook.classify(["brief", "a <very> long text"], "sizes")
    assert list(told) == ["short", "long"] and len(told) == 2 and told[1:] == ("long",)
    assert told.probabilities[0] == {"long": 0.2, "short": 0.8}
    assert "short  0.80  brief" in repr(told)
    assert "a &lt;very&gt; long text" in told._repr_html_()
    assert fake.of("/api/classify")[-1].body["classifier"] == "sizes"


def test_one_text_may_stand_alone(fake: FakeDaemon) -> None:
    assert list(lorebook.classify("brief", "sizes")) == ["short"]


def test_a_classifier_need_not_be_named(fake: FakeDaemon) -> None:
    assert list(lorebook.classify("brief")) == ["short"]
    assert fake.of("/api/classify")[-1].body["classifier"] == ""
