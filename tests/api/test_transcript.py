from dataclasses import replace

import fake_daemon
from lorebook_api.asking import Attachment
from lorebook_api.conversation import Exchange
from lorebook_api.transcript import transcript


def test_a_conversation_as_a_document() -> None:
    lines = transcript(fake_daemon.CONVERSATION).splitlines()
    assert lines[0] == "# Where do the null rows go?"
    assert "[1] `clean.ipynb · cell 5 [In 7] lines 2-3` (support 0.97)" in lines
    assert "- It rained." in lines and "## And then?" in lines
    assert lines[-3:] == ["half", "", "*Stopped.*"]


def test_a_quote_cannot_close_its_fence_and_attachments_are_named() -> None:
    citation = replace(fake_daemon.CITATION, quote="```\n# not a heading")
    answer = replace(fake_daemon.ANSWER, citations=(citation,))
    exchange = Exchange("q", "a\nb", "now", answer, attachments=(Attachment("cell 3", "x"),))
    text = transcript(replace(fake_daemon.CONVERSATION, exchanges=(exchange,)))
    assert "````python\n```\n# not a heading\n````" in text
    assert "*With cell 3*" in text and "## a b\n\n```\na\nb\n```" in text
