"""The outputs of a notebook's cell as lines of text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lorebook_daemon.index.loaders.html import extract

MOST_LINES = 60
"""Lines of one output; of more, the middle is left out and counted."""
LONGEST_LINE = 500
"""Characters of one line; of more, the middle is left out and counted."""
MOST_FRAMES = 16
"""Lines of a traceback."""
MOST_HTML = 20_000
"""Characters of one output's HTML that are read; the rest is counted. Its lines are no more than MOST_LINES anyway."""
ALL_HTML = 200_000
"""The same, of all outputs of a notebook: a parser of HTML takes its time on what is made to take it."""

Output = dict[str, Any]

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_OBJECT = re.compile(r"^<[^<>]*(?: at 0x[0-9a-fA-F]+| object)>$")
_RULE = re.compile(r"^-{20,}$")
_FIGURE = re.compile(r"^<Figure size [^<>]*>$")
_TAG = re.compile(r"<[^<>]*>")
_OPENED = re.compile(r"<[a-zA-Z/!?]")


@dataclass
class Room:
    """How much HTML of a notebook's outputs may still be read."""

    characters: int = ALL_HTML

    def take(self, html: str) -> tuple[str, int]:
        """Return the beginning of some HTML, without a tag that is not closed at its end, and how much is left out."""
        cut = html[: min(MOST_HTML, self.characters)]
        self.characters -= len(cut)
        open_tag = _OPENED.search(cut, cut.rfind(">") + 1)  # which shows nothing, and takes the parser longest
        return cut[: open_tag.start()] if open_tag else cut, len(html) - len(cut)


@dataclass(frozen=True, slots=True)
class Shown:
    """The outputs of a cell: their lines, and what they are.

    `kind` is `error` where one is an error, else `image`, else `text`, and empty where there is no line.
    """

    lines: tuple[str, ...]
    kind: str


def rendered(outputs: Any, caption: str = "", room: Room | None = None) -> Shown:
    """Return the outputs in their order: streams, results, errors. `room` is the notebook's, which they take from.

    A picture is a line that names its kind, and says what is known of it: its alternative text, else `caption`.
    """
    room = room or Room()
    lines: list[str] = []
    kinds = set()
    for one in _joined(outputs):
        if own := _lines(one, caption, room):
            lines += map(_short_line, own)
            kinds.add(_kind(one))
    return Shown(tuple(lines), next((kind for kind in ("error", "image", "text") if kind in kinds), ""))


def _lines(output: Output, caption: str, room: Room) -> list[str]:
    kind = output.get("output_type")
    return _LINES[kind](output, caption, room) if kind in _LINES else []


def _kind(output: Output) -> str:
    if output.get("output_type") == "error":
        return "error"
    data = output.get("data")
    return "image" if isinstance(data, dict) and _images(data) else "text"


def _images(data: dict[str, Any]) -> list[str]:
    return [str(mime) for mime in data if str(mime).startswith("image/")]


def _joined(outputs: Any) -> Iterator[Output]:
    """Yield the outputs, neighbouring parts of one stream as one."""
    held: Output | None = None
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        if held is not None and output.get("output_type") == "stream" and held.get("name") == output.get("name"):
            held = {**held, "text": _text(held.get("text")) + _text(output.get("text"))}
            continue
        if held is not None:
            yield held
            held = None
        if output.get("output_type") == "stream":
            held = dict(output)
        else:
            yield output
    if held is not None:
        yield held


def _stream(output: Output, caption: str, room: Room) -> list[str]:
    return _short(_plain_lines(_text(output.get("text"))), MOST_LINES)


def _error(output: Output, caption: str, room: Room) -> list[str]:
    summary = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}".strip()
    frames = output.get("traceback")
    text = "\n".join(_text(frame) for frame in frames) if isinstance(frames, list) else ""
    lines = [line for line in _plain_lines(text) if line.strip() and not _RULE.match(line) and line != summary]
    return [*_plain_lines(summary), *_short(lines, MOST_FRAMES)]


def _result(output: Output, caption: str, room: Room) -> list[str]:
    data = output.get("data")
    if not isinstance(data, dict):
        return []
    plain = _text(data.get("text/plain")).strip("\n")
    if images := _images(data):
        first = plain.partition("\n")[0]
        named = "" if _FIGURE.match(first) or _OBJECT.match(first) else first
        return [f"[{images[0]}] {_alt(output, images[0]) or caption or named or first}".rstrip()]
    return _short(_plain_lines(_best(data, plain, room)), MOST_LINES)


def _best(data: dict[str, Any], plain: str, room: Room) -> str:
    """Return the plain text, or another form where the plain one only names an object."""
    if plain and not _OBJECT.match(plain):
        return plain
    if "text/html" in data:
        return _seen(_text(data["text/html"]), plain, room)
    for mime in ("text/markdown", "text/latex"):
        if mime in data:
            return _text(data[mime])
    if "application/json" in data:
        return json.dumps(data["application/json"], ensure_ascii=False, indent=1)
    return plain


def _seen(html: str, plain: str, room: Room) -> str:
    """Return the text of some HTML, `plain` where it has none; what the parser refuses is read without its tags."""
    from bs4.builder import ParserRejectedMarkup

    markup, left_out = room.take(html)
    try:
        text = "\n".join(line.text for line in extract(markup))
    except (ParserRejectedMarkup, RecursionError):
        text = _TAG.sub(" ", markup).strip()
    note = f"\n[… {left_out:,} characters of HTML left out …]" if left_out else ""
    return (text or plain) + note


def _alt(output: Output, mime: str) -> str:
    metadata = output.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    own = metadata.get(mime)
    return str(metadata.get("alt") or (own.get("alt") if isinstance(own, dict) else "") or "")


def _text(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value if value is not None else "")


def _plain_lines(text: str) -> list[str]:
    """Return the lines as a terminal leaves them: no colours, and of overwritten text only the last."""
    bare = _ANSI.sub("", text).replace("\r\n", "\n").strip("\n")
    return [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in bare.split("\n")] if bare.strip() else []


def _short(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    head = most * 2 // 3
    tail = most - head - 1
    return [*lines[:head], f"[… {len(lines) - head - tail:,} lines left out …]", *lines[-tail:]]


def _short_line(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    half = LONGEST_LINE // 2
    return f"{line[:half]} [… {len(line) - 2 * half:,} characters left out …] {line[-half:]}"


_LINES: dict[Any, Callable[[Output, str, Room], list[str]]] = {
    "stream": _stream,
    "error": _error,
    "execute_result": _result,
    "display_data": _result,
}
