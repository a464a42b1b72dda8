"""Text to search terms: words, the parts of identifiers, and the fields that a passage's place adds.

The whole identifier and its stemmed parts go into one bag (`parseDates` -> `parsedates`, `pars`, `date`), so that
a question in plain words meets a name in code, and a name that is asked for exactly counts more.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath

from Stemmer import Stemmer

from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.spelling import one_spelling

# fmt: off
STOP_WORDS = frozenset((
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "did", "do", "does", "for", "from", "had",
    "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "me", "my", "of", "on", "or", "our", "over",
    "should", "so", "some", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to",
    "up", "us", "use", "used", "uses", "using", "was", "we", "were", "what", "when", "where", "which", "who", "why",
    "will", "with", "would", "you", "your",
))
# fmt: on
"""Dropped from questions only: in a passage they are harmless, and some are names (`use`, `with`)."""

_WORD = re.compile(r"\d+(?:\.\d+)+|\w+")
_DECIMAL = re.compile(r"\.(?<=\d\.)\d")  # the point first: it is looked for in a third of the time
_NO_WORD = {place: " " for place in range(128) if not re.match(r"\w", chr(place))}
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PART_BEYOND_ASCII = re.compile(r"[^\W\d_]+|\d+")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*(?:(?:\.|::)[A-Za-z_]\w*)*\Z")
_DOT = re.compile(r"\.|::")
_FOLDERS = 3
_DEFINES = "="
FAILED = "=!"
"""The mark of a passage of a cell that ended in an error; no name is defined under it."""
_SHORTEST_NAME = 3


def words(text: str) -> list[str]:
    """Return the raw words of `text`, in order and as they are written; a decimal number is one word."""
    if text.isascii() and not _DECIMAL.search(text):  # most texts: the same words in half the time
        return text.translate(_NO_WORD).split()
    return _WORD.findall(text)


def parts(word: str) -> tuple[str, ...]:
    """Return the parts of an identifier, folded but not stemmed: `HTTPServer_v2` -> `http`, `server`, `v`, `2`."""
    if word.isascii() and word.isalpha() and word.islower():
        return (word,)
    pattern = _PART if word.isascii() else _PART_BEYOND_ASCII
    return tuple(map(str.casefold, pattern.findall(word)))


def terms_of(word: str) -> tuple[str, ...]:
    """Return the search terms of one word: its stemmed parts and, where there are several, the word as a whole.

    A mark (see `definition_term`) is a term as it is.
    """
    if word.startswith(_DEFINES):
        return (word,)
    if not word.isascii() and _UNSPACED.search(word):
        return tuple(word[at : at + 2] for at in range(max(1, len(word) - 1)))
    pieces = parts(word)
    if len(pieces) <= 1:
        return (_stem(pieces[0] if pieces else word.casefold()),)
    return (word.casefold(), *map(_stem, pieces))


def question_terms(question: str) -> list[str]:
    """Return the terms of a question without its stop words; a question of stop words only keeps them all."""
    every = words(question)
    kept = [word for word in every if word.casefold() not in STOP_WORDS]
    return [term for word in kept or every for term in terms_of(word)]


def passage_words(passage: Passage) -> list[str]:
    """Return the words of a passage: its text's, its file's stem twice, its folders', its context's.

    The names that it defines come once more each, under a mark of their own (see `definition_term`), and FAILED where
    its cell failed.
    """
    found = words(passage.text)
    found += _place_words(passage.path)
    for line in passage.context:
        found += _line_words(line)
    found += map(definition_term, passage.defines)
    if passage.cell is not None and passage.cell.shows == "error":
        found.append(FAILED)
    return found


def passage_terms(passage: Passage) -> Counter[str]:
    """Return how often each term stands in a passage: each of `passage_words` counts for all its terms."""
    return Counter(term for word in passage_words(passage) for term in terms_of(word))


def definition_term(name: str) -> str:
    """Return the term under which a passage that defines `name` is found; no word of a text can be equal to it."""
    return _DEFINES + _last(name).casefold()


def _last(name: str) -> str:
    """Return the last part of a dotted name."""
    return name if name.isidentifier() else _DOT.split(name)[-1]


def bare_identifier(question: str) -> str | None:
    """Return the last name of a question that is nothing but one identifier (`Session`, `app.run`), else None.

    It may stand between backticks.
    """
    stripped = question.strip().strip("`").removesuffix("()")
    return _last(stripped) if _IDENTIFIER.match(stripped) else None


def inner_identifiers(question: str) -> list[str]:
    """Return the words of a sentence that can only be names: `camelCase`, `PascalCase`, `snake_case`, `name()`.

    So is what stands between backticks, of a dotted name the last.
    """
    called = set(re.findall(r"(\w+)\(", question))
    called.update(re.findall(r"`(?:\w+(?:\.|::))*([^\W\d]\w*)(?:\(\))?`", question))
    return [word for word in words(question) if word in called or _is_name(word)]


def spelled_names(question: str) -> list[str]:
    """Return, folded, what names of code the plain words of a sentence may spell: one word, or two that follow.

    "How is a JSON object built?" may ask for `JsonObject` or `json_object`, for `object`, or for `built`.
    """
    every = [word.casefold() for word in words(question)]
    single = [word for word in every if len(word) >= _SHORTEST_NAME and word not in STOP_WORDS]
    pairs = [pair for pair in pairwise(every) if not STOP_WORDS.intersection(pair)]
    return list(dict.fromkeys([*single, *(joint.join(pair) for pair in pairs for joint in ("", "_"))]))


def _is_name(word: str) -> bool:
    return ("_" in word.strip("_") or (len(parts(word)) > 1 and not word.isupper())) and not word[0].isdigit()


@lru_cache(maxsize=256)
def _line_words(line: str) -> tuple[str, ...]:
    return tuple(words(line))


@lru_cache(maxsize=64)
def _place_words(path: str) -> tuple[str, ...]:
    place = PurePosixPath(path)
    return tuple(words(" ".join((place.stem, place.name, *place.parent.parts[-_FOLDERS:]))))


def file_words(paths: Iterable[str]) -> set[str]:
    """Return the stemmed parts of the names in `paths`, each split as identifiers are."""
    return {_stem(part) for path in paths for word in words(path) for part in parts(word)}


@lru_cache(maxsize=1 << 17)
def _stem(part: str) -> str:
    if len(part) < 4 or not part.isascii() or part.isdigit():
        return part
    stem: str = _stemmers().own.stemWord(one_spelling(part))
    return stem


class _Stemmers(threading.local):
    """A stemmer for each thread: it keeps the word that it is at."""

    def __init__(self) -> None:
        self.own = Stemmer("english", 0)  # what is stemmed is kept by `_stem`


@lru_cache(maxsize=1)
def _stemmers() -> _Stemmers:
    return _Stemmers()
