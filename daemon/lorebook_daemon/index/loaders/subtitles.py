"""Subtitles and transcripts (SubRip, WebVTT): what is said in audio and video, by its time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import groupby
from pathlib import Path

from lorebook_daemon.index.loaders.encoding import read_lines, refuse_binary
from lorebook_daemon.index.passage import Unit, Unreadable

STRETCH_S = 120
"""Seconds that one unit covers."""
_TIMES = re.compile(r"^\s*(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})\s*-->")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s+([^\s<>][^<>]*)>")
_TAG = re.compile(r"</?[A-Za-z0-9][^<>]*>|\{\\[^{}]*\}")

Cue = tuple[int, str]
"""The second at which it begins, and what is said."""


def load_subtitles(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each two minutes: a line for each cue, `[0:01:07] text`, lines counting in that text.

    Context is the time. Who speaks is kept, where the file says it; a line that is shown twice, as scrolling
    captions do, is kept once. Raises Unreadable for what holds no cues.
    """
    refuse_binary(data)
    if not data.strip():
        return []
    cues = list(_cues(read_lines(data)))
    if not cues:
        raise Unreadable("not subtitles: no times in it")
    units: list[Unit] = []
    line = 1
    for stretch, group in groupby(cues, lambda cue: cue[0] // STRETCH_S):
        rows = [f"[{_clock(second)}] {said}" for second, said in group]
        context = (f"from {_clock(stretch * STRETCH_S)} to {_clock((stretch + 1) * STRETCH_S)}",)
        units.append(Unit("\n".join(rows), "doc", start_line=line, context=context))
        line += len(rows)
    return units


def _cues(text: str) -> Iterator[Cue]:
    """Yield the cues with text, without the lines that the cue before already showed."""
    shown: set[str] = set()
    for second, rows in _blocks(text.split("\n")):
        said = [bare for row in rows if (bare := _plain(row))]
        fresh = [row for row in said if row not in shown]
        shown = set(said)
        if fresh:
            yield second, " ".join(fresh)


def _blocks(rows: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each cue's second and its rows: those from its times to the next blank one."""
    second, held = -1, list[str]()
    for row in [*rows, ""]:
        times = _TIMES.match(row)
        if times or not row.strip():
            if second >= 0:
                yield second, held
            second, held = (_seconds(times) if times else -1), []
        elif second >= 0:
            held.append(row)


def _seconds(times: re.Match[str]) -> int:
    return int(times[1] or 0) * 3600 + int(times[2]) * 60 + int(times[3])


def _plain(row: str) -> str:
    return " ".join(unescape(_TAG.sub("", _VOICE.sub(r"\1: ", row))).split())


def _clock(second: int) -> str:
    return f"{second // 3600}:{second // 60 % 60:02}:{second % 60:02}"
