import shutil
import stat
import sys
from pathlib import Path

import pytest

from fake_documents import png
from lorebook_daemon.index.loaders import image
from lorebook_daemon.index.loaders.image import load_image
from lorebook_daemon.index.passage import Unreadable

FILE = Path("a.png")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return what puts a program in Tesseract's place."""
    if sys.platform == "win32":
        pytest.skip("a script is no program there")

    def put(script):
        file = tmp_path / image.PROGRAM
        file.write_text(f"#!{sys.executable}\nimport sys, time\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


def test_the_text_in_a_picture_is_read(program):
    program("size = len(sys.stdin.buffer.read()); print(f'\\nLevel of well W3  \\n\\n{size} bytes\\n\\f')")
    (unit,) = load_image(FILE, png())
    assert unit.text == f"Level of well W3\n\n{len(png())} bytes"
    assert unit.context == ("text in a picture",)


def test_a_picture_with_hardly_any_text_has_no_passage(program):
    program("print('| ~ a —')")
    assert load_image(FILE, png()) == []


def test_an_icon_is_not_read(program):
    program("raise SystemExit(9)")
    assert load_image(FILE, png(4, 4)) == []
    assert load_image(FILE, b"") == []


def test_what_tesseract_refuses_is_damaged(program):
    program("raise SystemExit(1)")
    with pytest.raises(Unreadable, match="damaged"):
        load_image(FILE, png())
    with pytest.raises(Unreadable, match="not a picture"):
        load_image(FILE, b"hello")


def test_a_picture_that_takes_too_long_is_given_up(program, monkeypatch):
    monkeypatch.setattr(image, "SECONDS", 0.2)
    program("time.sleep(20)")
    with pytest.raises(Unreadable, match="not read within"):
        load_image(FILE, png())


def test_without_tesseract_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unreadable, match="install tesseract-ocr"):
        load_image(FILE, png())


@pytest.mark.skipif(shutil.which(image.PROGRAM) is None, reason="Tesseract is not installed")
def test_the_real_program_takes_what_it_is_given():
    assert isinstance(load_image(FILE, png()), list)
    with pytest.raises(Unreadable, match="damaged"):
        load_image(FILE, png()[:5_000])
