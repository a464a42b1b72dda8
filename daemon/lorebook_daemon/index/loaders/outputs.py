"""The outputs of a notebook's cell as lines of text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from lorebook_daemon.index.loaders.html import extract

MOST_LINES = 60
"""Lines of one output; of more, the middle is left out and counted."""
LONGEST_LINE = 500
"""Characters of one line; of more, the middle is left out and counted."""
MOST_FRAMES = 16
"""Lines of a traceback."""

Output = dict[str, Any]

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_OBJECT = re.compile(r"^<[^<>]*(?: at 0x[0-9a-fA-F]+| object)>$")
_RULE = re.compile(r"^-{20,}$")


def output_lines(outputs: Any) -> list[str]:
    """Return the outputs in their order: streams, results, errors; a picture is a line that names its kind."""
    shown = (_LINES[kind](one) for one in _joined(outputs) if (kind := one.get("output_type")) in _LINES)
    return [_short_line(line) for lines in shown for line in lines]


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


def _stream(output: Output) -> list[str]:
    return _short(_plain_lines(_text(output.get("text"))), MOST_LINES)


def _error(output: Output) -> list[str]:
    summary = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}".strip()
    frames = output.get("traceback")
    text = "\n".join(_text(frame) for frame in frames) if isinstance(frames, list) else ""
    lines = [line for line in _plain_lines(text) if line.strip() and not _RULE.match(line) and line != summary]
    return [*_plain_lines(summary), *_short(lines, MOST_FRAMES)]


def _result(output: Output) -> list[str]:
    data = output.get("data")
    if not isinstance(data, dict):
        return []
    plain = _text(data.get("text/plain")).strip("\n")
    images = [mime for mime in data if str(mime).startswith("image/")]
    if images:
        return [f"[{images[0]}] {_alt(output, images[0]) or plain.partition(chr(10))[0]}".rstrip()]
    return _short(_plain_lines(_best(data, plain)), MOST_LINES)


def _best(data: dict[str, Any], plain: str) -> str:
    """Return the plain text, or another form where the plain one only names an object."""
    if plain and not _OBJECT.match(plain):
        return plain
    if "text/html" in data:
        return "\n".join(line.text for line in extract(_text(data["text/html"]))) or plain
    for mime in ("text/markdown", "text/latex"):
        if mime in data:
            return _text(data[mime])
    if "application/json" in data:
        return json.dumps(data["application/json"], ensure_ascii=False, indent=1)
    return plain


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


_LINES: dict[Any, Callable[[Output], list[str]]] = {
    "stream": _stream,
    "error": _error,
    "execute_result": _result,
    "display_data": _result,
}
