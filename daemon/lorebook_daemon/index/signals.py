"""What a ranking of passages learns from names, files and folders: one function a signal, in the order applied.

A signal takes the question, the passages and their scores, and returns new scores. What code says by its names and
files is no measure for a notebook, a document or a table: `search` lets `SIGNALS` move code among code only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from lorebook_daemon.index.links import linked
from lorebook_daemon.index.passage import Cell, Passage
from lorebook_daemon.index.rank import Question, best_first
from lorebook_daemon.index.tokens import STOP_WORDS, file_words, words
from lorebook_daemon.index.wanted import Form, failed_here

Scores = NDArray[np.float64]
Signal = Callable[[Question, Sequence[Passage], Scores], Scores]

# Each is a share of the best score, or a factor. Measured on the eight development repositories of
# benchmarks/README.md, where a difference below 0.015 is noise: the order of size matters, not the second digit.
DEFINES_ASKED = 1.5
DEFINES_NAMED = 0.5
DEFINES_SPELLED = 0.3  # 0.15 to 0.4 are equally good
FEW_DEFINE = 3
IN_PATH = 1.0  # a file called by all words of the question rises as much as the best passage is worth
IN_FOLDER = 0.5  # a folder has many files, so that its name says half as much of each
TOGETHER = 0.2  # several hits in one file are a hint, and must not outweigh one good hit; without it 0.86 for 0.88
SIDE = 0.3  # tests and examples use all names that they are about: they would stand before what they test
ENTRY = 0.5  # such a file repeats the names of its package, and now and then defines them
NEXT_IN_FILE = 0.5
NEXT_CELL = 0.3  # 0.2 to 0.4 are equally good on the development queries of notebooks and on the sample questions
ANSWERS_FORM = 0.15  # of a cell's own score; 0.1 to 0.3 are equally good on the development queries of notebooks
FAILED_CELL = 0.5  # the same of a failed cell; 0.75 costs questions about quantities that are called errors
FAILED_HERE = 1.5  # where the question says that something failed; a cell that it has no word of stays low
CELL_DEFINES = 0.3  # of the best score, as are those of code
CELL_SETS = 1.5  # as for an identifier in code: that cell comes first, whatever is near it
LINKED = 0.5  # of the other's score; 0.3 is as good for the samples, and worse for half of benchmarks/linked
LINKED_ASKED = 0.4  # more, as far as the question speaks of the name

_PATHS = 8192
"""Files of which it is remembered what their names say: the same ones come up in question after question."""
_NOT_TAKEN: frozenset[Form] = frozenset(("reason", "result", "error", "picture"))
"""Forms of answer that stand in the notebook itself: in a note, or in what a cell shows."""
SPREAD = "spread"
"""The signal that serves who looks for files, and costs who asks for a fact a place."""

_SIDE = re.compile(
    r"(^|/)(tests?|__tests__|testing|specs?|examples?|samples?|docs?_?src|docs|benchmarks?|_?compat|legacy|deprecated"
    r"|vendor|third_party|node_modules)/|(^|/)(test_[^/]*|conftest\.py)$|[._-](test|tests|spec)\.\w+$|Tests?\.\w+$"
    r"|(^|/)_?(compat|legacy|deprecated)\.\w+$"
)
_ENTRY = re.compile(r"(^|/)(__init__\.py|package-info\.java|doc\.go|mod\.rs|index\.[jt]sx?)$|\.d\.ts$")
_ABOUT_TESTS = re.compile(r"\b(tests?|tested|testing|fixtures?|mock(s|ed)?|assert\w*|examples?|benchmarks?)\b", re.I)


def definition(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise the passage that defines the identifier asked for; less, where the identifier stands in a sentence."""
    asked = {name.casefold() for name in question.asked}
    if not asked:
        return scores
    share = DEFINES_ASKED if question.identifier else DEFINES_NAMED
    defining = [any(name.casefold() in asked for name in passage.defines) for passage in passages]
    raised: Scores = scores + share * scores.max() * np.array(defining, np.float64)
    return raised


def spelled_definition(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise what defines a name that the question spells in plain words; nothing, where more than a few define it."""
    definers: dict[str, list[int]] = {name: [] for name in question.spelled}
    for place, passage in enumerate(passages):
        for name in definers.keys() & map(str.casefold, passage.defines) if passage.defines else ():
            definers[name].append(place)
    raised, most = scores.copy(), scores.max()
    for places in definers.values():
        if 0 < len(places) <= FEW_DEFINE:
            raised[places] += DEFINES_SPELLED * most / len(places)
    return raised


def path_words(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise passages whose file is called what the question speaks of, and, less, whose folder is."""
    asked = file_words(word for word in words(question.text) if word.casefold() not in STOP_WORDS)
    if not asked:
        return scores
    named = {path: _named(asked, path) for path in {passage.path for passage in passages}}
    raised: Scores = scores + scores.max() * np.array([named[passage.path] for passage in passages])
    return raised


def together(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise the best passage of each file by how much of all that was found stands in that file."""
    sums: dict[str, float] = defaultdict(float)
    first: dict[str, int] = {}
    raised = scores.tolist()  # single items of a list are quicker to come by than those of an array
    for place in best_first(scores).tolist():
        path = passages[place].path
        sums[path] += raised[place]
        first.setdefault(path, place)
    most = max(sums.values()) or 1.0  # nothing is worth anything where what was found is no code
    share = TOGETHER * float(scores.max())
    for path, place in first.items():
        raised[place] += share * sums[path] / most
    return np.array(raised)


def side_files(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Lower tests, examples, compatibility and entry files, unless the question is about tests or examples."""
    if _ABOUT_TESTS.search(question.text):
        return scores
    lowered: Scores = scores * np.array([_standing(passage.path) for passage in passages])
    return lowered


def spread(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Halve each further passage of a file, so that the top shows several files."""
    seen: dict[str, int] = defaultdict(int)
    lowered = scores.tolist()
    for place in best_first(scores).tolist():
        path = passages[place].path
        lowered[place] *= NEXT_IN_FILE ** seen[path]
        seen[path] += 1
    return np.array(lowered)


def cell_definition(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise the cell that defines a name asked for, more where the question wants to see it set.

    Half as much one that sets it anew from what it was. Code that sets what is sought rises with the cell, so that a
    script is not left behind a notebook. Not where an error is asked for: the cell that failed for want of a name is
    another than the one that has it.
    """
    is_cell = [one.cell is not None for one in passages]
    if "error" in question.forms or not any(is_cell):
        return scores
    sought = {*question.sought, *_few_define(question.about, passages)}
    asked = {name.casefold() for name in question.asked}
    sets = [(CELL_SETS * _first_sets(one, sought), CELL_DEFINES * _first_sets(one, asked)) for one in passages]
    if not any(max(each) for each, cell in zip(sets, is_cell, strict=True) if cell):
        return scores
    shares = [max(each) if cell else each[0] for each, cell in zip(sets, is_cell, strict=True)]
    raised: Scores = scores + scores.max() * np.array(shares)
    return raised


def answer_form(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise the cells that can be what was asked for: a note where it is why, the failed cell where it is an error."""
    forms = question.forms
    fits = [ANSWERS_FORM * (one.cell is not None and _answers(one.cell, forms)) for one in passages]
    if "error" in forms:
        share = FAILED_HERE if failed_here(question.text) else FAILED_CELL
        fits = [share if failed(one) else fit for one, fit in zip(passages, fits, strict=True)]
    raised: Scores = scores * (1 + np.array(fits, np.float64))
    return raised


def neighbours(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise the cells of a notebook that stand beside others that were found: note, code and output tell one story."""
    best: dict[tuple[str, int], float] = {}
    cells = [(place, (p.path, p.cell.index)) for place, p in enumerate(passages) if p.cell is not None]
    for place, cell in cells:
        best[cell] = max(best.get(cell, 0.0), float(scores[place]))
    raised = scores.copy()
    for place, (path, index) in cells:
        beside = best.get((path, index - 1), 0.0) + best.get((path, index + 1), 0.0)
        raised[place] = (scores[place] + NEXT_CELL * beside) / (1 + NEXT_CELL)
    return raised


def links(question: Question, passages: Sequence[Passage], scores: Scores) -> Scores:
    """Raise what sets a name that a cell takes from another file, by the cell; and the cell, by what it takes.

    What sets it more, where the question speaks of the name: it is asked about, and the cell only uses it. Not where
    a reason, a result, an error or a picture is asked for: a module has none of these.
    """
    if _NOT_TAKEN & question.forms:
        return scores
    pairs = linked(passages)
    asked = file_words(words(question.text)) if pairs else set()
    most = np.zeros(len(scores))
    for (user, setter), names in pairs.items():
        share = max(len(asked & parts) / max(1, len(parts)) for parts in (file_words([name]) for name in names))
        most[setter] = max(most[setter], (LINKED + LINKED_ASKED * share) * scores[user])
        most[user] = max(most[user], LINKED * scores[setter])
    raised: Scores = scores + most
    return raised


SIGNALS: dict[str, Signal] = {
    "definition": definition,
    "spelled definition": spelled_definition,
    "path words": path_words,
    "together": together,
    "side files": side_files,
    SPREAD: spread,
}
"""The signals of code by name, in the order in which they are applied; an ablation leaves some out."""

CELL_SIGNALS: dict[str, Signal] = {
    "cell definition": cell_definition,
    "answer form": answer_form,
    "neighbours": neighbours,
    "links": links,
}
"""The signals of notebooks, likewise; they see every passage and move cells among all."""


def _named(asked: set[str], path: str) -> float:
    """Return the share of the question's words in the path's names, those of the file first."""
    stem, folder = _path_words(path)
    inside = len(asked & stem) * IN_PATH + len((asked - stem) & folder) * IN_FOLDER
    return inside / len(asked)


@lru_cache(maxsize=_PATHS)
def _path_words(path: str) -> tuple[set[str], set[str]]:
    place = PurePosixPath(path)
    return file_words([place.stem]), file_words([place.parent.name])


@lru_cache(maxsize=_PATHS)
def _standing(path: str) -> float:
    return (SIDE if _SIDE.search(path) else 1.0) * (ENTRY if _ENTRY.search(path) else 1.0)


def _first_sets(passage: Passage, asked: set[str]) -> float:
    """Return 1 for what defines a name asked for, 0.5 for a cell that also uses what the name stood for before."""
    sets = {name.casefold() for name in passage.defines} & asked
    if not sets:
        return 0.0
    before = {name.casefold() for name in passage.uses} if passage.cell else set()
    return 1.0 if sets - before else 0.5


def _few_define(name: str | None, passages: Sequence[Passage]) -> tuple[str, ...]:
    """Return the name where a few cells define it: what many define is a word like others."""
    cells = {
        (one.path, one.cell.index)
        for one in passages
        if name and one.cell and name in (own.casefold() for own in one.defines)
    }
    return (name,) if name and len(cells) <= FEW_DEFINE else ()


def failed(passage: Passage) -> bool:
    """Say whether the passage is of a cell that ended in an error."""
    return passage.cell is not None and passage.cell.shows == "error"


def _answers(cell: Cell, forms: frozenset[Form]) -> bool:
    fitting: dict[Form, bool] = {
        "reason": cell.type == "markdown",
        "error": cell.shows == "error",
        "result": cell.shows in ("text", "image"),
        "picture": cell.shows == "image",
        "code": cell.type == "code",
    }
    return any(fitting[form] for form in forms)
