"""Text that others wrote, made safe to show as Markdown.

An answer, and the lines it cites, come from files that may hold anything. In a notebook's output Markdown may carry
HTML that runs, and images that call home. So HTML, links and images of such text are shown, never acted on; what
stays of its Markdown is emphasis, lists, headings and code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote as quote_url

from lorebook_api.fence import CONTROL, code_block

_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n`]*)\n(.*?)(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)(`+)(?!`)([^\n]+?)(?<!`)\1(?!`)")
_ACTIVE = str.maketrans({mark: f"&#{ord(mark)};" for mark in "<>&[]`$\\"})
_ANY = str.maketrans({mark: f"&#{ord(mark)};" for mark in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"})
_MARK = re.compile(r"&#91;(\d{1,4})&#93;")
_BARE_URL = re.compile(r"(?i)\b(https?|ftp|mailto|www)(?=[:.])")


def plain(text: str) -> str:
    """Return `text` as Markdown that shows exactly these characters, on one line."""
    return " ".join(CONTROL.sub("", text).split()).translate(_ANY)


def prose(text: str, marks: Mapping[int, str] = MappingProxyType({})) -> str:
    """Return an answer's text with its Markdown, but without anything that acts: HTML, links, images, formulas.

    Outside code, `[1]` becomes `marks[1]`; what looks like a mark but is none stays text.
    """
    parts: list[str] = []
    end = 0
    for block in _FENCED.finditer(text):
        parts += [_inline(text[end : block.start()], marks), code_block(block[3], block[2].strip())]
        end = block.end()
    parts.append(_inline(text[end:], marks))
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def link(words: str, target: str) -> str:
    """Return a link whose words are shown as they are; `target` is a relative path or a URL, with its fragment."""
    path, mark, fragment = target.partition("#")
    safe = quote_url(path, safe="/:%") + mark + quote_url(fragment, safe="=")
    return f"[{plain(words)}](<{safe}>)"


def _inline(text: str, marks: Mapping[int, str]) -> str:
    """Escape what acts; code between backticks becomes an element of its own, so that no backtick is left over."""
    parts: list[str] = []
    end = 0
    for code in _INLINE.finditer(text):
        parts += [
            _passive(text[end : code.start()], marks),
            f"<code>{CONTROL.sub('', code[2]).strip().translate(_ANY)}</code>",
        ]
        end = code.end()
    parts.append(_passive(text[end:], marks))
    return "".join(parts)


def _passive(text: str, marks: Mapping[int, str]) -> str:
    escaped = CONTROL.sub("", text.replace("\r\n", "\n")).translate(_ACTIVE)
    # A renderer may turn a bare URL into a link; an entity inside the scheme keeps it text.
    escaped = _BARE_URL.sub(lambda scheme: f"{scheme[1][0]}&#{ord(scheme[1][1])};{scheme[1][2:]}", escaped)
    # Four spaces would start a code block, in which the entities above would show as such.
    escaped = re.sub(r"(?m)^(?: {4,}| *\t\s*)", "   ", escaped)
    return _MARK.sub(lambda mark: marks.get(int(mark[1]), mark[0]), escaped)
