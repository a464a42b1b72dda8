import pytest

from lorebook_daemon.cli.screen import Screen, printable


def test_a_table_cuts_no_name_short(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    long = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    Screen().table(("name", "size"), [(long, "1 MB"), ("漢字", "2 MB")])
    assert capsys.readouterr().out.splitlines() == [
        "name" + " " * (len(long) - 4) + "  size",
        f"{long}  1 MB",
        "漢字" + " " * (len(long) - 4) + "  2 MB",
    ]


def test_a_file_s_text_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\r\nc\td") == "a\N{REPLACEMENT CHARACTER}[2Jb\nc\td"
