import plistlib
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorebook_daemon.index.loaders.message import load_mailbox, load_message
from lorebook_daemon.index.loaders.webpage import load_mhtml, load_webarchive
from lorebook_daemon.index.passage import Unreadable

FILE = Path("a.eml")


def message(subject="Wells, März", body="The level is 3.4 m.\n\nBest\n", html="", attachment=""):
    mail = EmailMessage()
    mail["From"] = "Ann Müller <ann@example.org>"
    mail["To"] = "bob@example.org"
    mail["Subject"] = subject
    mail["X-Other"] = "not shown"
    mail.set_content(body)
    if html:
        mail.add_alternative(html, subtype="html")
    if attachment:
        mail.add_attachment(b"\0\1", maintype="application", subtype="pdf", filename=attachment)
    return mail


def test_a_message_has_headers_text_and_the_names_of_what_is_attached():
    data = message(html="<p>other</p>", attachment="plan of März.pdf").as_bytes()
    (unit,) = load_message(FILE, data)
    assert unit.context == ("Wells, März",)
    assert unit.text.split("\n") == [
        "From: Ann Müller <ann@example.org>",
        "To: bob@example.org",
        "Subject: Wells, März",
        "Attachments: plan of März.pdf",
        "",
        "The level is 3.4 m.",
        "",
        "Best",
    ]


def test_where_there_is_only_html_it_is_read():
    mail = EmailMessage()
    mail["Subject"] = "x"
    mail.set_content("<h1>Hi</h1><p>one<br>two</p><script>no()</script>", subtype="html")
    (unit,) = load_message(FILE, mail.as_bytes())
    assert unit.text == "Subject: x\n\nHi\none\ntwo"


def test_an_unknown_encoding_is_no_reason_to_lose_a_message():
    (unit,) = load_message(FILE, b"Subject: x\nContent-Type: text/plain; charset=klingon\n\nwords\n")
    assert unit.text.endswith("words")


def test_a_mailboxs_messages_are_units():
    mails = [message("one"), message("", "text\n\n>From here on\nFrom the start\n"), message("three")]
    data = b"".join(b"From ann@example.org Mon Jan  1 10:00:00 2024\n" + mail.as_bytes() + b"\n" for mail in mails)
    units = load_mailbox(FILE, data.replace(b"\nFrom the", b"\n>From the"))
    assert [unit.context for unit in units] == [("message 1", "one"), ("message 2",), ("message 3", "three")]
    assert "\nFrom here on\nFrom the start" in units[1].text
    assert units[1].start_line == units[0].text.count("\n") + 2


def test_messages_that_cannot_be_read_are_counted(monkeypatch):
    data = b"From a\nSubject: one\n\nx\n\nFrom a\nSubject: two\n\ny\n"
    from lorebook_daemon.index.loaders import message as module

    whole = module._shown

    def broken(one):
        if b"two" in one:
            raise IndexError
        return whole(one)

    monkeypatch.setattr(module, "_shown", broken)
    (unit,) = load_mailbox(FILE, data)
    assert unit.context == ("1 of 2 messages could not be read", "message 1", "one")
    with pytest.raises(Unreadable, match="no message"):
        load_mailbox(FILE, b"From a\nSubject: two\n\ny\n")


@pytest.mark.parametrize(("load", "data"), [(load_message, b"hello there"), (load_mailbox, b"Subject: x\n\ny")])
def test_what_is_no_mail_is_refused(load, data):
    with pytest.raises(Unreadable, match="does not begin"):
        load(FILE, data)


@pytest.mark.parametrize("load", [load_message, load_mailbox, load_mhtml])
def test_nothing_is_in_an_empty_file(load):
    assert load(FILE, b"\n") == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="ab \n>From:", max_size=40), max_size=6))
def test_the_messages_of_a_mailbox_are_all_there_whatever_stands_in_them(bodies):
    safe = ["\n".join(f"|{row}" for row in body.split("\n")) for body in bodies]
    data = "".join(f"From x\nSubject: s\n\n{body}\n\n" for body in safe).encode()
    units = load_mailbox(FILE, data) if data else []
    assert len(units) == len(bodies)
    assert [unit.text.split("\n\n", 1)[1].split() for unit in units] == [body.split() for body in safe]


PAGE = "<html><head><title>T</title></head><body><h1>Grüße</h1><p>words</p></body></html>"


def test_a_saved_page_is_read_with_its_address():
    mail = EmailMessage()
    mail["Snapshot-Content-Location"] = "https://example.org/a"
    mail.make_related()
    for kind, content in (("html", PAGE), ("css", "h1 {}")):
        part = EmailMessage()
        part.set_content(content, subtype=kind)
        mail.attach(part)
    (unit,) = load_mhtml(FILE, mail.as_bytes())
    assert unit.text == "https://example.org/a\nT\nGrüße\nwords"
    with pytest.raises(Unreadable, match="no HTML"):
        load_mhtml(FILE, message().as_bytes())


def test_a_web_archive_is_read():
    page = {
        "WebResourceData": PAGE.encode("utf-16"),
        "WebResourceTextEncodingName": "utf-16",
        "WebResourceURL": "file:///x",
    }
    data = plistlib.dumps({"WebMainResource": page}, fmt=plistlib.FMT_BINARY)
    (unit,) = load_webarchive(FILE, data)
    assert unit.text == "file:///x\nT\nGrüße\nwords"
    for broken in (data[:-20], b"hello", plistlib.dumps({"WebMainResource": 3}), plistlib.dumps([])):
        with pytest.raises(Unreadable, match="web archive"):
            load_webarchive(FILE, broken)
