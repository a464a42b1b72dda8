import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorebook_daemon.index.loaders.latex import load_latex
from lorebook_daemon.index.loaders.pdf import with_tables
from lorebook_daemon.index.loaders.subtitles import load_subtitles
from lorebook_daemon.index.passage import Unreadable

LONG = "word " * 60
FILE = Path("a.tex")


def test_latex_sections_have_their_headings():
    text = rf"""\documentclass{{article}}
\begin{{document}}
{LONG}
\section[Short]{{The \emph{{long}} title\label{{sec:one}} \& more}}
{LONG}
% \section{{commented out}}
\begin{{verbatim}}
\section{{shown, not meant}}
\end{{verbatim}}
  \subsection*{{Over
two~lines}}
{LONG}
\section{{}}
\chapter{{Never closed
{LONG}"""
    units = load_latex(FILE, text.encode())
    assert [(unit.context, unit.start_line) for unit in units] == [
        ((), 1),
        (("The long title & more",), 4),
        (("The long title & more", "Over two lines"), 10),
        (("Never closed",), 14),
    ]
    assert "\n".join(unit.text for unit in units) == text


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["\\section{", "}", "\n", "{", "\\", "%", "\\begin{verbatim}", "\\end{verbatim}", "a b"]))
)
def test_every_line_of_latex_is_in_one_unit(parts):
    text = "".join(parts)
    units = load_latex(FILE, text.encode())
    rows = text.removesuffix("\n").split("\n")
    found = [row for unit in units for row in unit.text.split("\n")]
    assert found == (rows if text.strip() else [])
    assert all(unit.text.split("\n")[0] == rows[unit.start_line - 1] for unit in units)


SRT = """1
00:00:01,000 --> 00:00:04,000
<i>Hello &amp; welcome.</i>
{\\an8}Two rows.

2
00:00:04,000 --> 00:00:06,000
Two rows.

3
01:02:03,500 --> 01:02:05,000
Later.
"""


def test_subtitles_are_lines_by_their_time():
    first, last = load_subtitles(Path("a.srt"), SRT.encode())
    assert (first.text, first.context) == ("[0:00:01] Hello & welcome. Two rows.", ("from 0:00:00 to 0:02:00",))
    assert (last.text, last.context, last.start_line) == ("[1:02:03] Later.", ("from 1:02:00 to 1:04:00",), 2)


def test_web_subtitles_keep_who_speaks():
    head = "WEBVTT\n\nNOTE a remark\n\nSTYLE\n::cue {}\n\nintro\n"
    text = head + "02:03.000 --> 02:05.000 align:start\n<v Ann Lee>Hi <c.red>there</c>\n"
    (unit,) = load_subtitles(Path("a.vtt"), text.encode())
    assert unit.text == "[0:02:03] Ann Lee: Hi there"


@pytest.mark.parametrize("data", [b"hello\nworld\n", b"WEBVTT\n"])
def test_what_has_no_times_is_refused(data):
    with pytest.raises(Unreadable, match="no times"):
        load_subtitles(Path("a.vtt"), data)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9_000), st.text("abc", min_size=1, max_size=5)), min_size=1, max_size=30))
def test_every_cue_stands_at_its_time(cues):
    cues = [(second, f"{said}{number}") for number, (second, said) in enumerate(cues)]
    text = "".join(
        f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02},000 --> 99:00:00,000\n{said}\n\n"
        for second, said in cues
    )
    units = load_subtitles(Path("a.srt"), text.encode())
    rows = [row for unit in units for row in unit.text.split("\n")]
    clock = [f"[{second // 3600}:{second // 60 % 60:02}:{second % 60:02}] {said}" for second, said in cues]
    assert rows == clock
    assert [unit.start_line for unit in units] == [
        1 + sum(u.text.count("\n") + 1 for u in units[:n]) for n in range(len(units))
    ]


def test_a_table_on_a_page_has_its_cells_apart():
    rows = ["Some words before it.", "     Well        Depth (m)     Level", "     W1          12.5          3.4"]
    rows += ["     W2          14.0", "•     a point"]
    text = with_tables("\n".join(rows))
    assert text.split("\n") == [
        "Some words before it.",
        "Well | Depth (m) | Level",
        "W1 | 12.5 | 3.4",
        "W2 | 14.0",
        "• a point",
    ]


def test_text_in_two_columns_is_no_table():
    row = "the left column has many words here     and so has the right one of the page"
    assert with_tables("\n".join([row] * 10)) == ""
    assert with_tables("just words\nand more of them\nand more") == ""


@pytest.mark.parametrize(
    "part", ["\n", " ", "\\begin{verbatim}\n", "\\section{\n", "\\section[\n", "<v ", "<v" + " " * 50, "{\\"]
)
def test_no_pattern_takes_time_that_grows_with_the_square(part):
    text = part * (400_000 // len(part))
    began = time.process_time()
    for load, data in ((load_latex, text), (load_subtitles, f"00:01.000 --> 00:02.000\n{text}\n" + "x\n" * 300_000)):
        with suppress(Unreadable):
            load(FILE, data.encode())
    assert time.process_time() - began < 10
