"""The benchmark of retrieval says what it leaves out, and what it is held against."""

import sys
from types import SimpleNamespace

import pytest

from benchmarks import retrieval
from benchmarks.corpora import Corpus
from lorebook_daemon.index.signals import SIGNALS

STANDS_IN = {
    "ensure_embedder": lambda home, report: SimpleNamespace(path=None),
    "MiniLM": lambda path: None,
    "Kept": lambda embedder, folder: None,
    "samples": lambda embedder: "samples",
    "repositories": lambda folder, kept: [folder.name],
    "find_home": lambda: None,
}


def printed(monkeypatch, capsys, mean, *asked):
    """Return what a run prints whose tables all have this mean."""
    for name, instead in STANDS_IN.items():
        monkeypatch.setattr(retrieval, name, instead)
    monkeypatch.setattr(retrieval, "_table", lambda corpora, embedder, ablate, ranks=False: {"ours": mean})
    monkeypatch.setattr(sys, "argv", ["retrieval", *asked])
    retrieval.main()
    return capsys.readouterr().out


@pytest.mark.parametrize("asked", [[], ["--quick"]])
def test_without_the_repositories_it_says_what_is_left_out(monkeypatch, capsys, asked):
    monkeypatch.delenv("LOREBOOK_BENCH", raising=False)
    told = printed(monkeypatch, capsys, 0.9, *asked)
    assert "LOREBOOK_BENCH" in told and "annotations.txt" in told
    assert "reached" not in told.lower()


@pytest.mark.parametrize(("mean", "verdict"), [(0.875, "   reached"), (0.874, "NOT REACHED")])
def test_with_them_it_says_whether_the_reach_was_reached(monkeypatch, capsys, tmp_path, mean, verdict):
    monkeypatch.setenv("LOREBOOK_BENCH", str(tmp_path))
    told = printed(monkeypatch, capsys, mean)
    assert verdict in told and "0.875" in told
    assert "LOREBOOK_BENCH" not in told


def test_each_signal_and_each_way_in_is_left_out_once(monkeypatch, capsys):
    monkeypatch.setattr(retrieval, "_measured", lambda corpora, make, ranks: (0.5, "measured"))
    means = retrieval._table([Corpus([], None, [])], None, ablate=True)
    left_out = {name.removeprefix("ours without ") for name in means}
    assert {*SIGNALS, "links", "by name", "by failure", "following", "pairing"} <= left_out
    assert set(means.values()) == {0.5}
