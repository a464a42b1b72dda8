"""E-mail (RFC 5322, MIME) and mailboxes (RFC 4155): a unit for each message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from pathlib import Path

from lorebook_daemon.index.loaders.encoding import refuse_binary, with_newlines
from lorebook_daemon.index.loaders.html import extract
from lorebook_daemon.index.passage import Unit, Unreadable

HEADERS = ("From", "To", "Cc", "Date", "Subject")
MOST_PARTS = 500
_ENVELOPE = re.compile(rb"(?:\A|\n\r?\n)From [^\n]*\n")
_QUOTED_ENVELOPE = re.compile(rb"^>(>*From )", re.MULTILINE)
_ANY_HEADER = re.compile(rb"\A[!-9;-~]+:")


def load_message(path: Path, data: bytes) -> list[Unit]:
    """Return one message as a unit: its headers, its text, its attachments' names; nothing is opened or fetched.

    Lines count in that text. Where there is no plain text, the HTML is read. Raises Unreadable for what is no
    message.
    """
    refuse_binary(data)
    if not data.strip():
        return []
    if not _ANY_HEADER.match(data.lstrip()):
        raise Unreadable("not an e-mail: it does not begin with a header")
    text, subject = _shown(data.lstrip())
    return [Unit(text, "doc", context=(subject,) if subject else ())]


def load_mailbox(path: Path, data: bytes) -> list[Unit]:
    """Return a unit for each message, as `load_message` does; lines count on from message to message.

    Context is the message's number and subject; how many could not be read is said with the first. Raises
    Unreadable for what is no mailbox.
    """
    refuse_binary(data)
    if not data.strip():
        return []
    if not _ENVELOPE.match(data):
        raise Unreadable("not a mailbox: it does not begin with a From line")
    units: list[Unit] = []
    broken: list[int] = []
    line = 1
    for number, message in enumerate(_messages(data), 1):
        try:
            text, subject = _shown(message)
        except Exception:  # the standard library's parser of headers fails in many ways; the others can be read
            broken.append(number)
            continue
        context = (f"message {number}", subject) if subject else (f"message {number}",)
        units.append(Unit(text, "doc", start_line=line, context=context))
        line += text.count("\n") + 1
    return _with_note(units, broken)


def _with_note(units: list[Unit], broken: list[int]) -> list[Unit]:
    if not broken:
        return units
    if not units:
        raise Unreadable("a mailbox of which no message can be read")
    first = units[0]
    note = f"{len(broken):,} of {len(units) + len(broken):,} messages could not be read"
    return [Unit(first.text, "doc", context=(note, *first.context)), *units[1:]]


def _messages(data: bytes) -> Iterator[bytes]:
    starts = list(_ENVELOPE.finditer(data))
    for place, envelope in enumerate(starts):
        end = starts[place + 1].start() if place + 1 < len(starts) else len(data)
        yield _QUOTED_ENVELOPE.sub(rb"\1", data[envelope.end() : end])


def _shown(data: bytes) -> tuple[str, str]:
    """Return a message's text and its subject."""
    message = message_from_bytes(data, policy=policy.default)
    headers = [f"{name}: {value}" for name in HEADERS if (value := _header(message, name))]
    attached = [name for part in _attachments(message) if (name := " ".join((part.get_filename() or "").split()))]
    lines = [*headers, *([f"Attachments: {', '.join(attached)}"] if attached else []), "", *_body(message)]
    return with_newlines("\n".join(lines)).rstrip(), _header(message, "Subject")


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message[name] or "").split())


def _attachments(message: EmailMessage) -> list[EmailMessage]:
    parts = [part for part, _ in zip(message.walk(), range(MOST_PARTS), strict=False)]
    return [part for part in parts if isinstance(part, EmailMessage) and not part.is_multipart()]


def _body(message: EmailMessage) -> list[str]:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return []
    text = text_of(part)
    if part.get_content_type() == "text/html":
        return [line.text for line in extract(text)]
    return [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]


def text_of(part: MIMEPart) -> str:
    """Return a part's text, in its own encoding where Python knows that, else as UTF-8 with what fits."""
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    try:
        return content.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")
