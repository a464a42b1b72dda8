from pathlib import Path

import pytest

from fake_samples import RTF
from lorebook_daemon.index.loaders.rtf import load_rtf
from lorebook_daemon.index.passage import Unreadable

FILE = Path("a.rtf")


def test_the_text_is_read_and_what_is_no_text_is_not():
    (unit,) = load_rtf(FILE, RTF)
    assert unit.text == "The wells\nGrüße an Jörg.\nid | level\nW1 | 3.2\nend"
    assert (unit.kind, unit.start_line) == ("doc", 1)


@pytest.mark.parametrize("data", [b"hello", b"\x00\x01", b"{\\html}"])
def test_what_is_no_rtf_is_refused(data):
    with pytest.raises(Unreadable, match="not an RTF"):
        load_rtf(FILE, data)


def test_an_empty_file_has_no_text():
    assert load_rtf(FILE, b"") == []
